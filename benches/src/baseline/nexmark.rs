//! The queries of Nexmark by hand: one loop over the events, results at the end.
//!
//! It is what the programs are checked against, and knows nothing of their operators: there are no watermarks and no timers
//! here, since everything is there before a result is computed.

mod filters;
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
        Query::Q5 => windows::q5(market, |item| add(&mut totals, &item)),
        Query::Q7 => windows::q7(market, |bid| add(&mut totals, &bid)),
    }
    totals
}

fn add<T: Hash>(totals: &mut Totals, record: &T) {
    totals.add(fingerprint(record));
}
