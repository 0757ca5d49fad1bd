//! The queries of Nexmark by hand: one loop over the events, results at the end.
//!
//! It is what the programs are checked against, and knows nothing of their operators: there are no watermarks and no timers
//! here, since everything is there before a result is computed.

mod best;
mod bidders;
mod days;
mod filters;
mod joins;
mod windows;

use crate::expected::Totals;
use crate::nexmark::{Market, Query, fingerprint};
use std::hash::Hash;

/// What a query arrives at.
pub fn nexmark_by_hand(query: Query, market: Market) -> Totals {
    let mut totals = Totals::default();
    match query {
        Query::Q0 => market.all().for_each(|event| add(&mut totals, &event)),
        Query::Q1 => filters::q1(market, |bid| add(&mut totals, &bid)),
        Query::Q2 => filters::q2(market, |found| add(&mut totals, &found)),
        Query::Q3 => filters::q3(market, |seller| add(&mut totals, &seller)),
        Query::Q4 => joins::q4(market, |average| add(&mut totals, &average)),
        Query::Q5 => windows::q5(market, |item| add(&mut totals, &item)),
        Query::Q7 => windows::q7(market, |bid| add(&mut totals, &bid)),
        Query::Q8 => bidders::q8(market, |seller| add(&mut totals, &seller)),
        Query::Q9 => joins::q9(market, |won| add(&mut totals, &won)),
        Query::Q11 => bidders::q11(market, |session| add(&mut totals, &session)),
        Query::Q12 => totals.add(bidders::q12(market)),
        Query::Q15 => days::q15(market, |day| add(&mut totals, &day)),
        Query::Q16 => days::q16(market, |day| add(&mut totals, &day)),
        Query::Q17 => days::q17(market, |day| add(&mut totals, &day)),
        Query::Q18 => best::q18(market, |bid| add(&mut totals, &bid)),
        Query::Q19 => best::q19(market, |ranked| add(&mut totals, &ranked)),
        Query::Q20 => joins::q20(market, |pair| add(&mut totals, &pair)),
    }
    totals
}

fn add<T: Hash>(totals: &mut Totals, record: &T) {
    totals.add(fingerprint(record));
}
