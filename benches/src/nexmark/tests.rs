//! Each query arrives at what is computed by hand.

use super::*;
use crate::baseline::nexmark::nexmark_by_hand;
use crate::job::LiveState;
use futures::executor::block_on;
use snapline_core::{Codec, ConsistencyProof};
use std::path::Path;

/// Slow, so that there are several windows.
const MARKET: Market = Market {
    events: 20_000,
    events_per_second: 500,
};

fn check(query: Query) {
    let expected = nexmark_by_hand(query, MARKET);
    assert!(expected.updates > 0, "{query:?} has results");
    for parallelism in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let (_, totals) = block_on(run_nexmark(query, MARKET, &options(parallelism, folder.path()))).unwrap();
        assert!(
            query.agrees(totals, expected),
            "{query:?} at {parallelism}: {totals:?}, not {expected:?}"
        );
    }
}

fn options(parallelism: u32, folder: &Path) -> JobOptions {
    JobOptions {
        parallelism,
        // Short, so that there are some while the few events come.
        checkpoint_interval_ms: 10,
        mode: CheckpointMode::ExactlyOnce,
        alignment: AlignmentSettings::Aligned,
        proof: ConsistencyProof::Full,
        checkpoint_dir: folder.to_path_buf(),
        compression: Codec::Lz4,
        state: LiveState::Memory,
    }
}

/// A test for each query, so that one that is wrong has its name in the list.
macro_rules! each {
    ($($test:ident: $query:ident,)*) => {
        $(#[test] fn $test() { check(Query::$query); })*
    };
}

each! {
    q0_passes_every_event_on: Q0,
    q1_says_prices_in_euros: Q1,
    q2_finds_the_bids_for_some_auctions: Q2,
    q3_finds_sellers_in_some_states: Q3,
    q4_finds_average_prices: Q4,
    q5_finds_the_auctions_with_the_most_bids: Q5,
    q7_finds_the_highest_bids: Q7,
    q8_finds_who_sells_as_soon_as_they_have_registered: Q8,
    q9_finds_the_bids_that_win: Q9,
    q11_finds_sessions: Q11,
    q12_counts_every_bid_by_the_clock: Q12,
    q15_sums_up_days: Q15,
    q16_sums_up_the_days_of_channels: Q16,
    q17_finds_the_prices_of_each_auction: Q17,
    q18_finds_the_last_bid_of_each_bidder: Q18,
    q19_finds_the_highest_bids_for_each_auction: Q19,
    q20_finds_the_auctions_of_bids: Q20,
}

#[test]
fn each_query_is_found_by_its_name() {
    for query in Query::ALL {
        assert_eq!(Query::named(query.name()), Some(query));
    }
    assert_eq!(Query::named("q6"), None);
}

#[test]
fn events_that_are_no_multiple_of_the_parallelism_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let market = Market {
        events: 101,
        ..MARKET
    };
    let refused = block_on(run_nexmark(Query::Q0, market, &options(2, folder.path())));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("multiple of the parallelism")
    );
}
