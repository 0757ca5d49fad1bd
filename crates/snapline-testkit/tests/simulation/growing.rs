//! Jobs whose sources get new splits while they run.

use crate::jobs::{KEYS, RECORDS};
use snapline_core::{AlignmentSettings, Timestamp};
use snapline_dataflow::{Collector, TimeWindow, TumblingEventTimeWindows, WatermarkStrategy, WindowContext};
use snapline_testkit::simulation::{Report, Simulation};
use std::ops::Range;
use std::time::Duration;

/// Each subtask restarts alone, and gets again what it was given since the checkpoint.
pub(crate) fn grown_and_mapped(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS).growing(), "numbers")
                .map(|number| number * 2)
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(|number| number * 2))
}

/// All restart together, at another parallelism in each process, with any alignment.
pub(crate) fn grown_and_summed(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=4)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS).growing(), "numbers")
                .map(|number| (number % KEYS, 1_u64))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(|number| (number % KEYS, number / KEYS + 1)))
}

/// One that grows beside one that does not, which ends long before.
pub(crate) fn grown_beside_others(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            let grown = env.from_source(world.source(0..RECORDS / 2).growing(), "grown");
            let others = env.from_source(world.source(RECORDS / 2..RECORDS), "others");
            grown.union(&others).rebalance().sink_to(world.sink());
        })
        .expect_exactly_once(0..RECORDS)
}

/// Readers wait for splits without holding event time back. All records are of one window, which ends with the data.
pub(crate) fn grown_in_windows(seeds: Range<u64>) -> Report {
    let whole_window = |_: &u64,
                        context: &WindowContext<'_, TimeWindow>,
                        (key, count): (u64, u64),
                        out: &mut Collector<'_, (u64, u64)>| {
        out.collect((key + context.window().start().0 as u64, count));
        Ok(())
    };
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(move |env, world| {
            let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps()
                .with_timestamp_assigner(|number| Timestamp(*number as i64));
            env.from_source_with_watermarks(world.source(0..RECORDS).growing(), strategy, "numbers")
                .map(|number| (number % KEYS, 1_u64))
                .key_by(|(key, _)| *key)
                .window(TumblingEventTimeWindows::of(Duration::from_millis(1000)))
                .reduce_with(|so_far, record| so_far.1 += record.1, whole_window)
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..KEYS).map(|key| {
            let of_key = (0..RECORDS).filter(|number| number % KEYS == key);
            (key, of_key.count() as u64)
        }))
}
