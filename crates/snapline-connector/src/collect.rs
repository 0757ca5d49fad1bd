//! A `Vec` in the program's memory.

use crate::sink::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, ready};
use serde::{Deserialize, Serialize};
use snapline_core::{AttemptId, Batch, CheckpointId, Data, Result, SubtaskIndex};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Collects the records of one job in memory, to be had from a [`Collected`].
///
/// Exactly once within the process: records become visible when a checkpoint that contains them is
/// complete, and those that were in flight at a failure come again. Committables carry the records
/// themselves, so checkpoints grow with them.
///
/// A job that resumes in a new process collects what is committed from the restored checkpoint on.
///
/// # Examples
/// ```
/// use snapline_connector::CollectSink;
///
/// let (sink, collected) = CollectSink::<u64>::new();
/// // ... run a job that writes to `sink` ...
/// assert!(collected.take().is_empty());
/// # drop(sink);
/// ```
#[derive(Debug)]
pub struct CollectSink<T> {
    collected: Collected<T>,
}

impl<T: Data> CollectSink<T> {
    /// A sink and where its records are to be had.
    pub fn new() -> (Self, Collected<T>) {
        let collected = Collected(Arc::default());
        let sink = Self {
            collected: collected.clone(),
        };
        (sink, collected)
    }
}

impl<T> Clone for CollectSink<T> {
    /// The same collection, for a job that is started again.
    fn clone(&self) -> Self {
        let collected = Collected(self.collected.0.clone());
        Self { collected }
    }
}

/// What a [`CollectSink`] has collected and committed.
#[derive(Debug)]
pub struct Collected<T>(Arc<Mutex<Parts<T>>>);

/// What was committed, each part once, and who has written it. A part that was taken stays as an empty one.
type Parts<T> = BTreeMap<(CheckpointId, SubtaskIndex), (AttemptId, Vec<T>)>;

impl<T> Collected<T> {
    /// Takes the committed records out, by checkpoint, then subtask, then in the order in which they
    /// were written. Records that were taken cannot be withdrawn any more.
    pub fn take(&self) -> Vec<T> {
        let mut parts = self.parts();
        parts
            .values_mut()
            .flat_map(|(_, records)| std::mem::take(records))
            .collect()
    }

    /// A copy of the committed records, in the same order.
    pub fn snapshot(&self) -> Vec<T>
    where
        T: Clone,
    {
        let parts = self.parts();
        parts.values().flat_map(|(_, records)| records).cloned().collect()
    }

    fn parts(&self) -> MutexGuard<'_, Parts<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What one subtask has written between two checkpoints.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound = "T: Data")]
pub struct CollectedPart<T> {
    checkpoint: CheckpointId,
    subtask: SubtaskIndex,
    attempt: AttemptId,
    records: Vec<T>,
}

impl<T: Data> Sink<T> for CollectSink<T> {
    type Committable = CollectedPart<T>;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, CollectedPart<T>>>> {
        Ok(Box::new(CollectWriter {
            subtask: context.subtask,
            attempt: context.attempt,
            records: Vec::new(),
        }))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<CollectedPart<T>>>> {
        Ok(Box::new(CollectCommitter(self.collected.clone())))
    }

    fn recovery_scope(&self) -> RecoveryScope {
        RecoveryScope::Subtask
    }
}

struct CollectWriter<T> {
    subtask: SubtaskIndex,
    attempt: AttemptId,
    records: Vec<T>,
}

impl<T: Data> SinkWriter<T, CollectedPart<T>> for CollectWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.records.append(&mut batch.records);
        batch.clear();
        Ok(())
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<CollectedPart<T>>>>> {
        let records = std::mem::take(&mut self.records);
        let part = CollectedPart {
            checkpoint,
            subtask: self.subtask,
            attempt: self.attempt,
            records,
        };
        let parts = if part.records.is_empty() {
            vec![]
        } else {
            vec![part]
        };
        Ok(ready(Ok(parts)).boxed())
    }
}

struct CollectCommitter<T>(Collected<T>);

#[async_trait]
impl<T: Data> Committer<CollectedPart<T>> for CollectCommitter<T> {
    async fn commit(&mut self, committables: Vec<CollectedPart<T>>) -> Result<()> {
        let mut parts = self.0.parts();
        for part in committables {
            parts
                .entry((part.checkpoint, part.subtask))
                .or_insert((part.attempt, part.records));
        }
        Ok(())
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        // At the beginning nothing is of this history of the job, whatever the numbers of its attempts.
        let is_kept =
            |checkpoint, writer| restored.is_some_and(|restored| checkpoint <= restored || writer > attempt);
        self.0
            .parts()
            .retain(|(checkpoint, _), (writer, _)| is_kept(*checkpoint, *writer));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
