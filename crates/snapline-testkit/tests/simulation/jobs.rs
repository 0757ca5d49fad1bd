//! The jobs: small, and between them every kind of operator and of channel.

use snapline_connector::{CollectionSource, SequenceSource};
use snapline_core::{AlignmentSettings, Timestamp};
use snapline_dataflow::{
    Collector, DataStream, Emit, EventTimeSessionWindows, OutputTag, SlidingEventTimeWindows,
    StreamExecutionEnvironment, TimeWindow, TumblingEventTimeWindows, WatermarkStrategy, WindowContext,
};
use snapline_testkit::simulation::{Faults, Report, Simulation, World};
use std::ops::Range;
use std::time::Duration;

/// Records and keys of a job that counts.
pub(crate) const RECORDS: u64 = 100;
pub(crate) const KEYS: u64 = 7;

fn counted() -> impl Iterator<Item = (u64, u64)> {
    (0..RECORDS).map(|number| (number % KEYS, number / KEYS + 1))
}

fn sums() -> impl Iterator<Item = (u64, u64)> {
    let sum = |key| (0..RECORDS).filter(|number| number % KEYS == key).sum();
    (0..KEYS).map(move |key| (key, sum(key)))
}

/// Emits every update of every key.
fn count(env: &StreamExecutionEnvironment, world: &World) {
    env.from_source(world.source(0..RECORDS), "numbers")
        .map(|number| (number % KEYS, 1_u64))
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .sink_to(world.sink());
}

/// No state but the position of the source; source and sink are in one task.
pub(crate) fn map_and_filter(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .filter(|number| number % 3 != 0)
                .map(|number| number * 2)
                .sink_to(world.sink());
        })
        .expect_exactly_once(
            (0..RECORDS)
                .filter(|number| number % 3 != 0)
                .map(|number| number * 2),
        )
}

/// Every update of every key.
pub(crate) fn keyed_sum(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds).run(count).expect_exactly_once(counted())
}

/// The same with another parallelism each time the process starts, and a sink behind a shuffle.
pub(crate) fn rescaled_sum(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=4)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .map(|number| (number % KEYS, 1_u64))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .rebalance()
                .sink_to(world.sink());
        })
        .expect_exactly_once(counted())
}

/// A task with channels of two sources that run at different speeds.
pub(crate) fn union_of_two_sources(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            let slow = env.from_source(world.source(0..RECORDS / 2), "slow");
            let fast = env.from_source(SequenceSource::new(RECORDS / 2..RECORDS), "fast");
            slow.union(&fast)
                .map(|number| (number % KEYS, 1_u64))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .sink_to(world.sink());
        })
        .expect_exactly_once(counted())
}

/// Results only at the end of the data: all state is in the checkpoints, none in the output.
pub(crate) fn final_reduce(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .map(|number| (number % KEYS, number))
                .key_by(|(key, _)| *key)
                .emit(Emit::Final)
                .reduce(|so_far, record| so_far.1 += record.1)
                .sink_to(world.sink());
        })
        .expect_exactly_once(sums())
}

/// A stream that is used twice, and two sinks.
pub(crate) fn two_sinks(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            let numbers = env.from_source(world.source(0..RECORDS), "numbers");
            numbers.map(|number| number).rebalance().sink_to(world.sink());
            let odd = numbers.flat_map(|number, out| {
                if number % 2 == 1 {
                    out.collect(number);
                    out.collect(number);
                }
            });
            odd.sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).flat_map(|number| {
            let times = if number % 2 == 1 { 3 } else { 1 };
            std::iter::repeat_n(number, times)
        }))
}

/// A stream that is split by side outputs, of which one is counted and one takes another way.
pub(crate) fn side_outputs(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let (even, odd) = (OutputTag::new("even"), OutputTag::new("odd"));
            let split = env.from_source(world.source(0..RECORDS), "numbers").flat_map({
                let (even, odd) = (even.clone(), odd.clone());
                move |number, out: &mut Collector<'_, u64>| match number % 2 {
                    0 => out.side_output(&even, number),
                    _ => out.side_output(&odd, number.to_string()),
                }
            });
            let odd = split.side_output(&odd).rebalance();
            odd.map(|text: String| (KEYS, text.parse::<u64>().unwrap()))
                .sink_to(world.sink());
            let even = split.side_output(&even).map(|number| (number % KEYS, 1_u64));
            even.key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .sink_to(world.sink());
        })
        .expect_exactly_once({
            let odd = (0..RECORDS)
                .filter(|number| number % 2 == 1)
                .map(|number| (KEYS, number));
            let even = |key| (0..RECORDS).filter(move |number| number % 2 == 0 && number % KEYS == key);
            let counts = move |key| (1..=even(key).count() as u64).map(move |count| (key, count));
            odd.chain((0..KEYS).flat_map(counts))
        })
}

/// Two pipelines that have nothing to do with each other but their checkpoints: each fails alone.
pub(crate) fn two_pipelines(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS / 2), "left")
                .map(|number| (number % KEYS, number))
                .key_by(|(key, _)| *key)
                .emit(Emit::Final)
                .sum(|(_, number)| number)
                .sink_to(world.sink());
            env.from_source(world.source(RECORDS / 2..RECORDS), "right")
                .map(|number| (number, 1_u64))
                .sink_to(world.sink());
        })
        .expect_exactly_once(
            (0..KEYS)
                .map(|key| (key, (0..RECORDS / 2).filter(|number| number % KEYS == key).sum()))
                .chain((RECORDS / 2..RECORDS).map(|number| (number, 1))),
        )
}

/// Every subtask gets every record.
pub(crate) fn broadcast(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS / 2), "numbers")
                .broadcast()
                .map(|number| number + 1)
                .parallelism(3)
                .sink_to(world.sink());
        })
        .expect_exactly_once((1..=RECORDS / 2).flat_map(|number| [number; 3]))
}

/// One exchange of each kind after the other.
pub(crate) fn every_partitioner(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let numbers = env.from_source(world.source(0..RECORDS), "numbers");
            let shuffled = numbers.shuffle().map(|number| number + 1).parallelism(2);
            let rescaled = shuffled.rescale().map(|number| number + 1).parallelism(3);
            let chosen = rescaled.partition_custom(|number, subtasks| (number % u64::from(subtasks)) as u32);
            let first = chosen.map(|number| number + 1).global().map(|number| number + 1);
            first.forward().sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(|number| number + 4))
}

/// State too large for the manifest, so that snapshots share files with those before.
pub(crate) fn shared_files(seeds: Range<u64>) -> Report {
    const MANY: u64 = 40;
    Simulation::seeds(seeds)
        .rescale(1..=2)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .map(|number| (number % MANY, 1_u64, "x".repeat(1200)))
                .key_by(|(key, ..)| *key)
                .reduce(|so_far, record| so_far.1 += record.1)
                .map(|(key, count, _)| (key, count))
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(|number| (number % MANY, number / MANY + 1)))
}

/// Subtasks that share nothing, stopped with savepoints while they panic.
pub(crate) fn stopped_while_it_panics(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .faults(Faults::none().panics(8).interventions(8).outside(6).delays(100))
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .map(|number| number + 1)
                .sink_to(world.sink());
        })
        .expect_exactly_once(1..=RECORDS)
}

/// Every way to align barriers, in each process another one.
pub(crate) fn any_alignment(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([
            AlignmentSettings::Aligned,
            AlignmentSettings::AlignedWithTimeout { timeout_ms: 1 },
            AlignmentSettings::Unaligned,
        ])
        .run(|env, world| {
            let left = env.from_source(world.source(0..RECORDS / 2), "left");
            let right = env.from_source(world.source(RECORDS / 2..RECORDS), "right");
            left.union(&right)
                .map(|number| (number % KEYS, 1_u64))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .rebalance()
                .map(|counted| counted)
                .sink_to(world.sink());
        })
        .expect_exactly_once(counted())
}

/// A source that has everything at once: it is often at its end before the first checkpoint.
pub(crate) fn short_input(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .at_least_checkpoints(0)
        .run(|env, world| {
            env.from_source(CollectionSource::new(0..RECORDS), "numbers")
                .map(|number| (number % KEYS, 1_u64))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .sink_to(world.sink());
        })
        .expect_exactly_once(counted())
}

/// A short source beside long ones: it finishes, and what restarts must not read it again. The right
/// one is a pipeline of its own, so that the others may restart alone.
pub(crate) fn finished_source(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            let short = env.from_source(CollectionSource::new(0..10), "short");
            let left = env.from_source(world.source(10..RECORDS), "left");
            short.map(|number| (number, 0_u64)).sink_to(world.sink());
            short
                .union(&left)
                .map(|number| (number % KEYS, number))
                .key_by(|(key, _)| *key)
                .emit(Emit::Final)
                .sum(|(_, number)| number)
                .rebalance()
                .sink_to(world.sink());
            env.from_source(world.source(0..RECORDS), "right")
                .map(|number| (number, 1_u64))
                .sink_to(world.sink());
        })
        .expect_exactly_once(
            sums()
                .chain((0..10).map(|number| (number, 0)))
                .chain((0..RECORDS).map(|number| (number, 1))),
        )
}

/// Many crashes and nothing else.
pub(crate) fn only_crashes(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .faults(Faults::none().crashes(8))
        .run(count)
        .expect_exactly_once(counted())
}

/// Any order of steps and messages, but nothing that fails.
pub(crate) fn without_faults(seeds: Range<u64>) -> Report {
    let report = Simulation::seeds(seeds)
        .faults(Faults::none().delays(1_000))
        .run(count)
        .expect_exactly_once(counted());
    assert_eq!((report.crashes, report.panics, report.storage_faults), (0, 0, 0));
    report
}

/// Ten numbers in each window; windows of all keys end while other records are on their way.
fn numbers(env: &StreamExecutionEnvironment, world: &World) -> DataStream<(u64, u64, u64)> {
    let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
    let strategy = strategy.with_timestamp_assigner(|number| Timestamp(*number as i64 * 10));
    env.from_source_with_watermarks(world.source(0..RECORDS), strategy, "numbers")
        .map(|number| (number % KEYS, 0, 1))
}

/// Hands the key of a window on with its beginning and the count.
fn with_start(
    _: &u64,
    context: &WindowContext<'_, TimeWindow>,
    (key, _, count): (u64, u64, u64),
    out: &mut Collector<'_, (u64, u64, u64)>,
) -> snapline_core::Result<()> {
    out.collect((key, context.window().start().0 as u64, count));
    Ok(())
}

/// The windows that begin at these times and last for `size`, of all keys that have numbers in them.
fn windows(starts: impl Iterator<Item = i64> + Clone, size: i64) -> impl Iterator<Item = (u64, u64, u64)> {
    (0..KEYS).flat_map(move |key| {
        starts.clone().filter_map(move |start| {
            let is_inside = |number: &u64| (start..start + size).contains(&(*number as i64 * 10));
            let of_key = (0..RECORDS).filter(|number| number % KEYS == key);
            let count = of_key.filter(is_inside).count() as u64;
            (count > 0).then_some((key, start as u64, count))
        })
    })
}

/// Windows of event time, restored at another parallelism, with any alignment.
pub(crate) fn tumbling_windows(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            numbers(env, world)
                .key_by(|(key, ..)| *key)
                .window(TumblingEventTimeWindows::of(Duration::from_millis(100)))
                .reduce_with(|so_far, record| so_far.2 += record.2, with_start)
                .rebalance()
                .sink_to(world.sink());
        })
        .expect_exactly_once(windows((0..1000).step_by(100), 100))
}

/// Windows that overlap.
pub(crate) fn sliding_windows(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            let sliding = SlidingEventTimeWindows::of(Duration::from_millis(300), Duration::from_millis(100));
            numbers(env, world)
                .key_by(|(key, ..)| *key)
                .window(sliding)
                .reduce_with(|so_far, record| so_far.2 += record.2, with_start)
                .sink_to(world.sink());
        })
        .expect_exactly_once(windows((-200..1000).step_by(100), 300))
}

/// Windows that merge: every other twenty numbers are left out, which is a gap for every key.
pub(crate) fn session_windows(seeds: Range<u64>) -> Report {
    let is_there = |number: &u64| (number / 20).is_multiple_of(2);
    let sessions = (0..KEYS).flat_map(move |key| {
        (0..RECORDS).step_by(40).filter_map(move |from| {
            let of_key = (from..from + 20).filter(|number| number % KEYS == key);
            let first = of_key.clone().next()?;
            Some((key, first * 10, of_key.count() as u64))
        })
    });
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(move |env, world| {
            let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
            let strategy = strategy.with_timestamp_assigner(|number| Timestamp(*number as i64 * 10));
            env.from_source_with_watermarks(world.source(0..RECORDS), strategy, "numbers")
                .filter(is_there)
                .map(|number| (number % KEYS, 0, 1))
                .key_by(|(key, ..)| *key)
                .window(EventTimeSessionWindows::with_gap(Duration::from_millis(100)))
                .reduce_with(|so_far, record| so_far.2 += record.2, with_start)
                .sink_to(world.sink());
        })
        .expect_exactly_once(sessions)
}
