//! Jobs whose sources wait for one another in event time, by the clock of the simulated world.

use snapline_core::{AlignmentSettings, Timestamp};
use snapline_dataflow::{
    DataStream, StreamExecutionEnvironment, TumblingEventTimeWindows, WatermarkStrategy,
};
use snapline_testkit::simulation::{Report, Simulation, World};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

const RECORDS: u64 = 60;
/// How much of event time a window has, and how many times faster than its records are numbers the fast source is.
const WINDOW: u64 = 10;
const FASTER: u64 = 5;

/// Numbers each of which is so many milliseconds behind the one before.
fn numbers(
    env: &StreamExecutionEnvironment,
    world: &World,
    step: u64,
    strategy: impl Fn(WatermarkStrategy<u64>) -> WatermarkStrategy<u64>,
) -> DataStream<u64> {
    let times = WatermarkStrategy::<u64>::for_monotonous_timestamps()
        .with_timestamp_assigner(|time| Timestamp(*time as i64))
        .with_watermark_alignment("all", Duration::from_millis(7), Duration::from_millis(2));
    let times = strategy(times);
    let source = world.source((0..RECORDS).map(|number| number * step));
    env.from_source_with_watermarks(source, times, &format!("each {step}"))
}

/// The beginning of each window, and how many numbers of both sources are in it.
fn counts() -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for time in (0..RECORDS).flat_map(|number| [number, number * FASTER]) {
        *counts.entry(time / WINDOW * WINDOW).or_default() += 1;
    }
    counts
}

fn counted(slow: &DataStream<u64>, fast: &DataStream<u64>) -> DataStream<(u64, u64)> {
    slow.union(fast)
        .map(|time| (time / WINDOW * WINDOW, 1_u64))
        .key_by(|(start, _)| *start)
        .window(TumblingEventTimeWindows::of(Duration::from_millis(WINDOW)))
        .reduce(|sum, (_, one)| sum.1 += one)
}

/// Windows lose nothing, whichever source waits while tasks and processes die, and no job waits for ever.
pub(crate) fn sources_that_wait_for_one_another(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let slow = numbers(env, world, 1, |times| times);
            let fast = numbers(env, world, FASTER, |times| times);
            counted(&slow, &fast).sink_to(world.sink());
        })
        .expect_exactly_once(counts())
}

/// A source that pauses for long is idle and holds back nobody; what it brings later may be late for windows, so each
/// number counts by itself.
pub(crate) fn sources_that_wait_while_others_are_idle(seeds: Range<u64>) -> Report {
    let both = (0..RECORDS).flat_map(|number| [number, number * FASTER]);
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            let idle = |times: WatermarkStrategy<u64>| times.with_idleness(Duration::from_millis(1));
            let slow = numbers(env, world, 1, idle);
            let fast = numbers(env, world, FASTER, idle);
            slow.union(&fast).rebalance().sink_to(world.sink());
        })
        .expect_exactly_once(both)
}
