//! What the state backend in memory costs beside its accesses, by size of the state: how long a freeze and a drain
//! take, how long a restore takes, and how much memory an entry needs.
//!
//! `cargo bench -p snapline-benches --bench memory` prints a line of JSON for each size; each has a process of its own,
//! so that none uses the memory of another.
#![allow(clippy::print_stdout, reason = "this is a program, not a library")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use futures::executor::block_on;
use serde_json::json;
use snapline::backends::memory::{MemoryCheckpointStorage, MemoryStateBackend};
use snapline_benches::{Usage, mix};
use snapline_core::{
    CheckpointId, Clock, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex, SystemClock,
};
use snapline_state::{
    CheckpointStorage, KeyedStateBackend, Slot, Snapshot, SnapshotTarget, StateBackend, StateContext,
    StateHandle, StorageKey, ValueState,
};
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const KEYS: [u64; 3] = [1_000, 1_000_000, 10_000_000];

/// As many records as a batch of a job has.
const BATCH: usize = 1_024;

fn main() {
    let mut sizes = std::env::args().filter_map(|argument| argument.parse().ok());
    if let Some(keys) = sizes.next() {
        return measure(keys);
    }
    for keys in KEYS {
        let program = std::env::current_exe().unwrap();
        assert!(
            Command::new(program)
                .arg(keys.to_string())
                .status()
                .unwrap()
                .success()
        );
    }
}

fn measure(keys: u64) {
    let mut subject = Subject::new();
    let before = resident_mb();
    subject.add_one(0..keys);
    let bytes = (resident_mb() - before) * 1e6 / keys as f64;
    let full = subject.snapshot(None);
    subject.add_one((0..keys / 100).map(|index| mix(index) % keys));
    let delta = subject.snapshot(Some(&full));
    let restore = subject.restore(&delta.handles);
    let report = json!({
        "keys": keys,
        "bytes_per_entry": bytes,
        "freeze_us": micros(full.stall.max(delta.stall)),
        "longest_step_us": micros(full.longest_step),
        "drain_ns_per_entry": full.drain.as_nanos() as f64 / keys as f64,
        "full_bytes": full.len(),
        "delta_of_1_percent": delta.len() as f64 / full.len() as f64,
        "restore_ms": micros(restore) / 1e3,
    });
    println!("{report}");
}

/// The most memory that the process has used so far, in 10^6 bytes.
fn resident_mb() -> f64 {
    Usage::now().peak_rss_mb.unwrap_or(f64::NAN)
}

fn micros(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

/// A backend with sums by key.
struct Subject {
    clock: SystemClock,
    storage: Arc<dyn CheckpointStorage>,
    sums: ValueState<u64, u64>,
    state: Box<dyn KeyedStateBackend>,
    snapshots: u64,
}

/// What a snapshot has cost the task.
struct Taken {
    id: CheckpointId,
    handles: Vec<StateHandle>,
    stall: Duration,
    drain: Duration,
    longest_step: Duration,
}

impl Taken {
    /// How long the file is that it has added.
    fn len(&self) -> u64 {
        self.handles.last().unwrap().len
    }
}

impl Subject {
    fn new() -> Self {
        let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryCheckpointStorage::new());
        let (sums, state) = open(&storage, Vec::new());
        Self {
            clock: SystemClock::new(),
            storage,
            sums,
            state,
            snapshots: 0,
        }
    }

    fn add_one(&mut self, keys: impl Iterator<Item = u64>) {
        let (mut keys, mut hasher, mut hashes) = (keys, StableHasher::new(), Vec::new());
        loop {
            let batch: Vec<u64> = keys.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return;
            }
            hashes.clear();
            hasher.hash_each(batch.iter(), &mut hashes).unwrap();
            let mut table = self.sums.table(&mut *self.state).unwrap();
            let outcome = table.update_batch(&hashes, batch.into_iter(), |_, slot| match slot {
                Slot::Occupied(sum) => *sum += 1,
                Slot::Vacant(sum) => *sum = Some(1),
            });
            outcome.unwrap();
        }
    }

    /// Takes a snapshot and stores it, while nothing else is done.
    fn snapshot(&mut self, base: Option<&Taken>) -> Taken {
        self.snapshots += 1;
        let id = CheckpointId(self.snapshots);
        let begin = self.clock.monotonic();
        let snapshot = self.state.freeze(id, base.map(|base| base.id)).unwrap();
        let stall = self.clock.monotonic() - begin;
        let (drain, longest_step, handles) = std::thread::scope(|scope| {
            let storing = scope.spawn(|| store(snapshot, self.storage.clone(), id));
            let (drain, longest_step) = drain(&self.clock, &mut *self.state);
            (drain, longest_step, storing.join().unwrap())
        });
        Taken {
            id,
            handles,
            stall,
            drain,
            longest_step,
        }
    }

    /// How long it takes to open the backend with what these handles name.
    fn restore(&self, handles: &[StateHandle]) -> Duration {
        let begin = self.clock.monotonic();
        drop(open(&self.storage, handles.to_vec()));
        self.clock.monotonic() - begin
    }
}

/// How long all steps have taken, without what the storage was waited for, and the longest.
fn drain(clock: &SystemClock, state: &mut dyn KeyedStateBackend) -> (Duration, Duration) {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut all, mut longest) = (Duration::ZERO, Duration::ZERO);
    loop {
        let begin = clock.monotonic();
        let is_done = state.poll_advance(&mut cx).is_ready();
        let step = clock.monotonic() - begin;
        all += step;
        longest = longest.max(step);
        if is_done {
            return (all, longest);
        }
    }
}

fn store(
    snapshot: Box<dyn Snapshot>,
    storage: Arc<dyn CheckpointStorage>,
    id: CheckpointId,
) -> Vec<StateHandle> {
    let prefix = StorageKey::new(format!("bench/{}/sum", id.0)).unwrap();
    block_on(snapshot.persist(&SnapshotTarget::new(storage, prefix))).unwrap()
}

fn open(
    storage: &Arc<dyn CheckpointStorage>,
    restore: Vec<StateHandle>,
) -> (ValueState<u64, u64>, Box<dyn KeyedStateBackend>) {
    let max_parallelism = MaxParallelism::DEFAULT;
    let mut tables = Vec::new();
    let sums = ValueState::register("sums", &mut tables, max_parallelism);
    let context = StateContext {
        operator: OperatorUid::new("sum").unwrap(),
        subtask: SubtaskIndex(0),
        max_parallelism,
        key_groups: max_parallelism.full_range(),
        tables,
        restore,
        base: None,
        storage: storage.clone(),
    };
    let state = block_on(MemoryStateBackend::new().open(context)).unwrap();
    (sums, state)
}
