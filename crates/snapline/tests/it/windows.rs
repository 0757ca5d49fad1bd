//! Windows in whole jobs: event time across exchanges, panics, and other parallelisms.

use crate::support::{environment, panic_at, run, wait_for};
use futures::executor::block_on;
use snapline::connector::{Collected, Source};
use snapline::dataflow::SavepointRequest;
use snapline::prelude::*;
use std::time::Duration;

const NUMBERS: u64 = 60_000;
const KEYS: u64 = 13;

/// A key, the beginning of a window, and how many numbers of the key are in it.
type Count = (u64, i64, u64);

/// Counts numbers per key and second, where each number is its own time in milliseconds. `visit` sees every number
/// first and may fail.
fn count_per_second(
    env: &StreamExecutionEnvironment,
    numbers: impl Source<Item = u64>,
    visit: impl Fn(u64) + Clone + Send + Sync + 'static,
) -> Collected<Count> {
    let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
    let strategy = strategy.with_timestamp_assigner(|number| Timestamp(*number as i64));
    let (sink, results) = CollectSink::new();
    env.from_source_with_watermarks(numbers, strategy, "numbers")
        .map(move |number| {
            visit(number);
            (number % KEYS, 0, 1)
        })
        .key_by(|(key, ..)| *key)
        .window(TumblingEventTimeWindows::of(Duration::from_secs(1)))
        .reduce_with(
            |so_far, record| so_far.2 += record.2,
            |key, context, (.., count), out| {
                out.collect((*key, context.window().start().0, count));
                Ok(())
            },
        )
        .uid("counts")
        .rebalance()
        .sink_to(sink)
        .uid("results");
    results
}

/// Every window of every key stands there once, with all its numbers.
fn assert_exactly_once(mut found: Vec<Count>, numbers: u64) {
    found.sort_unstable();
    let count = |key, start: u64| {
        (start..(start + 1000).min(numbers))
            .filter(|number| number % KEYS == key)
            .count() as u64
    };
    let starts = (0..numbers).step_by(1000);
    let expected = (0..KEYS).flat_map(|key| {
        starts
            .clone()
            .map(move |start| (key, start as i64, count(key, start)))
    });
    assert_eq!(
        found,
        expected.filter(|(.., count)| *count > 0).collect::<Vec<_>>()
    );
}

#[test]
fn a_window_is_emitted_once_whatever_fails() {
    for parallelism in [1, 2, 4] {
        for share in [0, 3, 9] {
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            let visit = panic_at(NUMBERS * share / 10);
            let results = count_per_second(&env, SequenceSource::new(0..NUMBERS), visit);
            let status = run(&env).unwrap().status;
            assert_eq!(
                (status.state, status.restarts),
                (JobState::Finished, 1),
                "{status:?}"
            );
            assert_exactly_once(results.take(), NUMBERS);
        }
    }
}

#[test]
fn windows_that_are_open_go_on_at_another_parallelism() {
    let storage = MemoryCheckpointStorage::new();
    let mut results = Vec::new();
    for (part, parallelism) in [2, 3, 1].into_iter().enumerate() {
        let env = StreamExecutionEnvironment::builder()
            .checkpoint_storage(storage.clone())
            .parallelism(parallelism)
            .build()
            .unwrap();
        env.enable_checkpointing(Duration::from_secs(600));
        let (feed, source) = ChannelSource::bounded(1 << 16);
        let collected = count_per_second(&env, source, |_| {});
        let job = block_on(env.execute_async("windows")).unwrap();
        let begin = part as u64 * 2500;
        for number in begin..begin + 2500 {
            block_on(feed.send(number)).unwrap();
        }
        wait_for(&job, |status| status.records >= 2500);
        if part < 2 {
            let savepoint = SavepointRequest::new(format!("savepoints/{part}")).suspend();
            block_on(job.savepoint(savepoint)).unwrap();
        }
        drop(feed);
        block_on(job.wait()).unwrap();
        results.extend(collected.take());
    }
    assert_exactly_once(results, 7500);
}
