//! Timestamps at both ends of their range: nothing overflows, nothing is lost, nothing fires twice.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use snapline_core::{Result, Timestamp};
use snapline_dataflow::{
    Collector, ContinuousEventTimeTrigger, DataStream, EventTimeSessionWindows, GlobalWindows,
    KeyedConnectedStreams, KeyedProcessFunction, KeyedStream, ProcessContext, SlidingEventTimeWindows,
    TimeDomain, TumblingEventTimeWindows, WatermarkStrategy,
};
use snapline_testkit::harness::OperatorHarness;
use std::time::Duration;

const TIMES: [i64; 7] = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
const LONGEST: Duration = Duration::from_millis(i64::MAX as u64);

/// Counts records, of which each is 1.
type Describe = fn(DataStream<u64>) -> DataStream<u64>;

fn keyed(stream: &DataStream<u64>) -> KeyedStream<u8, u64> {
    stream.key_by(|_| 0)
}

fn add(sum: &mut u64, one: u64) {
    *sum += one;
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What comes out for a record at each of these times, in order: with a watermark before each record that makes none late, or none
/// at all, and with a restore in the middle. A window that time is too short for ends with the last millisecond but one.
fn emitted(describe: Describe, times: &[i64], watermarks: bool) -> Vec<u64> {
    let mut harness = OperatorHarness::new(describe).unwrap();
    let mut emitted = Vec::new();
    for (index, time) in times.iter().enumerate() {
        let rest = times[index..].iter().min().unwrap();
        if watermarks && *rest > i64::MIN {
            harness.watermark((rest - 1).min(i64::MAX - 2)).unwrap();
        }
        if index == times.len() / 2 {
            emitted.extend(harness.take_records());
            let snapshot = harness.snapshot().unwrap();
            let builder = OperatorHarness::builder().parallelism(2).restore(&snapshot);
            harness = builder.build(describe).unwrap();
        }
        harness.push(1, *time).unwrap();
    }
    harness.end().unwrap();
    emitted.extend(harness.take_records());
    emitted.sort_unstable();
    emitted
}

fn check(name: &str, describe: Describe, expected: &[u64]) {
    let backwards: Vec<i64> = TIMES.into_iter().rev().collect();
    for watermarks in [false, true] {
        let found = emitted(describe, &TIMES, watermarks);
        assert_eq!(found, expected, "{name}, with watermarks: {watermarks}");
    }
    assert_eq!(emitted(describe, &backwards, true), expected, "{name}, backwards");
}

#[test]
fn each_window_has_its_records() {
    // The first millisecond of all is over before anything has come, and the last two are one.
    check(
        "of a millisecond",
        |stream| {
            keyed(&stream)
                .window(TumblingEventTimeWindows::of(millis(1)))
                .reduce(add)
        },
        &[1, 1, 1, 1, 2],
    );
    check(
        "of an hour",
        |stream| {
            keyed(&stream)
                .window(TumblingEventTimeWindows::of(millis(3_600_000)))
                .reduce(add)
        },
        &[1, 2, 2, 2],
    );
    check(
        "as long as can be",
        |stream| {
            keyed(&stream)
                .window(TumblingEventTimeWindows::of(LONGEST))
                .reduce(add)
        },
        &[2, 4],
    );
    check(
        "with an offset and a lateness beyond all times",
        |stream| {
            let windows = TumblingEventTimeWindows::of(millis(10)).with_offset_millis(-9);
            keyed(&stream)
                .window(windows)
                .allowed_lateness(LONGEST)
                .reduce(add)
        },
        &[1, 2, 2, 2],
    );
    check(
        "global",
        |stream| {
            let trigger = ContinuousEventTimeTrigger::of(LONGEST);
            keyed(&stream)
                .window(GlobalWindows)
                .trigger(trigger)
                .reduce(add)
                .filter(|_| false)
        },
        &[],
    );
}

#[test]
fn each_slice_is_in_its_windows() {
    let emitted = |describe: Describe| {
        let counts = emitted(describe, &TIMES, true);
        assert_eq!(emitted(describe, &TIMES, false), counts);
        counts.iter().sum::<u64>()
    };
    let each_twice = emitted(|stream| {
        keyed(&stream)
            .window(SlidingEventTimeWindows::of(millis(2), millis(1)))
            .reduce(add)
    });
    assert!(
        (11..=14).contains(&each_twice),
        "twice but at the ends: {each_twice}"
    );
    let overlapping = emitted(|stream| {
        keyed(&stream)
            .window(SlidingEventTimeWindows::of(
                LONGEST,
                Duration::from_millis(1 << 62),
            ))
            .reduce(add)
    });
    assert!((7..=14).contains(&overlapping), "{overlapping}");
}

#[test]
fn each_session_has_its_records() {
    check(
        "of ten milliseconds",
        |stream| {
            keyed(&stream)
                .window(EventTimeSessionWindows::with_gap(millis(10)))
                .reduce(add)
        },
        &[2, 2, 3],
    );
    check(
        "with a gap as long as can be",
        |stream| {
            keyed(&stream)
                .window(EventTimeSessionWindows::with_gap(LONGEST))
                .reduce(add)
        },
        &[7],
    );
    check(
        "with a gap that each record gives",
        |stream| {
            let gap = |one: &u64| millis(*one * 10);
            keyed(&stream)
                .window(EventTimeSessionWindows::with_dynamic_gap(gap))
                .reduce(add)
        },
        &[2, 2, 3],
    );
}

/// Lets a timer fire at the time of each record, as early and as late as can be, and counts them all.
#[derive(Clone)]
struct Timers;

impl KeyedProcessFunction<u8, u64> for Timers {
    type Output = u64;

    fn process_element(
        &mut self,
        _: u64,
        context: &mut ProcessContext<'_, u8>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let at = context.timestamp().unwrap();
        context.register_event_time_timer(at)?;
        context.register_event_time_timer(at.plus_millis(u64::MAX))?;
        context.register_processing_time_timer(Timestamp::MIN)?;
        context.register_processing_time_timer(Timestamp::MAX)
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        _: &mut ProcessContext<'_, u8>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let is_of_clock = domain == TimeDomain::ProcessingTime;
        assert!(!is_of_clock || time == Timestamp::MIN, "that is never");
        out.collect(if is_of_clock { 2 } else { 1 });
        Ok(())
    }
}

#[test]
fn each_timer_fires_once() {
    let counted = |emitted: Vec<u64>| emitted.iter().filter(|fired| **fired == 1).count();
    // Those at the end of time and u64::MAX after the beginning are the same.
    assert_eq!(
        counted(emitted(|stream| keyed(&stream).process(Timers), &TIMES, false)),
        7
    );
    // With watermarks one that is as late as can be fires with the others at the end.
    assert_eq!(
        counted(emitted(|stream| keyed(&stream).process(Timers), &TIMES, true)),
        7
    );
}

fn with_itself(stream: &DataStream<u64>) -> KeyedConnectedStreams<u8, u64, u64> {
    stream.connect(stream).key_by(|_| 0, |_| 0)
}

#[test]
fn each_pair_of_a_window_join_comes_once() {
    check(
        "window join",
        |stream| {
            let windows = with_itself(&stream).window(TumblingEventTimeWindows::of(millis(10)));
            windows.join(|left, right| left * right)
        },
        &[1; 4 + 1 + 4 + 4],
    );
    check(
        "co-group in sessions",
        |stream| {
            let windows = with_itself(&stream).window(EventTimeSessionWindows::with_gap(millis(10)));
            windows.co_group(|_, _, lefts, rights, out| {
                out.collect((lefts.len() * rights.len()) as u64);
                Ok(())
            })
        },
        &[4, 4, 9],
    );
}

#[test]
fn each_record_has_its_version() {
    check(
        "temporal join",
        |stream| {
            with_itself(&stream)
                .temporal_join(|one, version: Option<&u64>| version.map(|version| one * version))
        },
        &[1; 7],
    );
}

#[test]
fn a_strategy_can_be_late_by_as_much_as_there_is() {
    for bound in [Duration::ZERO, LONGEST, Duration::MAX] {
        let described = |stream: DataStream<u64>| {
            let strategy = WatermarkStrategy::for_bounded_out_of_orderness(bound);
            stream
                .assign_timestamps_and_watermarks(strategy)
                .key_by(|_| 0_u8)
                .window(TumblingEventTimeWindows::of(millis(1)))
                .reduce(add)
        };
        let mut harness = OperatorHarness::new(described).unwrap();
        for time in TIMES {
            harness.push(1, time).unwrap();
        }
        harness.end().unwrap();
        assert_eq!(harness.take_records(), [1, 1, 1, 1, 2], "{bound:?}");
        assert_eq!(harness.late_records(), 1, "the first millisecond of all is over");
    }
}
