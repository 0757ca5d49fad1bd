//! A reader, and the few calls through which all cases reach it.

use super::subject::verify;
use futures::task::{ArcWake, waker};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_connector::{ReaderContext, ReaderStatus, Source, SourceReader};
use snapline_core::{Batch, CheckpointId, JobId, Result, SubtaskIndex, decode, encode_into};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::Duration;

/// How long a reader may let its task wait for records that are there, as so many short times: one may end early, because of
/// a waker that a reader has kept from a poll before.
const PATIENCE: [Duration; 100] = [Duration::from_millis(100); 100];
/// How often in turn a reader may have nothing and not wait either.
const EMPTY_BATCHES: usize = 10_000;

/// One reader of a source.
pub(super) struct Reading<S: Source> {
    pub(super) reader: Box<dyn SourceReader<S::Item, S::Split>>,
    snapshots: u64,
}

impl<S: Source> Reading<S> {
    /// The only reader, which reads these splits.
    pub(super) fn of(source: &S, splits: Vec<S::Split>) -> Self {
        Self::one_of(source, splits, 0, 1)
    }

    pub(super) fn one_of(source: &S, splits: Vec<S::Split>, subtask: u32, parallelism: u32) -> Self {
        let context = ReaderContext {
            job: JobId::from_text("job"),
            subtask: SubtaskIndex(subtask),
            parallelism,
        };
        let mut reader = source.reader(context).unwrap();
        reader.add_splits(splits);
        Self { reader, snapshots: 0 }
    }

    /// The only reader of a job that restarts from a checkpoint.
    pub(super) fn resumed(source: &S, splits: Vec<S::Split>) -> Self {
        verify(source, &splits).unwrap();
        Self::of(source, splits)
    }

    /// One call. What it appends is checked against the contract.
    pub(super) fn poll_with(
        &mut self,
        cx: &mut Context<'_>,
        limit: usize,
    ) -> Poll<Result<Option<Vec<S::Item>>>> {
        let mut batch = Batch::new();
        let polled = self.reader.poll_batch(cx, &mut batch, limit);
        assert!(
            batch.len() <= limit,
            "{} records came where {limit} were asked for",
            batch.len()
        );
        match polled {
            Poll::Ready(Ok(ReaderStatus::More)) => Poll::Ready(Ok(Some(batch.records))),
            Poll::Ready(Ok(ReaderStatus::EndOfData)) => {
                assert!(batch.is_empty(), "records came together with the end");
                Poll::Ready(Ok(None))
            }
            Poll::Pending => {
                assert!(batch.is_empty(), "records came although the reader waits");
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// The next records, up to `limit`; `None` at the end.
    pub(super) fn try_next(&mut self, limit: usize) -> Result<Option<Vec<S::Item>>> {
        for _ in 0..EMPTY_BATCHES {
            match wait(|cx| self.poll_with(cx, limit))? {
                Some(records) if records.is_empty() => {}
                next => return Ok(next),
            }
        }
        panic!("the reader has nothing, does not wait, and is not at its end either");
    }

    pub(super) fn next(&mut self, limit: usize) -> Option<Vec<S::Item>> {
        self.try_next(limit).unwrap()
    }

    /// Exactly this many records.
    pub(super) fn take(&mut self, count: usize) -> Vec<S::Item> {
        let mut records = Vec::new();
        while records.len() < count {
            match self.next(count - records.len()) {
                Some(more) => records.extend(more),
                None => panic!("the reader has only {} of {count} records", records.len()),
            }
        }
        records
    }

    /// All that is left, so many records at a time.
    pub(super) fn rest(&mut self, limit: usize) -> Vec<S::Item> {
        std::iter::from_fn(|| self.next(limit)).flatten().collect()
    }

    /// The splits as they come out of the next checkpoint.
    pub(super) fn snapshot(&mut self) -> Vec<S::Split> {
        self.snapshots += 1;
        stored(&self.reader.snapshot(CheckpointId(self.snapshots)).unwrap())
    }

    pub(super) fn complete(&mut self, checkpoint: u64) {
        self.reader
            .on_checkpoint_complete(CheckpointId(checkpoint))
            .unwrap();
    }
}

/// The same value as it comes out of a checkpoint.
pub(super) fn stored<T: Serialize + DeserializeOwned>(value: &T) -> T {
    decode(&encoded(value)).unwrap()
}

pub(super) fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).unwrap();
    bytes
}

/// Polls until it is ready, each time that it was woken.
fn wait<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let bell = Arc::new(Bell {
        has_rung: AtomicBool::new(false),
        thread: thread::current(),
    });
    let waker = waker(bell.clone());
    loop {
        if let Poll::Ready(ready) = poll(&mut Context::from_waker(&waker)) {
            return ready;
        }
        let has_rung = || bell.has_rung.swap(false, Ordering::SeqCst);
        let is_woken = PATIENCE.into_iter().any(|time| {
            has_rung() || {
                thread::park_timeout(time);
                has_rung()
            }
        });
        assert!(is_woken, "the reader waits and does not wake its task");
    }
}

struct Bell {
    has_rung: AtomicBool,
    thread: Thread,
}

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Self>) {
        bell.has_rung.store(true, Ordering::SeqCst);
        bell.thread.unpark();
    }
}
