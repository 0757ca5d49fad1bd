//! State on a local disk, with hardly any memory.

use crate::support::{assert_exactly_once, count_by_remainder, panic_at, run, wait_for};
use futures::executor::block_on;
use snapline::EnvironmentBuilder;
use snapline::backends::file::FileStateBackend;
use snapline::connector::{ChannelSender, Collected};
use snapline::core::ClaimMode;
use snapline::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;

const NUMBERS: u64 = 100_000;
/// Much more state than there is room for.
const MANY_KEYS: u64 = 6_000;

/// In memory where there is such a folder: files are synced, which a test need not wait for.
fn directory() -> TempDir {
    let shared = tempfile::tempdir_in("/dev/shm");
    shared.or_else(|_| tempfile::tempdir()).unwrap()
}

fn backend(directory: &TempDir) -> FileStateBackend {
    FileStateBackend::builder(directory.path())
        .memory_bytes(256 * 1024)
        .cache_bytes(256 * 1024)
        .build()
}

fn environment(storage: &MemoryCheckpointStorage, parallelism: u32) -> EnvironmentBuilder {
    StreamExecutionEnvironment::builder()
        .parallelism(parallelism)
        .checkpoint_storage(storage.clone())
}

/// A job that counts what the test sends to it, with a checkpoint each few milliseconds.
struct Counting {
    feed: ChannelSender<u64>,
    job: JobHandle,
    results: Collected<(u64, u64)>,
}

impl Counting {
    fn start(env: EnvironmentBuilder, name: &str) -> Self {
        let env = env.build().unwrap();
        env.enable_checkpointing(Duration::from_millis(5));
        let (feed, source) = ChannelSource::bounded(1 << 16);
        let (sink, results) = CollectSink::new();
        env.from_source(source, "numbers")
            .map(|number| (number % MANY_KEYS, 1))
            .key_by(|(key, _)| *key)
            .emit(Emit::Final)
            .sum(|(_, count)| count)
            .uid("counts")
            .sink_to(sink)
            .uid("results");
        let job = block_on(env.execute_async(name)).unwrap();
        Self { feed, job, results }
    }

    fn send(&self, numbers: std::ops::Range<u64>) {
        let until = self.job.status().records + (numbers.end - numbers.start);
        for number in numbers {
            block_on(self.feed.send(number)).unwrap();
        }
        wait_for(&self.job, |status| status.records >= until);
        let done = self.job.status().checkpoints.completed;
        wait_for(&self.job, |status| status.checkpoints.completed > done + 1);
    }

    fn stop(self) {
        self.job.cancel();
        let _ = block_on(self.job.wait());
    }

    fn finish(self) -> BTreeMap<u64, u64> {
        drop(self.feed);
        block_on(self.job.wait()).unwrap();
        self.results.take().into_iter().collect()
    }
}

fn counts_after(sent: &[u64]) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for number in sent.iter().flat_map(|sent| 0..*sent) {
        *counts.entry(number % MANY_KEYS).or_default() += 1;
    }
    counts
}

#[test]
fn a_task_that_panics_leaves_no_trace_in_the_results() {
    for parallelism in [1, 2] {
        for share in [0, 5, 9] {
            let directory = directory();
            let env = environment(&MemoryCheckpointStorage::new(), parallelism)
                .state_backend(backend(&directory))
                .restart(RestartSettings::FixedDelay {
                    attempts: 20,
                    delay_ms: 0,
                })
                .build()
                .unwrap();
            env.enable_checkpointing(Duration::from_millis(5));
            let (sink, results) = CollectSink::new();
            count_by_remainder(&env, NUMBERS, panic_at(NUMBERS * share / 10), sink);
            let status = run(&env).unwrap().status;
            assert_eq!((status.state, status.restarts), (JobState::Finished, 1));
            assert_exactly_once(&results.take(), NUMBERS);
        }
    }
}

#[test]
fn a_job_goes_on_with_other_numbers_of_subtasks() {
    let directory = directory();
    let storage = MemoryCheckpointStorage::new();
    let mut sent = Vec::new();
    for parallelism in [1, 2, 3, 1] {
        let env = environment(&storage, parallelism).state_backend(backend(&directory));
        let job = Counting::start(env, "counting");
        job.send(0..7_500);
        job.send(0..100);
        sent.extend([7_500, 100]);
        job.stop();
    }
    let env = environment(&storage, 2).state_backend(backend(&directory));
    assert_eq!(Counting::start(env, "counting").finish(), counts_after(&sent));
}

#[test]
fn a_savepoint_moves_from_memory_to_disk_and_back() {
    let directory = directory();
    let storage = MemoryCheckpointStorage::new();
    let mut sent = Vec::new();
    let mut savepoint: Option<String> = None;
    for (number, on_disk) in [false, true, false, true].into_iter().enumerate() {
        let mut env = environment(&storage, 1 + number as u32 % 2);
        if on_disk {
            env = env.state_backend(backend(&directory));
        }
        if let Some(path) = savepoint {
            env = env.restore_from(path, ClaimMode::NoClaim);
        }
        let job = Counting::start(env, &format!("job-{number}"));
        job.send(0..6_500);
        sent.push(6_500);
        let path = format!("savepoints/{number}");
        block_on(job.job.savepoint(path.as_str().into())).unwrap();
        savepoint = Some(path);
        if number == 3 {
            assert_eq!(job.finish(), counts_after(&sent));
        } else {
            job.stop();
        }
    }
}
