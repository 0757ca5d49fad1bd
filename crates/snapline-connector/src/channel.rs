//! Records that the program sends while the job runs.

mod shared;

use crate::source::{
    DiscoveryContext, ReaderContext, ReaderProgress, ReaderStatus, Source, SourceReader, SourceSplit,
    SplitEnumerator,
};
use async_trait::async_trait;
use futures::future::poll_fn;
use serde::{Deserialize, Serialize};
use shared::{Receiver, Sender, channel};
use snapline_core::{Batch, CheckpointId, Data, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Records that the program sends to the job through a [`ChannelSender`], in one split.
///
/// Exactly once within the process: a record is kept until a checkpoint that contains it is complete,
/// so that a restarted job reads again what was in flight at a failure. Without periodic checkpoints
/// everything that was ever sent is kept.
///
/// When the process ends, what was sent since the last checkpoint is lost: a job that resumes in a
/// new process goes on with the first record that is sent there.
///
/// # Examples
/// ```
/// use snapline_connector::ChannelSource;
///
/// # futures::executor::block_on(async {
/// let (sender, source) = ChannelSource::bounded(1024);
/// sender.send("hello".to_owned()).await?;
/// drop(sender); // the source ends when all senders are gone
/// # drop(source);
/// # Ok::<(), snapline_core::Error>(())
/// # }).unwrap();
/// ```
pub struct ChannelSource<T> {
    receiver: Arc<Receiver<T>>,
}

impl<T: Data> ChannelSource<T> {
    /// A channel in which at most `capacity` records wait to be read. 0 counts as 1.
    pub fn bounded(capacity: usize) -> (ChannelSender<T>, Self) {
        let (sender, receiver) = channel(capacity.max(1));
        let source = Self {
            receiver: Arc::new(receiver),
        };
        (ChannelSender { sender }, source)
    }

    /// How many records are kept in memory because no complete checkpoint has them, read or not.
    pub fn unacknowledged(&self) -> usize {
        self.receiver.kept()
    }
}

/// Sends records to a [`ChannelSource`]. The source ends when all of its senders are dropped.
pub struct ChannelSender<T> {
    sender: Sender<T>,
}

impl<T: Data> ChannelSender<T> {
    /// Sends a record, waiting while the channel is full. Dropping the future sends nothing.
    ///
    /// # Errors
    /// `Cancelled` when the job has ended and nobody reads any more.
    pub async fn send(&self, record: T) -> Result<()> {
        let mut record = Some(record);
        poll_fn(|cx| self.sender.poll_send(cx, &mut record)).await
    }

    /// How many of the records that were sent are kept in memory because no complete checkpoint has them, read or not.
    pub fn unacknowledged(&self) -> usize {
        self.sender.kept()
    }
}

impl<T> Clone for ChannelSender<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
        }
    }
}

/// The records of a channel from a position on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelSplit {
    next: u64,
}

impl SourceSplit for ChannelSplit {
    fn weight(&self) -> u64 {
        1
    }
}

impl<T: Data> Source for ChannelSource<T> {
    type Item = T;
    type Split = ChannelSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<ChannelSplit>>> {
        Ok(Box::new(ChannelEnumerator {
            receiver: Arc::clone(&self.receiver),
        }))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, ChannelSplit>>> {
        Ok(Box::new(ChannelReader {
            receiver: Arc::clone(&self.receiver),
            next: None,
            done: 0,
            snapshots: VecDeque::new(),
        }))
    }
}

struct ChannelEnumerator<T> {
    receiver: Arc<Receiver<T>>,
}

#[async_trait]
impl<T: Data> SplitEnumerator<ChannelSplit> for ChannelEnumerator<T> {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<ChannelSplit>> {
        self.receiver.start_at(0);
        Ok(vec![ChannelSplit { next: 0 }])
    }

    async fn verify(&mut self, restored: &[ChannelSplit]) -> Result<()> {
        match restored.first() {
            Some(split) => self.receiver.start_at(split.next),
            None => self.receiver.abandon(),
        }
        Ok(())
    }
}

struct ChannelReader<T> {
    receiver: Arc<Receiver<T>>,
    /// The position of the next record; `None` when there is nothing (more) to read.
    next: Option<u64>,
    done: u64,
    /// Up to where each checkpoint that may still complete has read.
    snapshots: VecDeque<(CheckpointId, u64)>,
}

impl<T: Data> SourceReader<T, ChannelSplit> for ChannelReader<T> {
    fn add_splits(&mut self, splits: Vec<ChannelSplit>) {
        for split in splits {
            self.next = Some(split.next);
        }
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(Ok(ReaderStatus::EndOfData));
        };
        let count = ready!(self.receiver.poll_read(cx, *next, &mut batch.records, limit))?;
        *next += count;
        self.done += count;
        if count > 0 || limit == 0 {
            return Poll::Ready(Ok(ReaderStatus::More));
        }
        Poll::Ready(Ok(ReaderStatus::EndOfData))
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<ChannelSplit>> {
        let Some(next) = self.next else {
            return Ok(Vec::new());
        };
        self.snapshots.push_back((checkpoint, next));
        if self.receiver.ends_at(next) {
            return Ok(Vec::new());
        }
        Ok(vec![ChannelSplit { next }])
    }

    fn on_checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        while let Some((_, next)) = self.snapshots.pop_front_if(|(id, _)| *id <= checkpoint) {
            self.receiver.release(next);
        }
        Ok(())
    }

    fn progress(&self) -> ReaderProgress {
        ReaderProgress {
            done: self.done,
            total: None,
        }
    }
}

impl<T> std::fmt::Debug for ChannelSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelSource").finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for ChannelSender<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelSender").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
