//! The storage fails, lies, or is shared with another process.

use crate::support::{assert_exactly_once, count_by_remainder, environment, run, wait_for};
use futures::executor::block_on;
use snapline::ErrorKind;
use snapline::prelude::*;
use snapline_testkit::fault::{Flaky, Lying, Operation, Schedule};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const NUMBERS: u64 = 600_000;

#[test]
fn a_checkpoint_that_cannot_be_stored_fails_and_the_job_goes_on() {
    for seed in 0..6 {
        let schedule = Schedule::seeded(seed, 4).only([Operation::Put, Operation::Create]);
        let env = environment(2, Flaky::new(MemoryCheckpointStorage::new(), schedule));
        env.configure(|settings| {
            if let Some(checkpoints) = &mut settings.checkpoints {
                checkpoints.tolerable_failures = 1000;
            }
            settings.restart = Some(RestartSettings::FixedDelay {
                attempts: 1000,
                delay_ms: 0,
            });
        });
        let (sink, results) = CollectSink::new();
        count_by_remainder(&env, NUMBERS, |_| {}, sink);
        let status = run(&env).unwrap().status;
        assert_eq!(status.state, JobState::Finished);
        assert_exactly_once(&results.take(), NUMBERS);
    }
}

#[test]
fn a_job_outlives_a_disk_that_is_full_for_a_while() {
    for parallelism in [1, 2] {
        let full = Schedule::calls(4..24).only([Operation::Put, Operation::Create]);
        let env = environment(parallelism, Flaky::new(MemoryCheckpointStorage::new(), full));
        env.configure(|settings| {
            settings.restart = Some(RestartSettings::FixedDelay {
                attempts: 1000,
                delay_ms: 0,
            });
        });
        let (sink, results) = CollectSink::new();
        count_by_remainder(&env, NUMBERS, |_| {}, sink);
        let status = run(&env).unwrap().status;
        assert!(
            status.restarts > 0 && status.checkpoints.completed > 0,
            "{status:?}"
        );
        assert_exactly_once(&results.take(), NUMBERS);
    }
}

#[test]
fn a_storage_that_reports_failures_after_it_has_succeeded_does_no_harm() {
    for seed in 0..4 {
        let schedule = Schedule::seeded(seed, 3).only([Operation::Create]);
        let env = environment(2, Lying::new(MemoryCheckpointStorage::new(), schedule));
        env.configure(|settings| {
            settings.restart = Some(RestartSettings::FixedDelay {
                attempts: 1000,
                delay_ms: 0,
            })
        });
        let (sink, results) = CollectSink::new();
        count_by_remainder(&env, NUMBERS, |_| {}, sink);
        run(&env).unwrap();
        assert_exactly_once(&results.take(), NUMBERS);
    }
}

#[test]
fn too_many_failed_checkpoints_in_a_row_fail_the_job() {
    let schedule = Schedule::every(1).only([Operation::Put]);
    let env = environment(1, Flaky::new(MemoryCheckpointStorage::new(), schedule));
    env.configure(|settings| {
        settings.restart = Some(RestartSettings::None);
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.tolerable_failures = 2;
        }
    });
    let (sink, results) = CollectSink::new();
    count_by_remainder(&env, u64::MAX, |_| {}, sink);
    let error = run(&env).unwrap_err();
    assert!(error.to_string().contains("made to fail"), "{error}");
    assert!(results.take().is_empty());
}

#[test]
fn a_process_whose_job_was_taken_over_stops_and_the_results_stay_exact() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, results) = CollectSink::new();
    let first = environment(1, storage.clone());
    let pace = Arc::new(AtomicU64::new(0));
    let paced = pace.clone();
    // The first process goes on only as far as it is let, so that it is alive when the second starts.
    let visit = move |number: u64| {
        while number > 50_000 && paced.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
    };
    count_by_remainder(&first, NUMBERS, visit, sink.clone());
    let first = block_on(first.execute_async("test")).unwrap();
    wait_for(&first, |status| {
        status.checkpoints.completed >= 1 || status.records > 40_000
    });

    let second = environment(1, storage);
    count_by_remainder(&second, NUMBERS, |_| {}, sink);
    let second = block_on(second.execute_async("test")).unwrap();
    wait_for(&second, |status| status.state != JobState::Starting);
    pace.store(1, Ordering::SeqCst);
    let error = block_on(first.wait()).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Conflict && error.message().contains("another process"),
        "{error}"
    );
    block_on(second.wait()).unwrap();
    assert_exactly_once(&results.take(), NUMBERS);
}
