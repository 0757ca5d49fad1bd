//! Jobs whose scratch folder is on a disk that is full: a real one, of some megabytes.
//!
//! The disk is a file system in memory that only the process sees which mounts it. Where processes may not have such
//! namespaces of their own, the tests say that they are skipped.

use crate::counting::counts_after;
use crate::support::wait_for;
use futures::executor::block_on;
use snapline::backends::file::FileStateBackend;
use snapline::connector::Collected;
use snapline::dataflow::JobStatus;
use snapline::prelude::*;
use snapline::{ErrorKind, Result};
use snapline_testkit::services::skip;
use std::collections::BTreeMap;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DISK: &str = "SNAPLINE_TEST_SMALL_DISK";
const KEYS: u64 = 10_000;
const NUMBERS: u64 = 20 * KEYS;

/// Runs a test of this file again, in a process that has a disk of 16 MB.
fn on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mount = r#"mount -t tmpfs -o size=16m tmpfs "$0""#;
    let alone = |script: String| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
        command.arg(folder.path());
        command
    };
    let is_possible = alone(mount.to_owned()).output();
    if !is_possible.is_ok_and(|output| output.status.success()) {
        return skip("this process may not mount a file system of its own".to_owned());
    }
    let outcome = alone(format!(r#"{mount} && exec "$@""#))
        .arg(env::current_exe().unwrap())
        .args(["--exact", &format!("full_disk::{test}"), "--nocapture"])
        .env(DISK, folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{told}");
    // A name that is no test would be a success too.
    assert!(String::from_utf8_lossy(&outcome.stdout).contains("1 passed"));
}

/// The small disk, in the process that has it.
fn small_disk() -> Option<SmallDisk> {
    env::var_os(DISK).map(|folder| SmallDisk {
        folder: folder.into(),
        is_full: Arc::default(),
    })
}

#[derive(Clone)]
struct SmallDisk {
    folder: PathBuf,
    is_full: Arc<Mutex<bool>>,
}

impl SmallDisk {
    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// From now on there is no room.
    fn fill(&self) {
        *self.is_full.lock().unwrap() = true;
        self.stay_full();
    }

    /// Takes the room that is left, or was made by those who use the disk, if there is to be none.
    fn stay_full(&self) {
        let is_full = self.is_full.lock().unwrap();
        if !*is_full {
            return;
        }
        let ballast = OpenOptions::new().create(true).append(true).open(self.ballast());
        let mut ballast = ballast.unwrap();
        for size in [1 << 16, 1 << 8, 1] {
            let piece = vec![0; size];
            let full = loop {
                if let Err(error) = ballast.write_all(&piece) {
                    break error;
                }
            };
            assert_eq!(full.kind(), IoErrorKind::StorageFull);
        }
    }

    fn make_room(&self) {
        let mut is_full = self.is_full.lock().unwrap();
        *is_full = false;
        fs::remove_file(self.ballast()).unwrap();
    }

    fn state(&self) -> FileStateBackend {
        FileStateBackend::builder(self.folder.join("state"))
            .memory_bytes(1024 * 1024)
            .cache_bytes(0)
            .build()
    }
}

/// Counts numbers by their remainder, on a disk that does not become less full by itself.
struct Counting {
    job: JobHandle,
    results: Collected<(u64, u64)>,
}

impl Counting {
    fn start(disk: &SmallDisk, storage: &MemoryCheckpointStorage, restart: RestartSettings) -> Self {
        let env = StreamExecutionEnvironment::builder()
            .parallelism(1)
            .checkpoint_storage(storage.clone())
            .state_backend(disk.state())
            .restart(restart)
            .build()
            .unwrap();
        env.enable_checkpointing(Duration::from_millis(20));
        let (sink, results) = CollectSink::new();
        let disk = disk.clone();
        env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
            .map(move |number| {
                if number.is_multiple_of(500) {
                    disk.stay_full();
                }
                (number % KEYS, 1_u64)
            })
            .key_by(|(key, _)| *key)
            .emit(Emit::Final)
            .sum(|(_, count)| count)
            .sink_to(sink);
        let job = block_on(env.execute_async("counting")).unwrap();
        Self { job, results }
    }

    /// Fills the disk when there is a checkpoint.
    fn fill(&self, disk: &SmallDisk) {
        wait_for(&self.job, |status| status.checkpoints.completed > 0);
        disk.fill();
    }

    /// The counts, and what became of the job.
    fn finish(self) -> Result<(BTreeMap<u64, u64>, JobStatus)> {
        let status = block_on(self.job.wait())?.status;
        Ok((self.results.take().into_iter().collect(), status))
    }
}

#[test]
fn a_job_says_what_to_do_and_its_next_run_goes_on_from_its_checkpoint() {
    let Some(disk) = small_disk() else {
        return on_a_small_disk("a_job_says_what_to_do_and_its_next_run_goes_on_from_its_checkpoint");
    };
    let storage = MemoryCheckpointStorage::new();
    let job = Counting::start(&disk, &storage, RestartSettings::None);
    job.fill(&disk);
    let error = job.finish().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let told = error.to_string();
    for part in [
        "the disk of the scratch folder of live state is full; make room, or give",
        "FileStateBackend::builder",
        disk.folder.to_str().unwrap(),
    ] {
        assert!(told.contains(part), "{told}");
    }

    disk.make_room();
    let job = Counting::start(&disk, &storage, RestartSettings::None);
    let (counts, status) = job.finish().unwrap();
    assert!(status.restored.is_some(), "{status:?}");
    assert!(counts == counts_after(&[NUMBERS], KEYS));
}

#[test]
fn a_job_that_may_restart_does_until_there_is_room() {
    let Some(disk) = small_disk() else {
        return on_a_small_disk("a_job_that_may_restart_does_until_there_is_room");
    };
    let restart = RestartSettings::FixedDelay {
        attempts: u32::MAX,
        delay_ms: 1,
    };
    let storage = MemoryCheckpointStorage::new();
    let job = Counting::start(&disk, &storage, restart);
    job.fill(&disk);
    wait_for(&job.job, |status| status.restarts >= 3);
    disk.make_room();
    let (counts, status) = job.finish().unwrap();
    assert!(status.restored.is_some(), "{status:?}");
    assert!(counts == counts_after(&[NUMBERS], KEYS));
}
