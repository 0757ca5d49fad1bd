//! One job body for many deployments.

use futures::executor::block_on;
use snapline::Result;
use snapline::dataflow::{JobResult, JobStatus};
use snapline::prelude::*;
use snapline::state::CheckpointStorage;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// An environment on this storage with checkpoints each few milliseconds.
pub(crate) fn environment(parallelism: u32, storage: impl CheckpointStorage) -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(parallelism)
        .checkpoint_storage(storage)
        .restart(RestartSettings::FixedDelay {
            attempts: 20,
            delay_ms: 0,
        })
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    env
}

/// The record with which the running count of `key` reached `count`.
pub(crate) type Counted = (u64, u64);

/// Counts numbers by their remainder and collects every update. `visit` sees every number first and
/// may fail or wait.
pub(crate) fn count_by_remainder(
    env: &StreamExecutionEnvironment,
    numbers: u64,
    visit: impl Fn(u64) + Clone + Send + Sync + 'static,
    sink: impl snapline::connector::Sink<Counted>,
) {
    env.from_source(SequenceSource::new(0..numbers), "numbers")
        .map(move |number| {
            visit(number);
            (number % KEYS, 1)
        })
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(sink)
        .uid("results");
}

pub(crate) const KEYS: u64 = 97;

/// Every running count of every key stands there exactly once.
pub(crate) fn assert_exactly_once(results: &[Counted], numbers: u64) {
    let mut seen: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (key, count) in results {
        seen.entry(*key).or_default().push(*count);
    }
    for key in 0..KEYS {
        let expected = (0..numbers).filter(|number| number % KEYS == key).count() as u64;
        let mut counts = seen.remove(&key).unwrap_or_default();
        counts.sort_unstable();
        assert!(
            counts.iter().copied().eq(1..=expected),
            "key {key}: expected 1..={expected}, found {counts:?}"
        );
    }
    assert!(seen.is_empty(), "keys that no record has: {seen:?}");
}

/// Panics once, when this many records have been seen.
pub(crate) fn panic_at(count: u64) -> impl Fn(u64) + Clone + Send + Sync + 'static {
    let (seen, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    move |_| {
        if seen.fetch_add(1, Ordering::SeqCst) == count && !done.swap(true, Ordering::SeqCst) {
            panic!("planned");
        }
    }
}

pub(crate) fn run(env: &StreamExecutionEnvironment) -> Result<JobResult> {
    block_on(env.execute("test"))
}

/// Waits until the job's status is as wanted, without sleeping; fails after a long time.
pub(crate) fn wait_for(handle: &JobHandle, mut wanted: impl FnMut(&JobStatus) -> bool) -> JobStatus {
    for _ in 0..200_000_000_u64 {
        let status = handle.status();
        if wanted(&status) {
            return status;
        }
        std::thread::yield_now();
    }
    panic!("the job never came to the wanted state: {:?}", handle.status());
}

/// Cancels a job when it has completed two checkpoints since it began, or has finished.
pub(crate) fn cancel_after_checkpoints(handle: &JobHandle, is_resumed: bool) {
    let has_begun = wait_for(handle, |status| !is_resumed || status.restored.is_some());
    let before = has_begun.checkpoints.completed;
    wait_for(handle, |status| {
        status.checkpoints.completed >= before + 2 || status.state == JobState::Finished
    });
    handle.cancel();
}
