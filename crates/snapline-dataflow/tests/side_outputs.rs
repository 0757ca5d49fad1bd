//! What operators send beside their results, on the harness.

use snapline_core::{Result, Timestamp};
use snapline_dataflow::{
    BroadcastContext, BroadcastProcessFunction, Collector, DataStream, KeyedBroadcastContext,
    KeyedBroadcastProcessFunction, KeyedCoProcessFunction, KeyedProcessFunction, OutputTag, ProcessContext,
    ProcessFunction, RecordContext, TimeDomain, TumblingEventTimeWindows,
};
use snapline_testkit::harness::OperatorHarness;
use std::time::Duration;

fn negative() -> OutputTag<i64> {
    OutputTag::new("negative")
}

fn large() -> OutputTag<String> {
    OutputTag::new("large")
}

/// Negative numbers go to one side, large ones to another as text, and the rest on.
fn sort_out(number: i64, out: &mut Collector<'_, i64>) {
    match number {
        ..0 => out.side_output(&negative(), number),
        100.. => out.side_output(&large(), number.to_string()),
        _ => out.collect(number),
    }
}

/// Sorts out what it is told, as a function of whichever kind.
#[derive(Clone)]
struct SortOut;

impl ProcessFunction<i64> for SortOut {
    type Output = i64;

    fn process_element(
        &mut self,
        number: i64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        sort_out(number, out);
        Ok(())
    }
}

impl KeyedProcessFunction<i64, i64> for SortOut {
    type Output = i64;

    fn process_element(
        &mut self,
        number: i64,
        context: &mut ProcessContext<'_, i64>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        sort_out(number, out);
        context.register_event_time_timer(Timestamp(1000))
    }

    /// Zero is never pushed: it says that a timer has fired.
    fn on_timer(
        &mut self,
        _: Timestamp,
        _: TimeDomain,
        _: &mut ProcessContext<'_, i64>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        out.side_output(&large(), "fired".to_owned());
        Ok(())
    }
}

impl KeyedCoProcessFunction<i64, i64, i64> for SortOut {
    type Output = i64;

    fn process_left(
        &mut self,
        number: i64,
        _: &mut ProcessContext<'_, i64>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        sort_out(number, out);
        Ok(())
    }

    fn process_right(
        &mut self,
        _: i64,
        _: &mut ProcessContext<'_, i64>,
        _: &mut Collector<'_, i64>,
    ) -> Result<()> {
        Ok(())
    }
}

impl BroadcastProcessFunction<i64, i64> for SortOut {
    type Output = i64;

    fn process_element(
        &mut self,
        number: i64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        sort_out(number, out);
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        _: i64,
        _: &mut BroadcastContext<'_>,
        _: &mut Collector<'_, i64>,
    ) -> Result<()> {
        Ok(())
    }
}

impl KeyedBroadcastProcessFunction<i64, i64, i64> for SortOut {
    type Output = i64;

    fn process_element(
        &mut self,
        _: i64,
        _: &mut ProcessContext<'_, i64>,
        _: &mut Collector<'_, i64>,
    ) -> Result<()> {
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        number: i64,
        _: &mut KeyedBroadcastContext<'_, i64>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        sort_out(number, out);
        Ok(())
    }
}

/// A stream of results and one of each side, joined to one that says where each record has come out.
fn joined(sorted: &DataStream<i64>) -> DataStream<String> {
    let rest = sorted.map(|number| format!("rest {number}"));
    let negative = sorted
        .side_output(&negative())
        .map(|number| format!("negative {number}"));
    let large = sorted
        .side_output(&large())
        .map(|number| format!("large {number}"));
    rest.union(&negative).union(&large)
}

type Describe = fn(DataStream<i64>) -> DataStream<i64>;

const KINDS: [(&str, Describe); 7] = [
    ("flat map", |numbers| numbers.flat_map(sort_out)),
    ("process", |numbers| numbers.process(SortOut)),
    ("keyed process", |numbers| {
        numbers.key_by(|number| *number).process(SortOut)
    }),
    ("keyed closure", |numbers| {
        numbers.key_by(|number| *number).process_with(|_| {
            |number, _, out| {
                sort_out(number, out);
                Ok(())
            }
        })
    }),
    ("co-process", |numbers| {
        let keyed = numbers
            .connect(&numbers)
            .key_by(|number| *number, |number| *number);
        keyed.process(SortOut)
    }),
    ("broadcast process", |numbers| {
        numbers.connect_broadcast(&numbers).process(SortOut)
    }),
    ("window process", |numbers| {
        let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
        numbers
            .key_by(|number| *number)
            .window(windows)
            .process(|_, _, numbers, out| {
                numbers.into_iter().for_each(|number| sort_out(number, out));
                Ok(())
            })
    }),
];

#[test]
fn functions_of_every_kind_send_records_of_any_type_aside() {
    for (kind, describe) in KINDS {
        for parallelism in [1, 3] {
            let builder = OperatorHarness::builder().parallelism(parallelism);
            let mut harness = builder.build(|numbers| joined(&describe(numbers))).unwrap();
            for number in [-2, 7, 100, -1, 200, 8] {
                harness.push(number, 5).unwrap();
            }
            harness.watermark(9).unwrap();
            let mut found = harness.take_timed();
            found.sort();
            let time = Some(Timestamp(if kind == "window process" { 9 } else { 5 }));
            let expected = [
                "large 100",
                "large 200",
                "negative -1",
                "negative -2",
                "rest 7",
                "rest 8",
            ];
            assert_eq!(
                found,
                expected.map(|text| (text.to_owned(), time)),
                "{kind} x{parallelism}"
            );
        }
    }
}

#[test]
fn broadcast_records_and_timers_send_aside_too() {
    let describe = |numbers: DataStream<i64>| {
        let keyed = numbers.key_by(|number| *number);
        joined(&keyed.connect_broadcast(&numbers).process(SortOut))
    };
    let mut harness = OperatorHarness::new(describe).unwrap();
    harness.push(-5, 3).unwrap();
    assert_eq!(
        harness.take_timed(),
        [("negative -5".to_owned(), Some(Timestamp(3)))]
    );

    let describe = |numbers: DataStream<i64>| joined(&numbers.key_by(|number| *number).process(SortOut));
    let mut harness = OperatorHarness::new(describe).unwrap();
    harness.push(5, 3).unwrap();
    harness.watermark(1000).unwrap();
    let fired = ("large fired".to_owned(), Some(Timestamp(1000)));
    assert_eq!(
        harness.take_timed(),
        [("rest 5".to_owned(), Some(Timestamp(3))), fired]
    );
}

#[test]
fn a_stream_splits_into_its_side_outputs_and_nothing_else_is_needed() {
    let describe = |numbers: DataStream<i64>| {
        let sorted = numbers.process(SortOut);
        sorted.side_output(&negative()).map(|number| -number)
    };
    let mut harness = OperatorHarness::new(describe).unwrap();
    [1, -2, 300, -4]
        .into_iter()
        .for_each(|number| harness.push_untimed(number).unwrap());
    assert_eq!(harness.take_records(), [2, 4], "what nobody asked for is dropped");
    harness.end().unwrap();
}

#[test]
fn a_side_output_that_is_asked_for_twice_goes_both_ways() {
    let describe = |numbers: DataStream<i64>| {
        let sorted = numbers.process(SortOut);
        let once = sorted.side_output(&negative()).map(|number| -number);
        once.union(&sorted.side_output(&negative()).map(|number| number * 10))
    };
    let mut harness = OperatorHarness::new(describe).unwrap();
    harness.push_untimed(-3).unwrap();
    let mut found = harness.take_records();
    found.sort_unstable();
    assert_eq!(found, [-30, 3]);
}

#[test]
fn late_records_and_what_a_function_sends_aside_come_out_of_the_same_windows() {
    let late = OutputTag::<i64>::new("late");
    let describe = |numbers: DataStream<i64>| {
        let windows = TumblingEventTimeWindows::of(Duration::from_millis(10));
        let windowed = numbers
            .key_by(|number| *number)
            .window(windows)
            .side_output_late_data(&late);
        let sorted = windowed.process(|_, _, numbers, out| {
            numbers.into_iter().for_each(|number| sort_out(number, out));
            Ok(())
        });
        joined(&sorted).union(&sorted.side_output(&late).map(|number| format!("late {number}")))
    };
    let mut harness = OperatorHarness::new(describe).unwrap();
    harness.push(-1, 5).unwrap();
    harness.watermark(20).unwrap();
    harness.push(2, 6).unwrap();
    assert_eq!(harness.take_records(), ["negative -1", "late 2"]);
    assert_eq!(harness.late_records(), 1);
}

#[test]
fn a_side_output_of_another_type_fails_the_job_and_names_the_tag() {
    let describe = |numbers: DataStream<i64>| {
        let sorted = numbers.process(SortOut);
        sorted.side_output(&OutputTag::<u8>::new("negative"))
    };
    let mut harness = OperatorHarness::new(describe).unwrap();
    harness.push_untimed(1).unwrap();
    let error = harness.push_untimed(-1).unwrap_err();
    assert_eq!(error.context("tag"), Some("negative"), "{error}");
}

#[test]
fn an_operator_that_cannot_send_aside_is_told_when_the_job_is_planned() {
    let windows = || TumblingEventTimeWindows::of(Duration::from_millis(10));
    let cases: [fn(&DataStream<i64>, TumblingEventTimeWindows) -> DataStream<i64>; 3] = [
        |numbers, _| numbers.map(|number| number),
        |numbers, _| numbers.union(&numbers.process(SortOut)),
        |numbers, windows| {
            let late = OutputTag::new("late");
            let windowed = numbers.key_by(|number| *number).window(windows);
            windowed
                .side_output_late_data(&late)
                .reduce(|sum, number| *sum += number)
        },
    ];
    for describe in cases {
        let describe = |numbers: DataStream<i64>| describe(&numbers, windows()).side_output(&negative());
        let error = OperatorHarness::new(describe).unwrap_err();
        assert_eq!(error.context("tag"), Some("negative"), "{error}");
    }
}
