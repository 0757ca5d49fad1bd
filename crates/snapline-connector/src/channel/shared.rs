//! What the two ends of a channel share: the records that may still be read, again or at all.

use snapline_core::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A new channel with one sender.
pub(super) fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let state = State {
        capacity,
        kept: VecDeque::new(),
        first: 0,
        read: 0,
        life: Life::New,
        senders: 1,
        reader: None,
        waiting: Vec::new(),
    };
    let shared = Arc::new(Mutex::new(state));
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

struct State<T> {
    capacity: usize,
    /// The records from position `first` on, read or not.
    kept: VecDeque<T>,
    first: u64,
    /// Up to where they are read.
    read: u64,
    life: Life,
    senders: usize,
    reader: Option<Waker>,
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// No job has asked for its position yet.
    New,
    /// Positions are settled for the life of the process.
    Started,
    /// Nobody will ever read again.
    Abandoned,
}

impl<T> State<T> {
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn wake_senders(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

/// The state is consistent after each line that changes it, so a panic elsewhere does no harm.
fn lock<T>(shared: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end that the program holds; counted.
pub(super) struct Sender<T>(Arc<Mutex<State<T>>>);

impl<T> Sender<T> {
    /// Takes the record out of the option when there is room.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>, record: &mut Option<T>) -> Poll<Result<()>> {
        let mut state = lock(&self.0);
        if state.life == Life::Abandoned {
            return Poll::Ready(Err(Error::cancelled(
                "the job has ended; nobody reads from this channel",
            )));
        }
        if state.end() - state.read >= state.capacity as u64 {
            if !state.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                state.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        state.kept.extend(record.take());
        if let Some(reader) = state.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Sender<T> {
    /// As [`Receiver::kept`].
    pub(super) fn kept(&self) -> usize {
        lock(&self.0).kept.len()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.senders -= 1;
        if state.senders == 0
            && let Some(reader) = state.reader.take()
        {
            reader.wake();
        }
    }
}

/// The end that the job holds: one for the source and all of its readers.
pub(super) struct Receiver<T>(Arc<Mutex<State<T>>>);

impl<T: Clone> Receiver<T> {
    /// A job starts to read at this position. The first to do so settles the position of the first
    /// record: a position from an earlier process means "what comes now".
    pub(super) fn start_at(&self, position: u64) {
        let mut state = lock(&self.0);
        if state.life == Life::New {
            state.life = Life::Started;
            state.first = position;
            state.read = position;
        }
    }

    /// Appends up to `limit` records from this position on and says how many; none at the end of the
    /// channel only.
    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        from: u64,
        records: &mut Vec<T>,
        limit: usize,
    ) -> Poll<Result<u64>> {
        let mut state = lock(&self.0);
        let Some(skipped) = from.checked_sub(state.first).filter(|_| from <= state.end()) else {
            return Poll::Ready(Err(not_kept(from, &state)));
        };
        let before = records.len();
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        records.extend(state.kept.iter().skip(skipped).take(limit).cloned());
        let count = (records.len() - before) as u64;
        state.read = from + count;
        state.wake_senders();
        if count > 0 || limit == 0 || state.senders == 0 {
            return Poll::Ready(Ok(count));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether there will never be a record at this position.
    pub(super) fn ends_at(&self, position: u64) -> bool {
        let state = lock(&self.0);
        state.senders == 0 && position >= state.end()
    }

    /// How many records are kept because no complete checkpoint has them, read or not.
    pub(super) fn kept(&self) -> usize {
        lock(&self.0).kept.len()
    }

    /// Records before this position will never be read again.
    pub(super) fn release(&self, position: u64) {
        let mut state = lock(&self.0);
        let count = position.saturating_sub(state.first).min(state.kept.len() as u64);
        state.kept.drain(..count as usize);
        state.first += count;
    }
}

fn not_kept<T>(position: u64, state: &State<T>) -> Error {
    Error::invalid(
        "the channel no longer keeps the records at this position: a later checkpoint contained them; \
         start over with a new channel",
    )
    .with("position", position)
    .with("kept from", state.first)
    .with("to", state.end())
}

impl<T> Receiver<T> {
    /// Nobody will ever read again: whoever sends is told so.
    pub(super) fn abandon(&self) {
        let mut state = lock(&self.0);
        state.life = Life::Abandoned;
        state.wake_senders();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.abandon();
    }
}
