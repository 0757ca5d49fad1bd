//! State on a local disk, with hardly any memory.

use crate::counting::{Counting, counts_after};
use crate::support::{assert_exactly_once, count_by_remainder, panic_at, run};
use futures::executor::block_on;
use snapline::EnvironmentBuilder;
use snapline::backends::file::FileStateBackend;
use snapline::core::ClaimMode;
use snapline::prelude::*;
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

/// With a checkpoint each few milliseconds.
fn start(env: EnvironmentBuilder, name: &str) -> Counting {
    let env = env.build().unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    Counting::start(&env, name, MANY_KEYS)
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
        let job = start(env, "counting");
        job.send(0..7_500);
        job.send(0..100);
        sent.extend([7_500, 100]);
        job.stop();
    }
    let env = environment(&storage, 2).state_backend(backend(&directory));
    assert_eq!(start(env, "counting").finish(), counts_after(&sent, MANY_KEYS));
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
        let job = start(env, &format!("job-{number}"));
        job.send(0..6_500);
        sent.push(6_500);
        let path = format!("savepoints/{number}");
        block_on(job.job().savepoint(path.as_str().into())).unwrap();
        savepoint = Some(path);
        if number == 3 {
            assert_eq!(job.finish(), counts_after(&sent, MANY_KEYS));
        } else {
            job.stop();
        }
    }
}
