//! For how long timers keep a task from its barriers: the longest of many portions of timers that fire, while
//! snapshots are taken and written.
//!
//! A portion is as large as an operator fires before it looks after other work. Every key has one timer, which
//! fires once, or registers another each time.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement says what it has found, and is of no use if it cannot be made"
)]

use futures::executor::block_on;
use snapline::backends::memory::{MemoryCheckpointStorage, MemoryStateBackend};
use snapline_core::{
    CheckpointId, Clock, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex, SystemClock, Timestamp,
};
use snapline_state::{
    KeyedStateBackend, SnapshotTarget, StateBackend, StateContext, StateHandle, StorageKey, TimerState,
};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TIMERS: [u64; 2] = [1_000_000, 10_000_000];
/// So many fire at a time.
const PORTION: usize = 1_024;
/// A checkpoint is taken after so many portions, and once the last one is stored.
const PORTIONS: usize = 100;

/// What a timer does that fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fires {
    Once,
    AgainAndAgain,
}

/// The timers of one subtask and the time that each portion of work has taken.
struct Subtask {
    clock: SystemClock,
    timers: TimerState<u64, ()>,
    backend: Box<dyn KeyedStateBackend>,
    storing: Option<(CheckpointId, JoinHandle<Vec<StateHandle>>)>,
    completed: Option<CheckpointId>,
    checkpoints: u64,
    fired: Vec<Duration>,
    advanced: Vec<Duration>,
    froze: Vec<Duration>,
}

impl Subtask {
    fn with_timers(count: u64) -> Self {
        let mut tables = Vec::new();
        let max_parallelism = MaxParallelism::DEFAULT;
        let mut timers = TimerState::register("timers", &mut tables, max_parallelism);
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
        let mut backend = block_on(MemoryStateBackend::new().open(context)).unwrap();
        let mut hasher = StableHasher::new();
        for key in 0..count {
            let (hash, time) = (hasher.hash(&key).unwrap(), Timestamp(key as i64));
            timers.add(&mut *backend, hash, &key, (), time).unwrap();
        }
        Self {
            clock: SystemClock::new(),
            timers,
            backend,
            storing: None,
            completed: None,
            checkpoints: 0,
            fired: Vec::new(),
            advanced: Vec::new(),
            froze: Vec::new(),
        }
    }

    /// Fires a portion of the timers; how many there were.
    fn fire(&mut self, fires: Fires, again_after: u64) -> usize {
        let since = self.clock.monotonic();
        let mut fired = 0;
        while fired < PORTION
            && let Some(timer) = self.timers.take_due(&mut *self.backend, Timestamp::MAX).unwrap()
        {
            if fires == Fires::AgainAndAgain {
                let next = timer.time.plus_millis(again_after);
                self.timers
                    .add(&mut *self.backend, timer.hash, &timer.key, (), next)
                    .unwrap();
            }
            fired += 1;
        }
        self.fired.push(self.clock.monotonic() - since);
        fired
    }

    /// Writes a little of the running snapshot, and takes the next one when it is stored and due.
    fn look_after_snapshots(&mut self, is_due: bool) {
        let mut cx = Context::from_waker(Waker::noop());
        let since = self.clock.monotonic();
        let _ = self.backend.poll_advance(&mut cx);
        self.advanced.push(self.clock.monotonic() - since);
        if !is_due
            || self
                .storing
                .as_ref()
                .is_some_and(|(_, thread)| !thread.is_finished())
        {
            return;
        }
        if let Some((checkpoint, thread)) = self.storing.take() {
            thread.join().unwrap();
            self.completed = Some(checkpoint);
        }
        self.checkpoints += 1;
        let checkpoint = CheckpointId(self.checkpoints);
        let since = self.clock.monotonic();
        let snapshot = self.backend.freeze(checkpoint, self.completed).unwrap();
        self.froze.push(self.clock.monotonic() - since);
        let prefix = StorageKey::new(format!("job/{checkpoint}")).unwrap();
        let target = SnapshotTarget::new(Arc::new(MemoryCheckpointStorage::new()), prefix);
        let thread = std::thread::spawn(move || block_on(snapshot.persist(&target)).unwrap());
        self.storing = Some((checkpoint, thread));
    }

    /// Goes on until all timers have fired, or so many.
    fn run(&mut self, fires: Fires, count: u64) {
        let mut left = 2 * count;
        for portion in 0.. {
            let fired = self.fire(fires, count) as u64;
            self.look_after_snapshots(portion % PORTIONS == 0);
            left = left.saturating_sub(fired);
            if fired == 0 || left == 0 {
                break;
            }
        }
        while self
            .storing
            .as_ref()
            .is_some_and(|(_, thread)| !thread.is_finished())
        {
            self.look_after_snapshots(false);
        }
    }
}

/// Median, 999 of 1,000, and the longest.
fn summary(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |thousandth: usize| times[(times.len() - 1) * thousandth / 1_000].as_micros();
    format!("{:>6} {:>6} {:>6}", at(500), at(999), at(1_000))
}

fn main() {
    println!("microseconds: median, 999 of 1,000, longest");
    for (count, fires) in TIMERS
        .into_iter()
        .flat_map(|count| [(count, Fires::Once), (count, Fires::AgainAndAgain)])
    {
        let mut subtask = Subtask::with_timers(count);
        subtask.run(fires, count);
        let checkpoints = subtask.checkpoints;
        println!("{count} timers, {fires:?}, {checkpoints} checkpoints");
        println!("  {PORTION} fire     {}", summary(subtask.fired));
        println!("  advance       {}", summary(subtask.advanced));
        println!("  freeze        {}", summary(subtask.froze));
    }
}
