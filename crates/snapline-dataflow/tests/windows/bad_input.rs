//! What cannot be is refused with a sentence that says what to do.

use crate::script::millis;
use snapline_core::{Error, ErrorKind, Result};
use snapline_dataflow::{
    ContinuousEventTimeTrigger, CountTrigger, DataStream, EventTimeSessionWindows, GlobalWindows, OutputTag,
    SlidingEventTimeWindows, TumblingEventTimeWindows, TumblingProcessingTimeWindows, WatermarkStrategy,
    WindowAssigner,
};
use snapline_state::AggregateFunction;
use snapline_testkit::harness::OperatorHarness;
use std::time::Duration;

fn refused(described: Result<OperatorHarness<u64, u64>>, part: &str) {
    let error: Error = described.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

fn windows<A: WindowAssigner<u64>>(assigner: A) -> Result<OperatorHarness<u64, u64>> {
    OperatorHarness::new(|numbers: DataStream<u64>| {
        numbers
            .key_by(|number| number % 2)
            .window(assigner)
            .reduce(|sum, number| *sum += number)
    })
}

#[test]
fn windows_without_length_or_with_an_offset_out_of_range_are_refused_when_the_job_is_planned() {
    refused(
        windows(TumblingEventTimeWindows::of(Duration::ZERO)),
        "at least 1",
    );
    refused(
        windows(TumblingEventTimeWindows::of(Duration::from_nanos(1))),
        "whole milliseconds",
    );
    refused(windows(TumblingEventTimeWindows::of(Duration::MAX)), "63 bits");
    refused(
        windows(TumblingEventTimeWindows::of(millis(10)).with_offset_millis(10)),
        "offset",
    );
    refused(
        windows(TumblingEventTimeWindows::of(millis(10)).with_offset_millis(i64::MIN)),
        "offset",
    );
    refused(
        windows(SlidingEventTimeWindows::of(millis(10), Duration::ZERO)),
        "slide",
    );
    refused(
        windows(SlidingEventTimeWindows::of(Duration::ZERO, millis(10))),
        "size",
    );
    refused(
        windows(SlidingEventTimeWindows::of(millis(10), millis(5)).with_offset_millis(-5)),
        "offset",
    );
    refused(windows(EventTimeSessionWindows::with_gap(Duration::ZERO)), "gap");
}

#[test]
fn triggers_and_latenesses_that_cannot_be_are_refused() {
    refused(
        OperatorHarness::new(|numbers: DataStream<u64>| {
            let windows = numbers
                .key_by(|_| ())
                .window(GlobalWindows)
                .trigger(CountTrigger::of(0));
            windows.reduce(|sum, number| *sum += number)
        }),
        "count",
    );
    refused(
        OperatorHarness::new(|numbers: DataStream<u64>| {
            let never = ContinuousEventTimeTrigger::of(Duration::ZERO);
            let windows = numbers.key_by(|_| ()).window(GlobalWindows).trigger(never);
            windows.reduce(|sum, number| *sum += number)
        }),
        "interval",
    );
    refused(
        OperatorHarness::new(|numbers: DataStream<u64>| {
            let windows = numbers.window_all(TumblingProcessingTimeWindows::of(millis(10)));
            windows
                .allowed_lateness(millis(1))
                .reduce(|sum, number| *sum += number)
        }),
        "allowed_lateness",
    );
}

#[test]
fn a_strategy_that_is_always_idle_and_a_side_output_that_is_not_there_are_refused() {
    refused(
        OperatorHarness::new(|numbers: DataStream<u64>| {
            let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(Duration::ZERO);
            numbers.assign_timestamps_and_watermarks(strategy)
        }),
        "idleness",
    );
    refused(
        OperatorHarness::new(|numbers: DataStream<u64>| {
            numbers
                .map(|number| number)
                .side_output(&OutputTag::<u64>::new("late"))
        }),
        "side output",
    );
}

#[derive(Clone)]
struct Sum;

impl AggregateFunction for Sum {
    type Input = u64;
    type Accumulator = u64;
    type Output = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, sum: &mut u64, number: u64) {
        *sum += number;
    }

    fn result(&self, sum: &u64) -> u64 {
        *sum
    }
}

#[test]
fn an_aggregate_that_does_not_merge_is_refused_in_windows_that_do() {
    let aggregate = |numbers: DataStream<u64>| {
        numbers
            .window_all(EventTimeSessionWindows::with_gap(millis(10)))
            .aggregate(Sum)
    };
    let error = OperatorHarness::new(aggregate).map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("AggregateFunction::merge"), "{error}");
}

#[test]
fn a_record_without_a_timestamp_and_a_gap_of_nothing_fail_the_job_and_say_what_to_do() {
    let mut harness = windows(TumblingEventTimeWindows::of(millis(10))).unwrap();
    let error = harness.push_untimed(1).unwrap_err();
    assert!(
        error.to_string().contains("assign_timestamps_and_watermarks"),
        "{error}"
    );
    let mut harness = windows(EventTimeSessionWindows::with_dynamic_gap(|gap| millis(*gap))).unwrap();
    harness.push(1, 0).unwrap();
    let error = harness.push(0, 0).unwrap_err();
    assert!(error.to_string().contains("gap"), "{error}");
}

#[test]
fn late_records_without_a_side_output_are_counted() {
    let mut harness = windows(TumblingEventTimeWindows::of(millis(10))).unwrap();
    harness.push(1, 5).unwrap();
    harness.watermark(100).unwrap();
    harness.push(1, 99).unwrap();
    harness.push(1, 90).unwrap();
    harness.push(1, 100).unwrap();
    assert_eq!((harness.take_records(), harness.late_records()), (vec![1], 2));
}
