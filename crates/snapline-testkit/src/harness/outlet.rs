//! Where a harness finds what has come out.

use async_trait::async_trait;
use snapline_connector::RecoveryScope;
use snapline_core::{
    AttemptId, Batch, CheckpointId, CheckpointSettings, Data, JobId, OperatorUid, Result, Timestamp,
};
use snapline_dataflow::{ErasedCommitter, ErasedLink, Link, OperatorContext, Signal, SinkFactory};
use snapline_state::Committable;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Something that has come out of the operators.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Emitted<U> {
    /// A record with its timestamp.
    Record(U, Option<Timestamp>),
    /// A watermark. With a parallelism above 1 each subtask has its own.
    Watermark(Timestamp),
    /// Nothing comes for now.
    Idle,
    /// Something comes again.
    Active,
}

/// What has come out and was not taken yet.
#[derive(Debug)]
pub(super) struct Collected<U> {
    emitted: Arc<Mutex<Vec<Emitted<U>>>>,
}

impl<U> Collected<U> {
    pub(super) fn new() -> Self {
        Self {
            emitted: Arc::default(),
        }
    }

    pub(super) fn take(&self) -> Vec<Emitted<U>> {
        std::mem::take(&mut *self.emitted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, emitted: Emitted<U>) {
        let mut all = self.emitted.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(emitted);
    }
}

impl<U> Clone for Collected<U> {
    fn clone(&self) -> Self {
        Self {
            emitted: self.emitted.clone(),
        }
    }
}

/// Ends a stream in links that collect.
pub(super) struct CollectingSink<U>(Collected<U>);

impl<U> CollectingSink<U> {
    pub(super) fn new(collected: Collected<U>) -> Self {
        Self(collected)
    }
}

impl<U: Data> SinkFactory for CollectingSink<U> {
    fn link(&self, _: OperatorContext) -> Result<ErasedLink> {
        Ok(ErasedLink::new::<U>(Box::new(self.0.clone())))
    }

    fn check(&self, _: &CheckpointSettings) -> Result<()> {
        Ok(())
    }

    fn recovery_scope(&self) -> RecoveryScope {
        RecoveryScope::Subtask
    }

    fn committer(&self, _: &JobId, _: &OperatorUid, _: AttemptId) -> Result<Box<dyn ErasedCommitter>> {
        Ok(Box::new(NothingToCommit))
    }
}

impl<U: Data> Link<U> for Collected<U> {
    fn on_batch(&mut self, batch: &mut Batch<U>) -> Result<()> {
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records.drain(..) {
            self.push(Emitted::Record(record, timestamps.next().copied()));
        }
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) => self.push(Emitted::Watermark(watermark.0)),
            Signal::Idle => self.push(Emitted::Idle),
            Signal::Active => self.push(Emitted::Active),
            _ => {}
        }
        Ok(())
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_advance(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct NothingToCommit;

#[async_trait]
impl ErasedCommitter for NothingToCommit {
    async fn commit(&mut self, _: Vec<Committable>) -> Result<()> {
        Ok(())
    }

    async fn recover(&mut self, _: AttemptId, _: Option<CheckpointId>) -> Result<()> {
        Ok(())
    }
}
