//! The thread that writes batches of changes, so that no task waits for a disk unless it has to.

use super::change::{Change, sort_batch};
use super::files::{BatchFile, Version};
use super::store::{Entries, Store};
use super::tier::Slot;
use futures::channel::oneshot;
use snapline_core::{Error, Result};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

/// Changes that are written as a whole.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) changes: Vec<Change>,
    /// Nobody will ask for changes since a batch before this one.
    pub(super) keep_since: u64,
    /// A freeze that comes after the changes.
    pub(super) freeze: Option<Freeze>,
}

impl Batch {
    /// Adds an entry as it is.
    pub(super) fn push(&mut self, slot: &Slot) {
        // Some come twice: when they change after they were collected. Doubling the room for them would be too much.
        if self.changes.len() == self.changes.capacity() {
            self.changes.reserve_exact(self.changes.len() / 8 + 1);
        }
        self.changes.push(slot.to_change());
    }
}

/// What a snapshot waits for.
#[derive(Debug)]
pub(super) struct Freeze {
    /// Only what has changed after this batch, or everything.
    pub(super) since: Option<u64>,
    pub(super) frozen: oneshot::Sender<Result<Frozen>>,
}

/// What a freeze has found.
#[derive(Debug)]
pub(super) struct Frozen {
    /// What the snapshot has to store.
    pub(super) entries: Entries,
    /// All files.
    pub(super) version: Arc<Version>,
}

/// The task's handle to the thread, which ends when it is dropped, after what it was given is written.
#[derive(Debug)]
pub(super) struct Flusher {
    batches: mpsc::Sender<Option<Batch>>,
    /// How many messages were sent.
    sent: u64,
    progress: Arc<Progress>,
}

/// For so many later batches room is kept.
const SPARE: usize = 3;

/// How far the thread is.
#[derive(Debug, Default)]
struct Progress {
    flushed: AtomicU64,
    kept_bytes: AtomicU64,
    /// How many bytes the spare room takes.
    spare_bytes: AtomicUsize,
    /// Room for the changes of later batches, so that it need not be found anew for each.
    spare: Mutex<Vec<Vec<Change>>>,
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Outcome {
    /// Why a batch could not be written, and how many messages had come when it was tried.
    failure: Option<(u64, Error)>,
    ended: bool,
}

impl Flusher {
    pub(super) fn start(store: Store) -> Result<Self> {
        let (batches, queue) = mpsc::channel();
        let progress = Arc::<Progress>::default();
        let ending = Ending(progress.clone());
        let thread = Thread {
            store,
            progress: progress.clone(),
            kept: Vec::new(),
        };
        thread::Builder::new()
            .name("snapline-state".to_owned())
            .spawn(move || {
                let _ending = ending;
                thread.run(&queue);
            })
            .map_err(|error| Error::unavailable("cannot start the thread of live state").because(error))?;
        Ok(Self {
            batches,
            sent: 0,
            progress,
        })
    }

    /// Waits until the thread has ended.
    #[cfg(test)]
    pub(super) fn end(self) {
        let Self {
            batches, progress, ..
        } = self;
        drop(batches);
        let mut outcome = progress.outcome();
        while !outcome.ended {
            outcome = progress.changed.wait(outcome).unwrap();
        }
    }

    /// Gives a batch to the thread.
    pub(super) fn send(&mut self, batch: Batch) {
        self.post(Some(batch));
    }

    fn post(&mut self, message: Option<Batch>) {
        self.sent += 1;
        let _ = self.batches.send(message);
    }

    /// The last batch that is on disk.
    pub(super) fn flushed(&self) -> u64 {
        self.progress.flushed.load(Ordering::Acquire)
    }

    /// How long the changes are that are kept beside the entries.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.progress.kept_bytes.load(Ordering::Relaxed)
    }

    /// How many bytes are in memory for the changes of later batches.
    pub(super) fn spare_bytes(&self) -> usize {
        self.progress.spare_bytes.load(Ordering::Relaxed)
    }

    /// Room for so many changes.
    pub(super) fn room(&self, changes: usize) -> Vec<Change> {
        let mut room = self.progress.take_spare();
        room.reserve_exact(changes);
        room
    }

    /// Waits until a batch is on disk; what could not be written is tried once more.
    ///
    /// # Errors
    /// Why it could not be written; it is not lost.
    pub(super) fn wait(&mut self, batch: u64) -> Result<()> {
        if self.flushed() >= batch {
            return Ok(());
        }
        if self.progress.outcome().failure.is_some() {
            self.post(None);
        }
        let mut outcome = self.progress.outcome();
        while self.flushed() < batch {
            // A failure from before the last message says nothing: it is tried again.
            if let Some((received, failure)) = &outcome.failure
                && *received >= self.sent
            {
                return Err(failure.clone());
            }
            if outcome.ended {
                return Err(Error::internal("the thread of live state has panicked"));
            }
            let waited = self.progress.changed.wait(outcome);
            outcome = waited.unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

impl Progress {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<Change>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_spare(&self) -> Vec<Change> {
        let spare = self.spare().pop().unwrap_or_default();
        let bytes = spare.capacity() * size_of::<Change>();
        self.spare_bytes.fetch_sub(bytes, Ordering::Relaxed);
        spare
    }

    /// Keeps the room, unless there is more than is needed most of the time.
    fn reuse(&self, mut changes: Vec<Change>) {
        changes.clear();
        let bytes = changes.capacity() * size_of::<Change>();
        let mut spare = self.spare();
        if spare.len() < SPARE {
            self.spare_bytes.fetch_add(bytes, Ordering::Relaxed);
            spare.push(changes);
        }
    }

    fn flushed(&self, batch: u64) {
        let mut outcome = self.outcome();
        outcome.failure = None;
        self.flushed.store(batch, Ordering::Release);
        self.changed.notify_all();
    }

    fn failed(&self, received: u64, error: Error) {
        self.outcome().failure = Some((received, error));
        self.changed.notify_all();
    }
}

struct Thread {
    store: Store,
    progress: Arc<Progress>,
    /// The batches whose changes may still be asked for, from the oldest on, and their files.
    kept: Vec<(u64, BatchFile)>,
}

impl Thread {
    fn run(mut self, queue: &mpsc::Receiver<Option<Batch>>) {
        let mut waiting: Option<Batch> = None;
        let mut behind = VecDeque::new();
        let mut received = 0;
        while let Ok(message) = queue.recv() {
            received += 1;
            behind.extend(message);
            // A batch that could not be written is tried again whenever there is news.
            while let Some(mut batch) = waiting.take().or_else(|| behind.pop_front()) {
                if let Err(error) = self.write(&mut batch) {
                    for batch in std::iter::once(&mut batch).chain(&mut behind) {
                        if let Some(freeze) = batch.freeze.take() {
                            let _ = freeze.frozen.send(Err(error.clone()));
                        }
                    }
                    waiting = Some(batch);
                    self.progress.failed(received, error);
                    break;
                }
                self.tidy();
            }
        }
    }

    fn write(&mut self, batch: &mut Batch) -> Result<()> {
        let keep_since = batch.keep_since;
        self.kept.retain(|(number, _)| *number > keep_since);
        if !batch.changes.is_empty() {
            sort_batch(&mut batch.changes);
            self.kept
                .push((batch.number, self.store.write_batch(&batch.changes)?));
        }
        let bytes = self.kept.iter().map(|(_, file)| file.bytes()).sum();
        self.progress.kept_bytes.store(bytes, Ordering::Relaxed);
        if let Some(freeze) = batch.freeze.take()
            && !freeze.frozen.is_canceled()
        {
            let _ = freeze.frozen.send(self.frozen(freeze.since));
        }
        self.progress.reuse(std::mem::take(&mut batch.changes));
        self.progress.flushed(batch.number);
        Ok(())
    }

    fn frozen(&self, since: Option<u64>) -> Result<Frozen> {
        Ok(Frozen {
            entries: self.entries(since)?,
            version: self.store.version(),
        })
    }

    fn entries(&self, since: Option<u64>) -> Result<Entries> {
        let Some(since) = since else {
            return self.store.entries();
        };
        let since = self.kept.iter().filter(|(number, _)| *number > since);
        self.store.merge(since.map(|(_, file)| file))
    }

    /// That files cannot be merged now is no loss: it is tried after the next batch.
    fn tidy(&self) {
        if let Err(error) = self.store.compact() {
            tracing::warn!(%error, "files of live state cannot be merged");
        }
    }
}

/// Tells that the thread has ended, be it by a panic.
struct Ending(Arc<Progress>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.outcome().ended = true;
        self.0.changed.notify_all();
    }
}
