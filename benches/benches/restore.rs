//! What it takes to restore a large state: time, and memory beside that of the state itself.
//!
//! `cargo bench -p snapline-benches --bench restore` prints a line of JSON for each backend and storage, with a state of 1 GB.
//! Each has a process of its own, so that none uses the memory of another. `-- 300` takes a state of 300 MB.
#![allow(clippy::print_stdout, reason = "this is a program, not a library")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use futures::executor::block_on;
use futures::future::poll_fn;
use serde_json::json;
use snapline::backends::file::{FileCheckpointStorage, FileStateBackend};
use snapline::backends::memory::MemoryStateBackend;
use snapline_benches::{Usage, mix};
use snapline_core::{
    CheckpointId, Clock, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex, SystemClock,
};
use snapline_state::{
    CheckpointStorage, KeyedStateBackend, SnapshotTarget, StateBackend, StateContext, StateHandle,
    StorageKey, ValueState,
};
use snapline_state_object::ObjectCheckpointStorage;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How large the state is when no other size is asked for, in 10^6 bytes of its encoded entries.
const STATE_MB: u64 = 1_000;
/// What an entry of random numbers takes when it is encoded.
const ENTRY_BYTES: u64 = 130;
/// What the backend on a local disk is given.
const MEMORY_BYTES: usize = 64 << 20;
const CACHE_BYTES: u64 = 16 << 20;

type Numbers = ValueState<u64, [u64; 12]>;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .filter(|argument| argument != "--bench")
        .collect();
    match &arguments[1..] {
        [step, backend, storage, folder, mb] => {
            let subject = Subject {
                backend: backend.clone(),
                storage: storage.clone(),
                folder: folder.into(),
                entries: mb.parse::<u64>().unwrap() * 1_000_000 / ENTRY_BYTES,
            };
            match step.as_str() {
                "store" => subject.store(),
                _ => subject.restore(),
            }
        }
        others => run_all(others.first().map_or(STATE_MB, |mb| mb.parse().unwrap())),
    }
}

fn run_all(mb: u64) {
    let directory = tempfile::tempdir().unwrap();
    for storage in ["object", "file"] {
        for backend in ["memory", "file"] {
            let folder = directory.path().join(format!("{backend}-{storage}"));
            for step in ["store", "restore"] {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command
                    .args([step, backend, storage])
                    .arg(&folder)
                    .arg(mb.to_string());
                assert!(command.status().unwrap().success());
            }
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

/// A backend, a storage, and where both are.
struct Subject {
    backend: String,
    storage: String,
    folder: PathBuf,
    entries: u64,
}

impl Subject {
    fn store(&self) {
        let (numbers, mut state) = self.open(Vec::new());
        let mut hasher = StableHasher::new();
        for key in (0..self.entries).map(mix) {
            let hash = hasher.hash(&key).unwrap();
            numbers.update(&mut *state, hash, key, value(key)).unwrap();
        }
        let snapshot = state.freeze(CheckpointId(1), None).unwrap();
        let target = SnapshotTarget::new(self.storage(), StorageKey::new("bench").unwrap());
        let handles = std::thread::scope(|scope| {
            let storing = scope.spawn(|| block_on(snapshot.persist(&target)).unwrap());
            block_on(poll_fn(|cx| state.poll_advance(cx))).unwrap();
            storing.join().unwrap()
        });
        std::fs::write(self.folder.join("handles"), serde_json::to_vec(&handles).unwrap()).unwrap();
    }

    fn restore(&self) {
        let handles: Vec<StateHandle> =
            serde_json::from_slice(&std::fs::read(self.folder.join("handles")).unwrap()).unwrap();
        let bytes: u64 = handles.iter().map(|handle| handle.len).sum();
        let (clock, before) = (SystemClock::new(), Usage::now());
        let (numbers, mut state) = self.open(handles);
        let (seconds, after) = (clock.monotonic().as_secs_f64(), Usage::now());
        let mut hasher = StableHasher::new();
        for key in (0..self.entries).step_by(997).map(mix) {
            let found = numbers
                .value(&mut *state, hasher.hash(&key).unwrap(), &key)
                .unwrap();
            assert_eq!(found, Some(value(key)));
        }
        let cpu = |usage: Usage| usage.cpu_seconds.unwrap_or(f64::NAN);
        let report = json!({
            "backend": self.backend,
            "storage": self.storage,
            "entries": self.entries,
            "stored_mb": bytes as f64 / 1e6,
            "restore_seconds": seconds,
            "cpu_seconds": cpu(after) - cpu(before),
            "peak_rss_mb": after.peak_rss_mb,
            "rss_mb": after.rss_mb,
            "rss_before_mb": before.rss_mb,
        });
        println!("{report}");
    }

    fn open(&self, restore: Vec<StateHandle>) -> (Numbers, Box<dyn KeyedStateBackend>) {
        let max_parallelism = MaxParallelism::DEFAULT;
        let mut tables = Vec::new();
        let numbers = Numbers::register("numbers", &mut tables, max_parallelism);
        let context = StateContext {
            operator: OperatorUid::new("numbers").unwrap(),
            subtask: SubtaskIndex(0),
            max_parallelism,
            key_groups: max_parallelism.full_range(),
            tables,
            restore,
            base: None,
            storage: self.storage(),
        };
        (numbers, block_on(self.backend().open(context)).unwrap())
    }

    fn backend(&self) -> Box<dyn StateBackend> {
        match self.backend.as_str() {
            "memory" => Box::new(MemoryStateBackend::new()),
            _ => Box::new(
                FileStateBackend::builder(self.folder.join("state"))
                    .memory_bytes(MEMORY_BYTES)
                    .cache_bytes(CACHE_BYTES)
                    .build(),
            ),
        }
    }

    fn storage(&self) -> Arc<dyn CheckpointStorage> {
        let folder = self.folder.join("checkpoints");
        std::fs::create_dir_all(&folder).unwrap();
        match self.storage.as_str() {
            "object" => Arc::new(object_store(&folder)),
            _ => Arc::new(FileCheckpointStorage::open(folder).unwrap()),
        }
    }
}

fn object_store(folder: &Path) -> ObjectCheckpointStorage {
    block_on(ObjectCheckpointStorage::open(format!(
        "file://{}",
        folder.display()
    )))
    .unwrap()
}

fn value(key: u64) -> [u64; 12] {
    std::array::from_fn(|index| mix(key ^ (index as u64) << 40))
}
