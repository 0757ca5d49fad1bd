//! For how long timers keep a task from its barriers, and how much memory they need: the longest of many portions of
//! timers that are registered, fire and register again, and fire for good, while snapshots are taken and written.
//!
//! A portion is as large as an operator fires before it looks after other work. Every key has one timer.
//!
//! `cargo bench -p snapline-benches --bench timers` prints a line of JSON for each number of timers and kind of work; each
//! number has a process of its own. Times are in microseconds: the median, 999 of 1,000, and the longest.
//!
//! Everything is done three times in the same portions, and the middle one of the three times of each portion counts: what
//! timers bring about comes each time, what the machine does now and then does not. `any_portion_us` are all of them.
//! Portions are without the time for which the thread waited for a core that another had.
//!
//! `bytes_per_timer` is the most memory of the process but that before the first timer. It includes snapshots while they
//! are stored.
#![allow(clippy::print_stdout, reason = "this is a program, not a library")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use futures::executor::block_on;
use serde_json::json;
use snapline::backends::memory::{MemoryCheckpointStorage, MemoryStateBackend};
use snapline_benches::{Usage, waited_for_a_core};
use snapline_core::{
    CheckpointId, Clock, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex, SystemClock, Timestamp,
};
use snapline_state::{
    KeyedStateBackend, SnapshotTarget, StateBackend, StateContext, StateHandle, StorageKey, TimerState,
};
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIMERS: [u64; 2] = [1_000_000, 10_000_000];
/// So many are registered or fire at a time.
const PORTION: u64 = 1_024;
/// A checkpoint is taken after so many portions.
const PORTIONS: u64 = 500;
/// So often everything is done.
const RUNS: usize = 3;

/// What is done with all timers, one portion after the other.
#[derive(Debug, Clone, Copy)]
enum Work {
    Register,
    /// Each fires and is registered again for a later time.
    RegisterAgain,
    Fire,
}

const WORKS: [Work; 3] = [Work::Register, Work::RegisterAgain, Work::Fire];

fn main() {
    let mut counts = std::env::args().filter_map(|argument| argument.parse().ok());
    if let Some(count) = counts.next() {
        return measure(count);
    }
    for count in TIMERS {
        let program = std::env::current_exe().unwrap();
        let status = Command::new(program).arg(count.to_string()).status();
        assert!(status.unwrap().success());
    }
}

fn measure(count: u64) {
    let before = resident_mb();
    let mut bytes = Vec::new();
    let runs: [_; RUNS] = std::array::from_fn(|_| {
        let mut subtask = Subtask::new(count);
        WORKS.map(|work| {
            let times = subtask.run(work);
            bytes.push(((resident_mb() - before) * 1e6 / count as f64).round());
            times
        })
    });
    for (index, work) in WORKS.into_iter().enumerate() {
        let middle = |times: fn(&Times) -> &Vec<Duration>| {
            summary(middle(runs.each_ref().map(|run| times(&run[index]))))
        };
        let any = |times: fn(&Times) -> &Vec<Duration>| {
            summary(runs.iter().flat_map(|run| times(&run[index])).copied().collect())
        };
        let report = json!({
            "timers": count,
            "work": format!("{work:?}"),
            "checkpoints": runs[0][index].freezes.len(),
            "portion_us": middle(|times| &times.portions),
            "advance_us": middle(|times| &times.advances),
            "freeze_us": middle(|times| &times.freezes),
            "any_portion_us": any(|times| &times.portions),
            "bytes_per_timer": bytes[index],
        });
        println!("{report}");
    }
}

/// The most memory that the process has used so far, in 10^6 bytes.
fn resident_mb() -> f64 {
    Usage::now().peak_rss_mb.unwrap_or(f64::NAN)
}

/// Of each step the time that is neither the shortest nor the longest.
fn middle(runs: [&Vec<Duration>; RUNS]) -> Vec<Duration> {
    let of = |step: usize| {
        let mut times = runs.map(|run| run[step]);
        times.sort_unstable();
        times[RUNS / 2]
    };
    (0..runs[0].len()).map(of).collect()
}

/// Median, 999 of 1,000, and the longest, in microseconds.
fn summary(mut times: Vec<Duration>) -> Vec<u128> {
    times.sort_unstable();
    let at = |thousandth: usize| times.get(times.len().saturating_sub(1) * thousandth / 1_000);
    let micros = [500, 999, 1_000].map(|thousandth| at(thousandth).map(Duration::as_micros));
    micros.into_iter().flatten().collect()
}

/// What the steps of a run have taken.
#[derive(Default)]
struct Times {
    portions: Vec<Duration>,
    advances: Vec<Duration>,
    freezes: Vec<Duration>,
}

/// The timers of one subtask.
struct Subtask {
    clock: SystemClock,
    count: u64,
    timers: TimerState<u64, ()>,
    hasher: StableHasher,
    backend: Box<dyn KeyedStateBackend>,
    storing: Option<(CheckpointId, JoinHandle<Vec<StateHandle>>)>,
    completed: Option<CheckpointId>,
    checkpoints: u64,
    times: Times,
}

impl Subtask {
    fn new(count: u64) -> Self {
        let mut tables = Vec::new();
        let max_parallelism = MaxParallelism::DEFAULT;
        let timers = TimerState::register("timers", &mut tables, max_parallelism);
        let context = StateContext {
            operator: OperatorUid::new("timers").unwrap(),
            subtask: SubtaskIndex(0),
            max_parallelism,
            key_groups: max_parallelism.full_range(),
            tables,
            restore: Vec::new(),
            base: None,
            storage: Arc::new(MemoryCheckpointStorage::new()),
        };
        Self {
            clock: SystemClock::new(),
            count,
            timers,
            hasher: StableHasher::new(),
            backend: block_on(MemoryStateBackend::new().open(context)).unwrap(),
            storing: None,
            completed: None,
            checkpoints: 0,
            times: Times::default(),
        }
    }

    /// Goes over all timers, and on until the last snapshot is stored.
    fn run(&mut self, work: Work) -> Times {
        for portion in 0..self.count.div_ceil(PORTION) {
            self.work(work, portion);
            let advance = self.advance();
            self.times.advances.push(advance);
            if portion % PORTIONS == 0 {
                self.freeze();
            }
        }
        self.wait_for_snapshot();
        std::mem::take(&mut self.times)
    }

    fn work(&mut self, work: Work, portion: u64) {
        let waited = waited_for_a_core();
        let since = self.clock.monotonic();
        for key in portion * PORTION..self.count.min((portion + 1) * PORTION) {
            match work {
                Work::Register => self.register(key),
                Work::RegisterAgain => self.fire_and_register(),
                Work::Fire => drop(self.timers.take_due(&mut *self.backend, Timestamp::MAX).unwrap()),
            }
        }
        let took = self.clock.monotonic() - since;
        let waited = waited_for_a_core() - waited;
        self.times.portions.push(took.saturating_sub(waited));
    }

    fn register(&mut self, key: u64) {
        let (hash, time) = (self.hasher.hash(&key).unwrap(), Timestamp(key as i64));
        self.timers.add(&mut *self.backend, hash, &key, (), time).unwrap();
    }

    fn fire_and_register(&mut self) {
        let due = self.timers.take_due(&mut *self.backend, Timestamp::MAX).unwrap();
        let due = due.unwrap();
        let again = due.time.plus_millis(self.count);
        self.timers
            .add(&mut *self.backend, due.hash, &due.key, (), again)
            .unwrap();
    }

    /// Writes a little of the running snapshot; how long that took.
    fn advance(&mut self) -> Duration {
        let since = self.clock.monotonic();
        let _ = self.backend.poll_advance(&mut Context::from_waker(Waker::noop()));
        self.clock.monotonic() - since
    }

    /// The runs have the same snapshots at the same times, so each waits for the one before.
    fn freeze(&mut self) {
        self.wait_for_snapshot();
        self.checkpoints += 1;
        let checkpoint = CheckpointId(self.checkpoints);
        let since = self.clock.monotonic();
        let snapshot = self.backend.freeze(checkpoint, self.completed).unwrap();
        self.times.freezes.push(self.clock.monotonic() - since);
        let prefix = StorageKey::new(format!("job/{checkpoint}")).unwrap();
        let target = SnapshotTarget::new(Arc::new(MemoryCheckpointStorage::new()), prefix);
        let thread = std::thread::spawn(move || block_on(snapshot.persist(&target)).unwrap());
        self.storing = Some((checkpoint, thread));
    }

    fn wait_for_snapshot(&mut self) {
        let Some((checkpoint, thread)) = self.storing.take() else {
            return;
        };
        while !thread.is_finished() {
            self.advance();
        }
        thread.join().unwrap();
        self.completed = Some(checkpoint);
    }
}
