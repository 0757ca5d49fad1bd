//! A process ends; the next one goes on where it was.

use crate::support::{assert_exactly_once, count_by_remainder, environment, run, wait_for};
use futures::executor::block_on;
use snapline::ErrorKind;
use snapline::core::MaxParallelism;
use snapline::prelude::*;

const NUMBERS: u64 = 1_500_000;

/// Runs the job until it has completed some checkpoints, then stops it. Says whether it had ended.
fn run_a_while(env: &StreamExecutionEnvironment, checkpoints: u64) -> JobState {
    let handle = block_on(env.execute_async("test")).unwrap();
    wait_for(&handle, |status| {
        status.checkpoints.completed >= checkpoints
            || !matches!(status.state, JobState::Starting | JobState::Running)
    });
    handle.cancel();
    let _ = block_on(handle.wait());
    handle.status().state
}

#[test]
fn a_job_resumes_at_any_parallelism_and_counts_everything_once() {
    for sequence in [[1, 1, 1], [1, 2, 4], [4, 2, 1], [2, 3, 2]] {
        let storage = MemoryCheckpointStorage::new();
        let (sink, results) = CollectSink::new();
        for parallelism in sequence {
            let env = environment(parallelism, storage.clone());
            count_by_remainder(&env, NUMBERS, |_| {}, sink.clone());
            run_a_while(&env, 2);
        }
        let env = environment(2, storage.clone());
        count_by_remainder(&env, NUMBERS, |_| {}, sink.clone());
        let status = run(&env).unwrap().status;
        assert!(status.restored.is_some(), "{sequence:?}: {status:?}");
        assert_exactly_once(&results.take(), NUMBERS);
    }
}

#[test]
fn a_job_that_has_ended_has_nothing_to_do_when_it_is_run_again() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, results) = CollectSink::new();
    for expected in [1000, 0] {
        let env = environment(2, storage.clone());
        count_by_remainder(&env, 1000, |_| {}, sink.clone());
        assert_eq!(run(&env).unwrap().status.records, expected);
    }
    assert_exactly_once(&results.take(), 1000);
}

#[test]
fn a_fresh_start_ignores_what_is_there() {
    let storage = MemoryCheckpointStorage::new();
    for _ in 0..2 {
        let env = environment(1, storage.clone());
        env.configure(|settings| settings.fresh = true);
        let (sink, results) = CollectSink::new();
        count_by_remainder(&env, 1000, |_| {}, sink);
        let status = run(&env).unwrap().status;
        assert_eq!((status.restored, status.records), (None, 1000));
        assert_exactly_once(&results.take(), 1000);
    }
}

#[test]
fn state_of_an_operator_that_is_gone_is_an_error_that_names_it_unless_it_is_allowed() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, _results) = CollectSink::new();
    let env = environment(1, storage.clone());
    count_by_remainder(&env, NUMBERS, |_| {}, sink);
    run_a_while(&env, 1);

    let without_counts = |allow| {
        let env = environment(1, storage.clone());
        env.configure(|settings| settings.allow_non_restored_state = allow);
        let (sink, _results) = CollectSink::new();
        env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
            .sink_to(sink)
            .uid("results");
        run(&env)
    };
    let error = without_counts(false).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("operator")),
        (ErrorKind::Invalid, Some("counts")),
        "{error}"
    );
    assert!(error.message().contains(".uid(...)"), "{error}");
    without_counts(true).unwrap();
}

#[test]
fn another_maximum_parallelism_is_refused_and_an_unset_one_follows_the_checkpoint() {
    let storage = MemoryCheckpointStorage::new();
    let start = |max: Option<u32>, parallelism| {
        let env = environment(parallelism, storage.clone());
        env.configure(|settings| settings.max_parallelism = max.map(|max| MaxParallelism::new(max).unwrap()));
        let (sink, _results) = CollectSink::new();
        count_by_remainder(&env, NUMBERS, |_| {}, sink);
        env
    };
    run_a_while(&start(Some(64), 1), 1);
    let error = run(&start(Some(32), 1)).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Invalid && error.message().contains("maximum parallelism"),
        "{error}"
    );
    run_a_while(&start(None, 2), 1);
    let error = run(&start(None, 65)).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Invalid && error.message().contains("maximum parallelism"),
        "{error}"
    );
}

#[test]
fn a_state_of_another_type_is_refused_by_name() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, _results) = CollectSink::new();
    let env = environment(1, storage.clone());
    count_by_remainder(&env, NUMBERS, |_| {}, sink);
    run_a_while(&env, 1);

    let env = environment(1, storage);
    let (sink, _results) = CollectSink::new();
    env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .map(|number| (number, 1_i32))
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(sink)
        .uid("results");
    let error = run(&env).unwrap_err();
    let text = error.to_string();
    assert!(
        error.kind() == ErrorKind::Invalid && ["counts", "u64", "i32"].iter().all(|part| text.contains(part)),
        "{text}"
    );
}
