//! The queries of Nexmark as Snapline programs, written as a user writes them.
//!
//! Each query is defined so that its results do not depend on which subtask is ahead: what a query says of a window, of an
//! auction or of everything, it says once, when no more can come of it. What is checked is the number of the results and the
//! sum of their fingerprints; of q12, which goes by the clock, only the sum of all counts.

pub(crate) mod activity;
pub(crate) mod best_of_each;
mod bids_with_auctions;
mod count;
mod event;
mod fingerprint;
pub(crate) mod highest_bid;
pub(crate) mod hot_items;
pub(crate) mod local_sellers;
mod market;
pub(crate) mod new_sellers;
pub(crate) mod one_by_one;
mod query;
pub(crate) mod statistics;
mod streams;
pub(crate) mod winning_bids;

pub use event::{Auction, Bid, Event, Person};
pub(crate) use fingerprint::fingerprint;
pub use market::Market;
pub use query::Query;

use crate::expected::Totals;
use crate::job::{CountingSink, JobOptions, environment};
use crate::report::Report;
use serde::Serialize;
use snapline::Result;
use snapline::prelude::*;
use snapline_core::Data;
use std::hash::Hash;

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct NexmarkReport {
    /// Those of all workloads. Its records are the events.
    #[serde(flatten)]
    pub report: Report,
    /// Which query it was.
    pub query: String,
    /// How many results it had.
    pub results: u64,
    /// The sum of the hashes of all results, in hexadecimal digits.
    pub result_hash: String,
}

impl NexmarkReport {
    /// The figures of a run that has arrived at `totals`.
    pub fn new(query: Query, market: Market, mut report: Report, totals: Totals) -> Self {
        report.records = market.events;
        report.records_per_s = market.events as f64 / report.seconds;
        Self {
            report,
            query: query.name().to_owned(),
            results: totals.updates,
            result_hash: format!("{:016x}", totals.sum),
        }
    }
}

/// Runs a query over all events.
///
/// # Errors
/// What made the job fail; `Invalid` if the events are no multiple of the parallelism.
pub async fn run_nexmark(query: Query, market: Market, options: &JobOptions) -> Result<(Report, Totals)> {
    let env = environment(options).await?;
    let sink = CountingSink::default();
    let events = streams::events(&env, market, options.parallelism)?;
    match query {
        Query::Q0 => finish(&one_by_one::q0(&events), &sink),
        Query::Q1 => finish(&one_by_one::q1(&events), &sink),
        Query::Q2 => finish(&one_by_one::q2(&events), &sink),
        Query::Q3 => finish(&local_sellers::q3(&events), &sink),
        Query::Q4 => finish(&winning_bids::q4(&events), &sink),
        Query::Q5 => finish(&hot_items::q5(&events), &sink),
        Query::Q7 => finish(&highest_bid::q7(&events), &sink),
        Query::Q8 => finish(&new_sellers::q8(&events), &sink),
        Query::Q9 => finish(&winning_bids::q9(&events), &sink),
        Query::Q11 => finish(&activity::q11(&events), &sink),
        // When its windows are depends on the clock, so nothing but what they count can be checked.
        Query::Q12 => {
            let counts = sink.of(|activity: &activity::Activity| activity.bids);
            activity::q12(&events).sink_to(counts);
        }
        Query::Q15 => finish(&statistics::q15(&events), &sink),
        Query::Q16 => finish(&statistics::q16(&events), &sink),
        Query::Q17 => finish(&statistics::q17(&events), &sink),
        Query::Q18 => finish(&best_of_each::q18(&events), &sink),
        Query::Q19 => finish(&best_of_each::q19(&events), &sink),
        Query::Q20 => finish(&bids_with_auctions::q20(&events), &sink),
    }
    let status = env.execute(query.name()).await?.status;
    Ok(sink.report("nexmark", options, &status))
}

fn finish<T: Data + Hash>(results: &DataStream<T>, sink: &CountingSink) {
    results.sink_to(sink.of(fingerprint::<T>));
}

#[cfg(test)]
mod tests;
