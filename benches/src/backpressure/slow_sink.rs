//! A sink that takes its time without using the processor.

use crate::expected::Totals;
use futures::future::BoxFuture;
use snapline::Result;
use snapline::connector::{
    Committer, CommitterContext, NoCommitter, Sink, SinkWriter, WriterContext, nothing_to_commit,
};
use snapline_core::{Batch, CheckpointId, Clock, Error, SystemClock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Record = (u64, u64);

/// Counts records, one batch after the other, at a given pace.
#[derive(Clone)]
pub(super) struct SlowSink {
    pace: Arc<Pace>,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    updates: AtomicU64,
    sum: AtomicU64,
}

/// How long a batch takes, and who waits for the end of one.
pub(super) struct Pace {
    clock: SystemClock,
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

struct Waiting {
    delay: Duration,
    wakers: Vec<(Duration, Waker)>,
}

impl Pace {
    /// So long for each batch, until [`Pace::hurry`].
    pub(super) fn start(delay: Duration) -> Result<Arc<Self>> {
        let pace = Arc::new(Self {
            clock: SystemClock::new(),
            waiting: Mutex::new(Waiting {
                delay,
                wakers: Vec::new(),
            }),
            changed: Condvar::new(),
        });
        let weak = Arc::downgrade(&pace);
        std::thread::Builder::new()
            .name("pace".to_owned())
            .spawn(move || keep(&weak))
            .map_err(|error| Error::unavailable("no thread for a slow sink").because(error))?;
        Ok(pace)
    }

    /// From now on batches take no time.
    pub(super) fn hurry(&self) {
        let mut waiting = self.lock();
        waiting.delay = Duration::ZERO;
        waiting.wakers.drain(..).for_each(|(_, waker)| waker.wake());
    }

    /// Waits so long, or until somebody else does.
    pub(super) fn wait(&self, duration: Duration) {
        let waited = self.changed.wait_timeout(self.lock(), duration);
        drop(waited);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes whoever has waited long enough, until nobody needs the pace any more.
fn keep(pace: &Weak<Pace>) {
    while let Some(pace) = pace.upgrade() {
        let now = pace.clock.monotonic();
        let mut waiting = pace.lock();
        let due = waiting.wakers.extract_if(.., |(due, _)| *due <= now);
        due.for_each(|(_, waker)| waker.wake());
        let next = waiting.wakers.iter().map(|(due, _)| *due).min();
        let patience = next.map_or(Duration::from_millis(100), |due| due.saturating_sub(now));
        let waited = pace.changed.wait_timeout(waiting, patience);
        drop(waited);
    }
}

impl SlowSink {
    pub(super) fn new(pace: Arc<Pace>) -> Self {
        let seen = Arc::default();
        Self { pace, seen }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            updates: self.seen.updates.load(Ordering::Relaxed),
            sum: self.seen.sum.load(Ordering::Relaxed),
        }
    }
}

impl Sink<Record> for SlowSink {
    type Committable = ();

    fn writer(&self, _: WriterContext) -> Result<Box<dyn SinkWriter<Record, ()>>> {
        Ok(Box::new(SlowWriter {
            sink: self.clone(),
            next: Duration::ZERO,
        }))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<()>>> {
        Ok(Box::new(NoCommitter))
    }
}

struct SlowWriter {
    sink: SlowSink,
    /// When the batch that was written last is done.
    next: Duration,
}

impl SinkWriter<Record, ()> for SlowWriter {
    fn write(&mut self, batch: &mut Batch<Record>) -> Result<()> {
        let sum = batch
            .records
            .iter()
            .fold(0, |sum, (_, value)| u64::wrapping_add(sum, *value));
        let seen = &self.sink.seen;
        seen.sum.fetch_add(sum, Ordering::Relaxed);
        seen.updates.fetch_add(batch.len() as u64, Ordering::Relaxed);
        batch.clear();
        let pace = &self.sink.pace;
        self.next = pace.clock.monotonic() + pace.lock().delay;
        Ok(())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let pace = &self.sink.pace;
        let mut waiting = pace.lock();
        if waiting.delay.is_zero() || pace.clock.monotonic() >= self.next {
            return Poll::Ready(Ok(()));
        }
        waiting.wakers.push((self.next, cx.waker().clone()));
        drop(waiting);
        pace.changed.notify_all();
        Poll::Pending
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<()>>>> {
        Ok(nothing_to_commit())
    }
}
