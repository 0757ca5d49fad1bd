//! Sources that wait for one another in event time, in whole jobs.

use crate::support::{environment, panic_at, run, wait_for};
use futures::executor::block_on;
use snapline::connector::ChannelSender;
use snapline::core::JobSettings;
use snapline::dataflow::SavepointRequest;
use snapline::prelude::*;
use snapline::{ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const DRIFT: u64 = 10_000;

/// Each number is its own time, in milliseconds.
fn aligned() -> WatermarkStrategy<u64> {
    WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64| Timestamp(*number as i64))
        .with_watermark_alignment("all", Duration::from_millis(DRIFT), Duration::from_millis(1))
}

/// A source without an end beside one that the test feeds, and how far the first has come.
fn endless_beside_fed(env: &StreamExecutionEnvironment) -> (ChannelSender<u64>, Arc<AtomicU64>) {
    let (feed, fed) = ChannelSource::bounded(16);
    let seen = Arc::new(AtomicU64::new(0));
    let visit = seen.clone();
    let endless = GeneratorSource::unbounded(|number| number);
    let fast = env
        .from_source_with_watermarks(endless, aligned(), "endless")
        .map(move |number| {
            visit.fetch_max(number, Ordering::SeqCst);
            number
        });
    env.from_source_with_watermarks(fed, aligned(), "fed")
        .union(&fast)
        .sink_to(DiscardSink);
    (feed, seen)
}

/// Until the endless source has come to the limit, and some checkpoints later.
fn wait_at_limit(job: &JobHandle, seen: &AtomicU64, limit: u64) {
    wait_for(job, |_| seen.load(Ordering::SeqCst) >= limit);
    let before = job.status().checkpoints.completed;
    wait_for(job, |status| status.checkpoints.completed >= before + 5);
}

#[test]
fn a_source_waits_at_the_drift_and_checkpoints_do_not() {
    for parallelism in [1, 2] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (feed, seen) = endless_beside_fed(&env);
        let job = block_on(env.execute_async("aligned")).unwrap();
        let batch = JobSettings::default().batch_records as u64 * u64::from(parallelism);
        for time in [1, 50_000, 200_000] {
            block_on(feed.send(time)).unwrap();
            wait_at_limit(&job, &seen, time + DRIFT - 1);
            let seen = seen.load(Ordering::SeqCst);
            assert!(
                seen <= time + DRIFT + batch,
                "{seen} when the slow source is at {time}"
            );
        }
        job.cancel();
        assert_eq!(block_on(job.wait()).unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn a_savepoint_stops_a_job_whose_source_waits() {
    let env = environment(2, MemoryCheckpointStorage::new());
    let (feed, seen) = endless_beside_fed(&env);
    let job = block_on(env.execute_async("aligned")).unwrap();
    block_on(feed.send(1)).unwrap();
    wait_at_limit(&job, &seen, DRIFT);
    block_on(job.savepoint(SavepointRequest::new("savepoints/1").suspend())).unwrap();
    block_on(job.wait()).unwrap();
}

#[test]
fn sources_that_wait_lose_and_repeat_nothing_when_a_task_panics() {
    const NUMBERS: u64 = 100_000;
    for parallelism in [1, 2, 4] {
        let env = environment(parallelism, MemoryCheckpointStorage::new());
        let (sink, results) = CollectSink::new();
        let visit = panic_at(NUMBERS / 2);
        let slow = GeneratorSource::new(NUMBERS / 10, |number| number);
        let fast = GeneratorSource::new(NUMBERS, |number| number * 3);
        let slow = env.from_source_with_watermarks(slow, aligned(), "slow");
        env.from_source_with_watermarks(fast, aligned(), "fast")
            .map(move |number| {
                visit(number);
                number
            })
            .union(&slow)
            .sink_to(sink);
        let status = run(&env).unwrap().status;
        assert_eq!(
            (status.state, status.restarts),
            (JobState::Finished, 1),
            "{status:?}"
        );
        let mut found = results.take();
        found.sort_unstable();
        let mut expected: Vec<u64> = (0..NUMBERS).map(|number| number * 3).collect();
        expected.extend(0..NUMBERS / 10);
        expected.sort_unstable();
        assert!(found == expected, "{} numbers", found.len());
    }
}

#[test]
fn an_alignment_that_cannot_be_is_refused_before_the_job_runs() {
    let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
    let refused = |describe: &dyn Fn(&StreamExecutionEnvironment)| -> Result<()> {
        let env = environment(1, MemoryCheckpointStorage::new());
        describe(&env);
        run(&env).map(drop)
    };
    let at_source = |drift, interval| {
        refused(&|env| {
            let times = aligned().with_watermark_alignment("all", drift, interval);
            env.from_source_with_watermarks(SequenceSource::new(0..9), times, "numbers")
                .sink_to(DiscardSink);
        })
    };
    let behind = refused(&|env| {
        env.from_source(SequenceSource::new(0..9), "numbers")
            .assign_timestamps_and_watermarks(aligned())
            .sink_to(DiscardSink);
    });
    assert!(at_source(second, second).is_ok());
    for refusal in [at_source(zero, second), at_source(second, zero), behind] {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}
