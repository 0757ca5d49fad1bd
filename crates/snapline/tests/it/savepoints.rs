//! Savepoints: taken while a job runs, with which it stops or drains, and from which others start.

use crate::support::wait_for;
use futures::executor::block_on;
use snapline::connector::{ChannelSender, Collected};
use snapline::core::{AlignmentSettings, ClaimMode, MaxParallelism};
use snapline::dataflow::{SavepointInfo, SavepointRequest};
use snapline::prelude::*;
use snapline::state::{CheckpointStorage, StorageKey};
use snapline::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::time::Duration;

/// A job that counts what the test sends to it.
struct Fed {
    feed: ChannelSender<u64>,
    job: JobHandle,
    results: Collected<(u64, u64)>,
}

fn environment(storage: &MemoryCheckpointStorage) -> EnvironmentBuilder {
    StreamExecutionEnvironment::builder().checkpoint_storage(storage.clone())
}

type EnvironmentBuilder = snapline::EnvironmentBuilder;

/// Starts the job with periodic checkpoints that are too rare to come in the way.
fn start(env: EnvironmentBuilder, name: &str, emit: Emit) -> Result<Fed> {
    let env = env.build()?;
    env.enable_checkpointing(Duration::from_secs(600));
    let (feed, source) = ChannelSource::bounded(1 << 16);
    let (sink, results) = CollectSink::new();
    count(&env, source, emit, sink);
    let job = block_on(env.execute_async(name))?;
    Ok(Fed { feed, job, results })
}

fn count(
    env: &StreamExecutionEnvironment,
    source: ChannelSource<u64>,
    emit: Emit,
    sink: CollectSink<(u64, u64)>,
) {
    env.from_source(source, "numbers")
        .map(|number| (number % 10, 1))
        .key_by(|(key, _)| *key)
        .emit(emit)
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(sink)
        .uid("results");
}

impl Fed {
    fn send(&self, numbers: std::ops::Range<u64>) {
        let until = self.job.status().records + (numbers.end - numbers.start);
        for number in numbers {
            block_on(self.feed.send(number)).unwrap();
        }
        wait_for(&self.job, |status| status.records >= until);
    }

    fn savepoint(&self, request: impl Into<SavepointRequest>) -> Result<SavepointInfo> {
        block_on(self.job.savepoint(request.into()))
    }

    /// Ends the input and returns the last count of each key.
    fn finish(self) -> BTreeMap<u64, u64> {
        drop(self.feed);
        block_on(self.job.wait()).unwrap();
        last_counts(&self.results)
    }
}

fn last_counts(results: &Collected<(u64, u64)>) -> BTreeMap<u64, u64> {
    results.take().into_iter().collect()
}

/// The counts of 10 keys after so many numbers.
fn counts_after(numbers: u64) -> BTreeMap<u64, u64> {
    (0..10).map(|key| (key, numbers / 10)).collect()
}

fn files(storage: &MemoryCheckpointStorage, prefix: &str) -> Vec<StorageKey> {
    block_on(storage.list(prefix, None)).unwrap()
}

#[test]
fn a_savepoint_is_taken_while_the_job_goes_on_and_another_job_starts_from_it() {
    let storage = MemoryCheckpointStorage::new();
    let first = start(environment(&storage), "first", Emit::Updates).unwrap();
    first.send(0..1000);
    let savepoint = first.savepoint("savepoints/middle").unwrap();
    assert_eq!(savepoint.path, "savepoints/middle");
    first.send(0..500);
    assert_eq!(first.finish(), counts_after(1500));

    let fork = environment(&storage).restore_from("savepoints/middle", ClaimMode::NoClaim);
    let second = start(fork, "second", Emit::Updates).unwrap();
    second.send(0..100);
    assert_eq!(
        second.finish(),
        counts_after(1100),
        "it began where the savepoint was"
    );
}

#[test]
fn a_job_that_stops_with_a_savepoint_goes_on_from_it_when_it_is_run_again() {
    let storage = MemoryCheckpointStorage::new();
    let first = start(environment(&storage), "job", Emit::Final).unwrap();
    first.send(0..1000);
    first
        .savepoint(SavepointRequest::new("savepoints/stop").suspend())
        .unwrap();
    let status = block_on(first.job.wait()).unwrap().status;
    assert_eq!(status.state, JobState::Suspended, "{status:?}");
    assert!(
        first.results.take().is_empty(),
        "nobody was told that the input had ended"
    );

    let again = start(environment(&storage), "job", Emit::Final).unwrap();
    again.send(0..200);
    assert_eq!(again.finish(), counts_after(1200));
}

#[test]
fn a_job_that_drains_with_a_savepoint_emits_its_final_results() {
    let storage = MemoryCheckpointStorage::new();
    let job = start(environment(&storage), "job", Emit::Final).unwrap();
    job.send(0..1000);
    job.savepoint(SavepointRequest::new("savepoints/drain").drain())
        .unwrap();
    let status = block_on(job.job.wait()).unwrap().status;
    assert_eq!(status.state, JobState::Finished, "{status:?}");
    assert_eq!(last_counts(&job.results), counts_after(1000));
}

#[test]
fn a_savepoint_can_be_in_another_storage() {
    let (storage, elsewhere) = (MemoryCheckpointStorage::new(), MemoryCheckpointStorage::new());
    let first = start(environment(&storage), "job", Emit::Updates).unwrap();
    first.send(0..1000);
    let request = SavepointRequest::new("shelf/one").in_storage(elsewhere.clone());
    first.savepoint(request.suspend()).unwrap();
    block_on(first.job.wait()).unwrap();
    assert!(!files(&elsewhere, "shelf/one").is_empty());

    let other = environment(&MemoryCheckpointStorage::new())
        .savepoint_storage(elsewhere)
        .restore_from("shelf/one", ClaimMode::NoClaim);
    let second = start(other, "other", Emit::Updates).unwrap();
    second.send(0..100);
    assert_eq!(second.finish(), counts_after(1100));
}

#[test]
fn a_run_that_was_started_from_a_savepoint_resumes_from_what_it_has_done_since() {
    let storage = MemoryCheckpointStorage::new();
    let origin = start(environment(&storage), "origin", Emit::Updates).unwrap();
    origin.send(0..1000);
    origin.savepoint("savepoints/origin").unwrap();
    origin.finish();
    let from_savepoint = || environment(&storage).restore_from("savepoints/origin", ClaimMode::NoClaim);
    let first = start(from_savepoint(), "job", Emit::Updates).unwrap();
    first.send(0..500);
    first
        .savepoint(SavepointRequest::new("savepoints/later").suspend())
        .unwrap();
    block_on(first.job.wait()).unwrap();
    let second = start(from_savepoint(), "job", Emit::Updates).unwrap();
    second.send(0..50);
    assert_eq!(second.finish(), counts_after(1550));
}

#[test]
fn a_claimed_savepoint_is_deleted_when_it_is_no_longer_needed_and_no_other_is() {
    for (claim, is_kept) in [(ClaimMode::NoClaim, true), (ClaimMode::Claim, false)] {
        let storage = MemoryCheckpointStorage::new();
        let origin = start(environment(&storage), "origin", Emit::Updates).unwrap();
        origin.send(0..100);
        origin.savepoint("savepoints/origin").unwrap();
        origin.finish();
        let env = environment(&storage)
            .restore_from("savepoints/origin", claim)
            .build()
            .unwrap();
        env.configure(|settings| settings.checkpoints.get_or_insert_default().retained = 1);
        env.enable_checkpointing(Duration::from_millis(2));
        let (feed, source) = ChannelSource::bounded(16);
        let (sink, results) = CollectSink::new();
        count(&env, source, Emit::Updates, sink);
        let job = block_on(env.execute_async("job")).unwrap();
        wait_for(&job, |status| {
            status.checkpoints.completed >= 3 && files(&storage, "savepoints/").is_empty() != is_kept
        });
        drop(feed);
        block_on(job.wait()).unwrap();
        assert_eq!(
            last_counts(&results),
            counts_after(100),
            "what the savepoint had pre-committed"
        );
        assert_eq!(!files(&storage, "savepoints/").is_empty(), is_kept);
    }
}

/// The error with which a job fails that starts like this.
fn failure(env: EnvironmentBuilder) -> Error {
    let fed = match start(env, "other", Emit::Updates) {
        Ok(fed) => fed,
        Err(error) => return error,
    };
    drop(fed.feed);
    block_on(fed.job.wait()).unwrap_err()
}

fn assert_tells(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    parts
        .iter()
        .for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}

/// A storage that has a savepoint at `savepoints/one`.
fn with_savepoint() -> MemoryCheckpointStorage {
    let storage = MemoryCheckpointStorage::new();
    let job = start(environment(&storage), "job", Emit::Updates).unwrap();
    job.send(0..100);
    job.savepoint("savepoints/one").unwrap();
    job.finish();
    storage
}

fn from_one(storage: &MemoryCheckpointStorage) -> EnvironmentBuilder {
    environment(storage).restore_from("savepoints/one", ClaimMode::NoClaim)
}

#[test]
fn a_savepoint_that_is_not_there_is_named() {
    let error = failure(from_one(&MemoryCheckpointStorage::new()));
    assert_tells(&error, ErrorKind::Invalid, &["savepoints/one"]);
}

#[test]
fn a_savepoint_without_its_manifest_is_incomplete() {
    let storage = with_savepoint();
    let manifest = StorageKey::new("savepoints/one/manifest.json").unwrap();
    block_on(storage.delete(&[manifest])).unwrap();
    let error = failure(from_one(&storage));
    assert_tells(&error, ErrorKind::Invalid, &["savepoints/one"]);
}

#[test]
fn nothing_is_written_over_a_savepoint() {
    let storage = with_savepoint();
    let job = start(environment(&storage), "again", Emit::Updates).unwrap();
    job.send(0..10);
    let error = job.savepoint("savepoints/one").unwrap_err();
    assert_tells(&error, ErrorKind::Invalid, &["savepoints/one"]);
    assert_eq!(job.savepoint("savepoints/two").unwrap().path, "savepoints/two");
    assert_eq!(
        job.finish(),
        (0..10).map(|key| (key, 1)).collect(),
        "the job did not mind"
    );
}

#[test]
fn a_path_that_cannot_be_is_refused() {
    let job = start(environment(&MemoryCheckpointStorage::new()), "job", Emit::Updates).unwrap();
    job.send(0..1);
    assert_eq!(job.savepoint("../up").unwrap_err().kind(), ErrorKind::Invalid);
    job.finish();
}

#[test]
fn a_job_that_has_ended_takes_no_savepoint() {
    let job = start(environment(&MemoryCheckpointStorage::new()), "job", Emit::Updates).unwrap();
    let handle = job.job.clone();
    job.finish();
    let error = block_on(handle.savepoint("savepoints/late".into())).unwrap_err();
    assert_tells(&error, ErrorKind::Unavailable, &["not running"]);
}

#[test]
fn state_of_an_operator_that_is_gone_is_not_dropped_silently() {
    let storage = with_savepoint();
    let without_counts = |allow: bool| {
        let env = from_one(&storage).build().unwrap();
        env.configure(|settings| settings.allow_non_restored_state = allow);
        let (feed, source) = ChannelSource::<u64>::bounded(16);
        let (sink, _results) = CollectSink::new();
        env.from_source(source, "numbers")
            .map(|number| (number, number))
            .sink_to(sink)
            .uid("results");
        drop(feed);
        block_on(env.execute("other"))
    };
    let error = without_counts(false).unwrap_err();
    assert_tells(
        &error,
        ErrorKind::Invalid,
        &["counts", "allow_non_restored_state", ".uid("],
    );
    without_counts(true).unwrap();
}

#[test]
fn a_program_that_does_not_fit_its_savepoint_leaves_nothing_behind() {
    let storage = with_savepoint();
    let before = files(&storage, "");
    // Another job, and the one that has taken the savepoint and has checkpoints of its own.
    for name in ["other", "job"] {
        for (uid, max_parallelism) in [("renamed", None), ("counts", MaxParallelism::new(64).ok())] {
            let env = from_one(&storage).build().unwrap();
            env.configure(|settings| settings.max_parallelism = max_parallelism);
            let (sink, _results) = CollectSink::new();
            env.from_source(ChannelSource::<u64>::bounded(16).1, "numbers")
                .map(|number| (number % 10, 1))
                .key_by(|(key, _)| *key)
                .sum(|(_, count)| count)
                .uid(uid)
                .sink_to(sink)
                .uid("results");
            let error = block_on(env.execute(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            // The collection of garbage, for which no job waits, may still take some away.
            let new: Vec<_> = files(&storage, "")
                .into_iter()
                .filter(|file| !before.contains(file))
                .collect();
            assert_eq!(new, [], "{name} {uid}");
        }
    }
}

#[test]
fn a_job_cannot_start_both_fresh_and_from_a_savepoint() {
    let error = from_one(&MemoryCheckpointStorage::new())
        .fresh()
        .build()
        .unwrap_err();
    assert_tells(&error, ErrorKind::Invalid, &["fresh", "restore"]);
}

/// A bounded pipeline that is over, but whose tasks do not end as barriers may overtake, beside one that
/// keeps the job alive.
fn start_with_bounded(storage: &MemoryCheckpointStorage, parallelism: u32) -> (Fed, Collected<(u64, u64)>) {
    let env = environment(storage).parallelism(parallelism).build().unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.alignment = AlignmentSettings::Unaligned;
        }
    });
    let (feed, source) = ChannelSource::bounded(16);
    let ((sink, results), (bounded_sink, bounded)) = (CollectSink::new(), CollectSink::new());
    count(&env, source, Emit::Updates, sink);
    env.from_source(SequenceSource::new(0..1000), "bounded")
        .map(|number| (number % 10, 1))
        .key_by(|(key, _)| *key)
        .emit(Emit::Final)
        .sum(|(_, count)| count)
        .uid("bounded-counts")
        .sink_to(bounded_sink)
        .uid("bounded-results");
    let job = block_on(env.execute_async("job")).unwrap();
    (Fed { feed, job, results }, bounded)
}

#[test]
fn results_that_are_final_are_not_emitted_again_by_any_number_of_subtasks() {
    let storage = MemoryCheckpointStorage::new();
    let (first, bounded) = start_with_bounded(&storage, 2);
    let mut found = Vec::new();
    while found.len() < 10 {
        found.extend(bounded.take());
        std::thread::yield_now();
    }
    first
        .savepoint(SavepointRequest::new("savepoints/stop").suspend())
        .unwrap();
    block_on(first.job.wait()).unwrap();
    for parallelism in [3, 1] {
        let (again, bounded) = start_with_bounded(&storage, parallelism);
        // By then the sources have said again that their data has ended.
        wait_for(&again.job, |status| status.checkpoints.completed > 5);
        again
            .savepoint(SavepointRequest::new(format!("savepoints/{parallelism}")).suspend())
            .unwrap();
        block_on(again.job.wait()).unwrap();
        found.extend(bounded.take());
    }
    found.sort_unstable();
    let expected: Vec<_> = (0..10).map(|key| (key, 100)).collect();
    assert_eq!(found, expected);
}
