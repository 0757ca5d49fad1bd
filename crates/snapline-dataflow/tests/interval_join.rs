//! Interval joins on the harness.

use proptest::prelude::*;
use snapline_core::Timestamp;
use snapline_dataflow::{DataStream, Either};
use snapline_testkit::harness::OperatorHarness;

/// A key and what tells the record from all others, of one stream or the other.
type Event = Either<(u8, u32), (u8, u32)>;

fn left(events: &DataStream<Event>) -> DataStream<(u8, u32)> {
    events.flat_map(|event, out: &mut snapline_dataflow::Collector<'_, _>| {
        if let Either::Left(record) = event {
            out.collect(record);
        }
    })
}

fn right(events: &DataStream<Event>) -> DataStream<(u8, u32)> {
    events.flat_map(|event, out: &mut snapline_dataflow::Collector<'_, _>| {
        if let Either::Right(record) = event {
            out.collect(record);
        }
    })
}

/// The pairs of what belongs together.
fn joined(lower: i64, upper: i64) -> impl Fn(DataStream<Event>) -> DataStream<(u32, u32)> {
    move |events| {
        let by_key = left(&events)
            .connect(&right(&events))
            .key_by(|left| left.0, |right| right.0);
        by_key.interval_join(lower, upper, |left, right| (left.1, right.1))
    }
}

#[test]
fn bounds_belong_to_the_interval_and_the_later_time_goes_out() {
    let mut harness = OperatorHarness::new(joined(-2, 1)).unwrap();
    harness.push(Either::Left((0, 1)), 10).unwrap();
    for (number, at) in [(2, 7), (3, 8), (4, 11), (5, 12)] {
        harness.push(Either::Right((0, number)), at).unwrap();
    }
    harness.push(Either::Right((1, 6)), 10).unwrap();
    let timed = |pair, at| (pair, Some(Timestamp(at)));
    assert_eq!(harness.take_timed(), [timed((1, 3), 10), timed((1, 4), 11)]);
}

#[test]
fn a_record_waits_for_its_partners_as_long_as_they_may_come_and_late_ones_are_dropped() {
    let mut harness = OperatorHarness::new(joined(0, 5)).unwrap();
    harness.push(Either::Left((0, 1)), 10).unwrap();
    harness.watermark(14).unwrap();
    harness.push(Either::Right((0, 2)), 15).unwrap();
    assert_eq!(harness.take_records(), [(1, 2)]);
    harness.push(Either::Left((0, 3)), 14).unwrap();
    harness.push(Either::Right((0, 4)), 14).unwrap();
    assert_eq!(harness.take_records(), []);
}

#[test]
fn what_has_no_partner_to_wait_for_leaves_no_state() {
    let mut harness = OperatorHarness::new(joined(-3, 5)).unwrap();
    let empty = harness.snapshot().unwrap();
    for at in 0..100 {
        harness.push(Either::Left((0, 0)), at).unwrap();
        harness.push(Either::Right((0, 0)), at).unwrap();
    }
    let full = harness.snapshot().unwrap();
    harness.watermark(103).unwrap();
    let last = harness.snapshot().unwrap();
    harness.watermark(104).unwrap();
    let none = harness.snapshot().unwrap();
    assert!(full.bytes() > last.bytes() && last.bytes() > none.bytes());
    assert_eq!(none.bytes(), empty.bytes());
}

#[test]
fn times_at_the_ends_of_their_range_do_not_overflow() {
    let mut harness = OperatorHarness::new(joined(-5, 5)).unwrap();
    for at in [i64::MIN, i64::MAX - 1] {
        harness.push(Either::Left((0, 1)), at).unwrap();
        harness.push(Either::Right((0, 2)), at).unwrap();
    }
    assert_eq!(harness.take_records(), [(1, 2), (1, 2)]);
}

#[test]
fn bounds_in_the_wrong_order_and_records_without_time_are_refused() {
    let error = OperatorHarness::new(joined(1, 0)).unwrap_err().to_string();
    assert!(error.contains("lower bound of an interval join"), "{error}");
    let mut harness = OperatorHarness::new(joined(0, 1)).unwrap();
    let error = harness
        .push_untimed(Either::Left((0, 1)))
        .unwrap_err()
        .to_string();
    assert!(error.contains("assign_timestamps_and_watermarks"), "{error}");
}

/// A record, its side, its time.
fn events() -> impl Strategy<Value = Vec<(bool, u8, i64)>> {
    proptest::collection::vec((any::<bool>(), 0..3_u8, 0..30_i64), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// All pairs of a nested loop, through watermarks that make nothing late and a snapshot in the middle.
    #[test]
    fn the_pairs_are_those_of_a_nested_loop(
        events in events(),
        (lower, upper) in (-6..3_i64, 0..6_i64),
        (before, after) in (1..4_u32, 1..4_u32),
    ) {
        let upper = lower + upper;
        let describe = joined(lower, upper);
        let event = |(number, (is_left, key, _)): (u32, &(bool, u8, i64))| match is_left {
            true => Either::Left((*key, number)),
            false => Either::Right((*key, number)),
        };
        let rest_of = |from: usize| events[from..].iter().map(|(_, _, at)| *at).min();
        let mut harness = OperatorHarness::builder().parallelism(before).build(&describe).unwrap();
        let mut out = Vec::new();
        for (number, each) in events.iter().enumerate() {
            if number == events.len() / 2 {
                out.extend(harness.take_records());
                let snapshot = harness.snapshot().unwrap();
                let builder = OperatorHarness::builder().parallelism(after).restore(&snapshot);
                harness = builder.build(&describe).unwrap();
            }
            harness.push(event((number as u32, each)), each.2).unwrap();
            if let Some(next) = rest_of(number + 1) {
                harness.watermark(next - 1).unwrap();
            }
        }
        out.extend(harness.take_records());
        out.sort_unstable();

        let mut expected = Vec::new();
        for (first, (is_left, key, at)) in (0_u32..).zip(&events) {
            for (second, (is_other_left, other, time)) in (0_u32..).zip(&events) {
                let is_near = (lower..=upper).contains(&(time - at));
                if *is_left && !is_other_left && key == other && is_near {
                    expected.push((first, second));
                }
            }
        }
        prop_assert_eq!(out, expected);
    }
}
