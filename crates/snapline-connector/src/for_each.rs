//! A closure of the program.

use crate::no_commit::{NoCommitter, nothing_to_commit};
use crate::sink::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use futures::future::BoxFuture;
use snapline_core::{Batch, CheckpointId, Result};

/// Calls a closure with each batch; every subtask has a clone of its own.
///
/// At least once: the closure is called at once, and after a failure again for every record since the
/// restored checkpoint. What the closure leaves in the batch is dropped.
///
/// # Examples
/// ```
/// use snapline_connector::ForEachSink;
/// use snapline_core::Batch;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let count = Arc::new(AtomicU64::new(0));
/// let counter = Arc::clone(&count);
/// let sink = ForEachSink::new(move |batch: &mut Batch<String>| {
///     counter.fetch_add(batch.len() as u64, Ordering::Relaxed);
/// });
/// ```
#[derive(Clone)]
pub struct ForEachSink<F> {
    call: F,
}

impl<F> ForEachSink<F> {
    /// Calls this closure.
    pub fn new<T>(call: F) -> Self
    where
        F: FnMut(&mut Batch<T>),
    {
        Self { call }
    }
}

impl<T, F: FnMut(&mut Batch<T>) + Clone + Send + Sync + 'static> Sink<T> for ForEachSink<F> {
    type Committable = ();

    fn writer(&self, _: WriterContext) -> Result<Box<dyn SinkWriter<T, ()>>> {
        Ok(Box::new(self.clone()))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<()>>> {
        Ok(Box::new(NoCommitter))
    }

    fn recovery_scope(&self) -> RecoveryScope {
        RecoveryScope::Subtask
    }
}

impl<T, F: FnMut(&mut Batch<T>) + Send> SinkWriter<T, ()> for ForEachSink<F> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        (self.call)(batch);
        batch.clear();
        Ok(())
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<()>>>> {
        Ok(nothing_to_commit())
    }
}

impl<F> std::fmt::Debug for ForEachSink<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForEachSink").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{write, writer_context};
    use std::sync::mpsc;

    #[test]
    fn every_subtask_has_a_clone_of_the_closure() {
        let (sender, seen) = mpsc::channel();
        let mut batches = 0;
        let sink = ForEachSink::new(move |batch: &mut Batch<u64>| {
            batches += 1;
            sender.send((batches, batch.records.clone())).unwrap();
        });
        let mut writers = [0, 1].map(|subtask| sink.writer(writer_context(subtask)).unwrap());
        write(writers[0].as_mut(), vec![1, 2]);
        write(writers[0].as_mut(), vec![3]);
        write(writers[1].as_mut(), vec![4]);
        let calls: Vec<_> = seen.try_iter().collect();
        assert_eq!(calls, [(1, vec![1, 2]), (2, vec![3]), (1, vec![4])]);
    }
}
