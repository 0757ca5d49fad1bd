//! The job that is hit: running sums by key, each of them checked.

use super::{RecoveryOptions, Start};
use crate::job::environment;
use crate::random::mix;
use futures::executor::block_on;
use snapline::dataflow::JobStatus;
use snapline::prelude::*;
use snapline_core::{Batch, CheckpointId, Clock, Codec, Error, Result, SystemClock};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What an entry of a random u64 and a small sum takes in a checkpoint, rounded down: 9 or 10 bytes for the
/// key, 1 for the sum, 1 for the length of each.
const ENTRY_BYTES: u64 = 12;

/// How many batches pass between two looks at the checkpoints.
const BATCHES_PER_LOOK: u64 = 64;

/// A job whose records stop coming is looked at after this long.
const PATIENCE: Duration = Duration::from_secs(1);

/// The job while it runs.
pub(super) struct Running {
    handle: JobHandle,
    shared: Arc<Shared>,
    events: Receiver<Event>,
    full_bytes: u64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    /// A task is about to panic at this time.
    Panics(Duration),
    /// The sink of a new attempt has got its first records at this time.
    FirstRecord(Duration),
    /// The sink has got more.
    Progress,
}

#[derive(Default)]
struct Shared {
    clock: SystemClock,
    is_armed: AtomicBool,
    checks: Checks,
}

impl Running {
    /// Starts the job; `on_first` is called when the sink of an attempt gets its first records.
    pub(super) fn start(options: &RecoveryOptions, start: Start, on_first: fn()) -> Result<Self> {
        let full_bytes = options.state_mb * 1_000_000;
        let keys = keys(full_bytes, options.job.parallelism);
        let env = block_on(environment(&options.job))?;
        env.configure(|settings| {
            settings.fresh = start == Start::Fresh;
            // The first delay of the default, each time.
            let attempts = options.kills;
            settings.restart = Some(RestartSettings::FixedDelay {
                attempts,
                delay_ms: 1,
            });
        });
        let (sender, events) = channel();
        let shared: Arc<Shared> = Arc::default();
        env.from_source(GeneratorSource::unbounded(|number| (number, 1_u64)), "records")
            .map(bomb(&shared, &sender))
            .key_by(move |(number, _)| mix(number % keys))
            .sum(|(_, sum)| sum)
            .sink_to(sink(keys, &shared, sender, on_first));
        let handle = block_on(env.execute_async(&format!("recovery-{}mb", options.state_mb)))?;
        Ok(Self {
            handle,
            shared,
            events,
            full_bytes: match options.job.compression {
                Codec::None => full_bytes,
                // Random keys do not become much shorter.
                Codec::Lz4 | Codec::Zstd => full_bytes / 10 * 7,
            },
        })
    }

    /// Waits for a full checkpoint that is newer than `after`.
    pub(super) fn until_full(&self, after: Option<CheckpointId>) -> Result<JobStatus> {
        loop {
            let status = self.handle.status();
            let counts = status.checkpoints;
            if counts.latest > after && counts.latest_bytes >= self.full_bytes {
                return Ok(status);
            }
            self.next_event()?;
        }
    }

    /// Lets a task panic and waits for the next attempt; how long that took.
    pub(super) fn panic_once(&self) -> Result<Duration> {
        let mut panicked = None;
        self.shared.is_armed.store(true, Ordering::Relaxed);
        loop {
            match (self.next_event()?, panicked) {
                (Some(Event::Panics(at)), _) => panicked = Some(at),
                (Some(Event::FirstRecord(at)), Some(panicked)) => return Ok(at.saturating_sub(panicked)),
                _ => {}
            }
        }
    }

    pub(super) fn status(&self) -> JobStatus {
        self.handle.status()
    }

    /// How many records were checked, and how many of them had a wrong sum.
    pub(super) fn checked(&self) -> (u64, u64) {
        let checks = &self.shared.checks;
        (
            checks.records.load(Ordering::Relaxed),
            checks.wrong.load(Ordering::Relaxed),
        )
    }

    /// Runs until somebody ends the process.
    pub(super) fn run_on(self) -> Result<()> {
        let handle = self.handle;
        drop(self.events);
        block_on(handle.wait()).map(drop)
    }

    /// Ends the job.
    pub(super) fn stop(self) {
        self.handle.cancel();
        // That it was cancelled is no news.
        let _ = block_on(self.handle.wait());
    }

    /// What happens next, if anything does for a while.
    fn next_event(&self) -> Result<Option<Event>> {
        let event = self.events.recv_timeout(PATIENCE).ok();
        let state = self.handle.status().state;
        if event.is_none() && matches!(state, JobState::Finished | JobState::Failed | JobState::Cancelled) {
            block_on(self.handle.wait())?;
            return Err(Error::internal("a job without end has ended"));
        }
        Ok(event)
    }
}

/// Enough to fill a checkpoint, and as many for each reader: then each key comes from one of them only.
fn keys(full_bytes: u64, parallelism: u32) -> u64 {
    full_bytes
        .div_ceil(ENTRY_BYTES)
        .next_multiple_of(u64::from(parallelism.max(1)))
}

fn bomb<T>(
    shared: &Arc<Shared>,
    events: &Sender<Event>,
) -> impl FnMut(T) -> T + Clone + Send + Sync + 'static + use<T> {
    let (shared, events) = (shared.clone(), events.clone());
    move |record| {
        if shared.is_armed.load(Ordering::Relaxed) && shared.is_armed.swap(false, Ordering::Relaxed) {
            let _ = events.send(Event::Panics(shared.clock.monotonic()));
            // A panic without its message: with RUST_BACKTRACE set, finding the names for the backtrace takes
            // longer than the recovery.
            resume_unwind(Box::new("as the workload wants it"));
        }
        record
    }
}

/// Each attempt has new clones of the closure, so a clone that has seen nothing belongs to a new attempt.
fn sink(
    keys: u64,
    shared: &Arc<Shared>,
    events: Sender<Event>,
    on_first: fn(),
) -> ForEachSink<impl FnMut(&mut Batch<(u64, u64)>) + Clone + Send + Sync + 'static + use<>> {
    let shared = shared.clone();
    let mut batches = 0_u64;
    ForEachSink::new(move |batch: &mut Batch<(u64, u64)>| {
        if batches == 0 {
            on_first();
            let _ = events.send(Event::FirstRecord(shared.clock.monotonic()));
        }
        shared.checks.check(keys, &batch.records);
        batches += 1;
        if batches.is_multiple_of(BATCHES_PER_LOOK) {
            // The receiver is gone when nobody looks any more.
            let _ = events.send(Event::Progress);
        }
    })
}

/// Checks every sum, without state: record `n` is the `n / keys + 1`-th of its key.
///
/// So a sum is right only if every earlier record of its key was counted once, before the crash or after.
#[derive(Debug, Default)]
struct Checks {
    records: AtomicU64,
    wrong: AtomicU64,
}

impl Checks {
    fn check(&self, keys: u64, records: &[(u64, u64)]) {
        let is_wrong = |(number, sum): &&(u64, u64)| *sum != number / keys + 1;
        let wrong = records.iter().filter(is_wrong).count() as u64;
        self.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        self.wrong.fetch_add(wrong, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_lost_or_counted_twice_is_noticed() {
        let wrong = |records: &[(u64, u64)]| {
            let checks = Checks::default();
            checks.check(2, records);
            checks.wrong.into_inner()
        };
        assert_eq!(wrong(&[(0, 1), (1, 1), (2, 2), (3, 2)]), 0);
        assert_eq!(wrong(&[(0, 1), (1, 1), (2, 1), (3, 3)]), 2);
    }

    #[test]
    fn each_reader_has_keys_of_its_own() {
        assert_eq!((keys(24, 1), keys(25, 1), keys(25, 2)), (2, 3, 4));
    }
}
