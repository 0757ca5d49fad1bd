//! Nowhere.

use crate::no_commit::{NoCommitter, nothing_to_commit};
use crate::sink::{Committer, CommitterContext, RecoveryScope, Sink, SinkWriter, WriterContext};
use futures::future::BoxFuture;
use snapline_core::{Batch, CheckpointId, Result};

/// Drops all records. There is no output that a crash could harm.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscardSink;

impl<T> Sink<T> for DiscardSink {
    type Committable = ();

    fn writer(&self, _: WriterContext) -> Result<Box<dyn SinkWriter<T, ()>>> {
        Ok(Box::new(Self))
    }

    fn committer(&self, _: CommitterContext) -> Result<Box<dyn Committer<()>>> {
        Ok(Box::new(NoCommitter))
    }

    fn recovery_scope(&self) -> RecoveryScope {
        RecoveryScope::Subtask
    }
}

impl<T> SinkWriter<T, ()> for DiscardSink {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        batch.clear();
        Ok(())
    }

    fn prepare_commit(&mut self, _: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<()>>>> {
        Ok(nothing_to_commit())
    }
}
