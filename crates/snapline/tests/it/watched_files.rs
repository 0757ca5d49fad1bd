//! A folder that is watched for new files while the job runs, stops and goes on.

use crate::support::{environment, run, wait_for};
use futures::executor::block_on;
use snapline::prelude::*;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const LINES: u64 = 500;

/// A folder into which files come, whole.
struct Inbox(TempDir);

impl Inbox {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A file with so many numbers.
    fn receive(&self, file: u64) {
        let numbers = (file * LINES..(file + 1) * LINES).map(|number| format!("{number}\n"));
        let hidden = self.0.path().join(".coming");
        fs::write(&hidden, numbers.collect::<String>()).unwrap();
        fs::rename(hidden, self.0.path().join(format!("{file}.log"))).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn source(&self) -> FileSource<String> {
        FileSource::lines(self.path())
            .watch(Duration::from_millis(5))
            .until_exists(self.path().join(".end"))
    }
}

fn env(
    inbox: &Inbox,
    parallelism: u32,
    storage: &MemoryCheckpointStorage,
    sink: CollectSink<String>,
) -> StreamExecutionEnvironment {
    let env = environment(parallelism, storage.clone());
    env.from_source(inbox.source(), "inbox").rebalance().sink_to(sink);
    env
}

fn all(files: u64) -> Vec<u64> {
    (0..files * LINES).collect()
}

fn numbers(lines: Vec<String>) -> Vec<u64> {
    let mut numbers: Vec<u64> = lines.iter().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn files_that_come_while_a_job_runs_stops_and_goes_on_are_read_once() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    inbox.receive(0);
    let mut files = 1;
    for parallelism in [1, 3, 2] {
        let env = env(&inbox, parallelism, &storage, sink.clone());
        let job = block_on(env.execute_async("test")).unwrap();
        for _ in 0..2 {
            inbox.receive(files);
            files += 1;
            let before = job.status().checkpoints.completed;
            wait_for(&job, |status| status.checkpoints.completed >= before + 3);
        }
        job.cancel();
        let _ = block_on(job.wait());
        // What was read to its end may be taken away; what comes while nobody looks is read as well.
        inbox.receive(files);
        files += 1;
    }
    fs::write(inbox.path().join(".end"), "").unwrap();
    run(&env(&inbox, 2, &storage, sink)).unwrap();
    assert_eq!(numbers(results.take()), all(files));
}

#[test]
fn a_job_waits_for_files_until_it_is_told_that_none_will_come() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    let job = block_on(env(&inbox, 2, &storage, sink).execute_async("test")).unwrap();
    wait_for(&job, |status| status.checkpoints.completed >= 3);
    assert_eq!(
        job.status().state,
        JobState::Running,
        "there is nothing to read, and it runs"
    );
    inbox.receive(0);
    inbox.receive(1);
    fs::write(inbox.path().join(".end"), "").unwrap();
    block_on(job.wait()).unwrap();
    assert_eq!(numbers(results.take()), all(2));
}

#[test]
fn a_folder_that_vanishes_fails_the_job_with_its_name() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let env = env(&inbox, 1, &storage, CollectSink::new().0);
    env.configure(|settings| settings.restart = Some(RestartSettings::None));
    let job = block_on(env.execute_async("test")).unwrap();
    wait_for(&job, |status| status.checkpoints.completed >= 1);
    fs::remove_dir_all(inbox.path()).unwrap();
    let error = block_on(job.wait()).unwrap_err();
    assert_eq!(error.kind(), snapline::ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains(inbox.path().to_str().unwrap()) && text.contains("inbox"),
        "{text}"
    );
}
