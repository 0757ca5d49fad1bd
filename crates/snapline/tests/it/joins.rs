//! Joins in whole jobs: a function that panics in the middle leaves no trace.

use crate::support::{environment, panic_at, run};
use snapline::dataflow::KeyedConnectedStreams;
use snapline::prelude::*;
use std::sync::Arc;
use std::time::Duration;

const NUMBERS: u64 = 8_000;
const KEYS: u64 = 13;

/// What sees every result before it is emitted, and may panic.
type Visit = Arc<dyn Fn(u64) + Send + Sync>;

/// Two streams of numbers whose times they are, in milliseconds, that meet by their remainders.
type Joined = fn(KeyedConnectedStreams<u64, u64, u64>, Visit) -> DataStream<(u64, u64)>;

/// A stream of numbers for a join: all of them, or each other one.
fn numbers(env: &StreamExecutionEnvironment, step: u64) -> DataStream<u64> {
    let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps()
        .with_timestamp_assigner(|number| Timestamp(*number as i64));
    let source = GeneratorSource::new(NUMBERS / step, move |number| number * step);
    env.from_source_with_watermarks(source, strategy, "numbers")
}

/// The results of a job in which the result of this number panics, and how often the job was restarted.
fn joined(parallelism: u32, joined: Joined, fail_at: u64) -> (Vec<(u64, u64)>, u64) {
    let env = environment(parallelism, MemoryCheckpointStorage::new());
    let visit: Visit = Arc::new(panic_at(fail_at));
    let (sink, results) = CollectSink::new();
    let both = numbers(&env, 1).connect(&numbers(&env, 2));
    let keyed = both.key_by(|number| number % KEYS, |number| number % KEYS);
    joined(keyed, visit).uid("join").sink_to(sink).uid("results");
    let status = run(&env).unwrap().status;
    assert_eq!(status.state, JobState::Finished, "{status:?}");
    let mut results = results.take();
    results.sort_unstable();
    (results, status.restarts.into())
}

/// Compares with these results, whatever fails.
fn check(name: &str, join: Joined, mut expected: Vec<(u64, u64)>) {
    expected.sort_unstable();
    for parallelism in [1, 2] {
        for share in [0, 5, 9] {
            let fail_at = expected.len() as u64 * share / 10;
            let (results, restarts) = joined(parallelism, join, fail_at);
            assert_eq!(restarts, 1, "{name} {parallelism} {share}");
            assert!(results == expected, "{name} {parallelism} {share}");
        }
    }
}

/// All numbers below the end and even ones that have the same remainder and begin with the same tenth of a second.
fn pairs() -> Vec<(u64, u64)> {
    let window = |number: u64| number - number % 100..(number - number % 100 + 100).min(NUMBERS);
    let partners =
        |number: u64| window(number).filter(move |other| other % 2 == 0 && other % KEYS == number % KEYS);
    let pairs = |number| partners(number).map(move |other| (number, other));
    (0..NUMBERS).flat_map(pairs).collect()
}

fn windows() -> TumblingEventTimeWindows {
    TumblingEventTimeWindows::of(Duration::from_millis(100))
}

#[test]
fn a_window_join_that_panics_pairs_everything_once() {
    let join: Joined = |both, visit| {
        both.window(windows()).join(move |number: &u64, other: &u64| {
            visit(*number);
            (*number, *other)
        })
    };
    check("window join", join, pairs());
}

#[test]
fn a_co_group_that_panics_emits_everything_once() {
    let join: Joined = |both, visit| {
        both.window(windows())
            .co_group(move |_, _, numbers, others, out| {
                for (number, other) in numbers
                    .iter()
                    .flat_map(|number| others.iter().map(move |other| (number, other)))
                {
                    visit(*number);
                    out.collect((*number, *other));
                }
                Ok(())
            })
    };
    check("co-group", join, pairs());
}

#[test]
fn a_temporal_join_that_panics_gives_each_record_its_version_once() {
    let join: Joined = |both, visit| {
        both.temporal_join(move |number, version| {
            visit(number);
            Some((number, version.copied().unwrap_or(NUMBERS)))
        })
    };
    let version = |number: u64| {
        let versions = (0..=number).rev().step_by(KEYS as usize);
        versions.filter(|version| version % 2 == 0).max()
    };
    let expected = (0..NUMBERS).map(|number| (number, version(number).unwrap_or(NUMBERS)));
    check("temporal join", join, expected.collect());
}
