//! Aggregates of keyed streams on the harness: what they emit, with which timestamps, and through a rescale.
#![expect(clippy::unwrap_used, reason = "all of this is tests")]

use proptest::prelude::*;
use snapline_core::{Data, Timestamp};
use snapline_dataflow::{DataStream, Emit, KeyedStream};
use snapline_testkit::harness::OperatorHarness;
use std::time::Duration;

/// A key and a value.
type Bid = (u8, i64);

fn by_key(bids: &DataStream<Bid>) -> KeyedStream<u8, Bid> {
    bids.key_by(|(key, _)| *key)
}

/// What comes out for bids at times 0, 1, 2, ...
fn outputs<U: Data>(
    describe: impl FnOnce(KeyedStream<u8, Bid>) -> DataStream<U>,
    bids: &[Bid],
) -> Vec<(U, i64)> {
    let mut harness = OperatorHarness::new(|stream| describe(by_key(&stream))).unwrap();
    for (at, bid) in (0..).zip(bids) {
        harness.push(*bid, at).unwrap();
    }
    harness.end().unwrap();
    let timed = harness.take_timed().into_iter();
    timed
        .map(|(record, at)| (record, at.map_or(i64::MIN, |Timestamp(at)| at)))
        .collect()
}

const BIDS: [Bid; 6] = [(1, 5), (2, 7), (1, 3), (1, 9), (2, 7), (1, 3)];

#[test]
fn a_count_goes_out_with_its_key_and_the_time_of_the_record() {
    let expected = [
        ((1, 1), 0),
        ((2, 1), 1),
        ((1, 2), 2),
        ((1, 3), 3),
        ((2, 2), 4),
        ((1, 4), 5),
    ];
    assert_eq!(outputs(|keyed| keyed.count(), &BIDS), expected);
}

#[test]
fn final_counts_go_out_once_when_the_data_ends() {
    let mut counts = outputs(|keyed| keyed.emit(Emit::Final).count(), &BIDS);
    counts.sort_unstable();
    assert_eq!(counts, [((1, 4), i64::MIN), ((2, 2), i64::MIN)]);
}

#[test]
fn a_fold_begins_anew_for_each_key() {
    let joined = outputs(
        |keyed| keyed.fold(String::from("<"), |text, (_, value)| *text += &value.to_string()),
        &BIDS[..4],
    );
    let joined: Vec<(u8, String)> = joined.into_iter().map(|(record, _)| record).collect();
    let expected = [(1, "<5"), (2, "<7"), (1, "<53"), (1, "<539")];
    assert_eq!(joined, expected.map(|(key, text)| (key, text.to_owned())));
}

#[test]
fn the_first_of_equal_records_is_the_least_and_the_most() {
    // The value that is compared is the tens only.
    let bids = [(0, 21), (0, 29), (0, 15), (0, 11), (0, 35), (0, 31)];
    let of = |outputs: Vec<(Bid, i64)>| {
        outputs
            .into_iter()
            .map(|((_, value), _)| value)
            .collect::<Vec<_>>()
    };
    let least = of(outputs(|keyed| keyed.min_by(|(_, value)| value / 10), &bids));
    assert_eq!(least, [21, 21, 15, 15, 15, 15]);
    let most = of(outputs(|keyed| keyed.max_by(|(_, value)| value / 10), &bids));
    assert_eq!(most, [21, 21, 21, 21, 35, 35]);
}

#[test]
fn a_ranking_goes_out_when_it_changes_with_the_time_of_the_record_that_changed_it() {
    let bids = [(0, 5), (0, 3), (0, 1), (0, 4), (1, 0), (0, 4), (0, 6)];
    let expected = [
        ((0, vec![(0, 5)]), 0),
        ((0, vec![(0, 5), (0, 3)]), 1),
        ((0, vec![(0, 5), (0, 4)]), 3),
        ((1, vec![(1, 0)]), 4),
        ((0, vec![(0, 6), (0, 5)]), 6),
    ];
    assert_eq!(
        outputs(|keyed| keyed.top_n(2, |(_, value)| *value), &bids),
        expected
    );
}

#[test]
fn what_cannot_be_compared_is_last_in_a_ranking() {
    let mut harness = OperatorHarness::new(|numbers: DataStream<f64>| {
        let all = numbers.key_by(|_| 0_u8).top_n(3, |number| *number);
        all.map(|(_, top)| format!("{top:?}"))
    })
    .unwrap();
    for number in [f64::NAN, 1.0, f64::NAN, 2.0, f64::NAN] {
        harness.push_untimed(number).unwrap();
    }
    let expected = ["[NaN]", "[1.0, NaN]", "[1.0, NaN, NaN]", "[2.0, 1.0, NaN]"];
    assert_eq!(harness.take_records(), expected);
}

#[test]
fn a_ranking_of_nothing_is_refused() {
    let harness = OperatorHarness::new(|bids| by_key(&bids).top_n(0, |(_, value)| *value));
    let error = harness.unwrap_err().to_string();
    assert!(error.contains("top_n keeps at least one record"), "{error}");
}

#[test]
fn only_the_first_record_of_a_key_is_distinct() {
    let expected = [((1, 5), 0), ((2, 7), 1)];
    assert_eq!(outputs(|keyed| keyed.distinct(), &BIDS), expected);
}

#[test]
fn a_key_is_distinct_again_after_a_pause_that_each_record_begins_anew() {
    let pause = Duration::from_secs(10);
    let mut harness = OperatorHarness::new(|bids| by_key(&bids).distinct_within(pause)).unwrap();
    for (seconds, value) in [(0, 1), (6, 2), (6, 3), (11, 4)] {
        harness.advance_clock(Duration::from_secs(seconds)).unwrap();
        harness.push_untimed((0, value)).unwrap();
    }
    assert_eq!(harness.take_records(), [(0, 1), (0, 4)]);
}

/// The largest values of a key, found by sorting all of them: descending, and earlier ones first.
fn sorted_top(bids: &[Bid], key: u8, n: usize) -> Vec<Bid> {
    let mut all: Vec<Bid> = bids.iter().filter(|bid| bid.0 == key).copied().collect();
    all.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
    all.truncate(n);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Half of the bids come before a snapshot, half after it at another parallelism.
    #[test]
    fn counts_and_rankings_survive_a_rescale(
        bids in proptest::collection::vec((0..6_u8, -50..50_i64), 1..60),
        (before, after) in (1..4_u32, 1..4_u32),
        n in 1..4_usize,
    ) {
        let describe = |bids: DataStream<Bid>| {
            let keyed = by_key(&bids);
            let tops = keyed.top_n(n, |(_, value)| *value).map(|(key, top)| (key, top, 0));
            tops.union(&keyed.count().map(|(key, count)| (key, Vec::new(), count)))
        };
        let (first, second) = bids.split_at(bids.len() / 2);
        let mut harness = OperatorHarness::builder().parallelism(before).build(describe).unwrap();
        first.iter().try_for_each(|bid| harness.push_untimed(*bid)).unwrap();
        let mut out = harness.take_records();
        let snapshot = harness.snapshot().unwrap();
        let builder = OperatorHarness::builder().parallelism(after).restore(&snapshot);
        let mut harness = builder.build(describe).unwrap();
        second.iter().try_for_each(|bid| harness.push_untimed(*bid)).unwrap();
        out.extend(harness.take_records());

        for key in 0..6 {
            let of_key = || out.iter().filter(|(of, _, _)| *of == key);
            let count = bids.iter().filter(|bid| bid.0 == key).count();
            let counts: Vec<u64> = of_key().map(|(_, _, count)| *count).filter(|count| *count > 0).collect();
            prop_assert!(counts.iter().copied().eq(1..=count as u64), "{counts:?}");
            let mut tops = of_key().filter(|(_, top, _)| !top.is_empty());
            let last = tops.next_back().map(|(_, top, _)| top.clone()).unwrap_or_default();
            prop_assert_eq!(last, sorted_top(&bids, key, n));
        }
    }
}
