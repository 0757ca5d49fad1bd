//! The beginning of a stream: a source's readers.

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::{ErasedLink, SourceFactory};
use crate::head::SourceHead;
use crate::link::{Next, Signal};
use crate::snapshot::OperatorSnapshot;
use async_trait::async_trait;
use snapline_connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, deal_splits,
};
use snapline_core::{Batch, CheckpointId, Data, OperatorUid, Result};
use snapline_state::OperatorState;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

pub(crate) struct SourceOf<S>(pub(crate) S);

/// The list of operator state that has the splits of a reader.
const SPLITS: &str = "splits";
/// The list that tells a reader without splits from one that never was.
const OPENED: &str = "opened";

#[async_trait]
impl<S: Source> SourceFactory for SourceOf<S> {
    async fn discover(&self, parallelism: u32) -> Result<Vec<OperatorState>> {
        let splits = self
            .0
            .enumerator()?
            .discover(&DiscoveryContext { parallelism })
            .await?;
        deal(splits, parallelism)
    }

    async fn resume(&self, states: Vec<OperatorState>, parallelism: u32) -> Result<Vec<OperatorState>> {
        let splits = states
            .iter()
            .map(|state| state.items::<S::Split>(SPLITS))
            .collect::<Result<Vec<_>>>()?
            .concat();
        self.0.enumerator()?.verify(&splits).await?;
        if states.len() == parallelism as usize {
            Ok(states)
        } else {
            deal(splits, parallelism)
        }
    }

    fn head(&self, context: OperatorContext, next: ErasedLink) -> Result<Box<dyn SourceHead>> {
        let mut reader = self.0.reader(ReaderContext {
            job: context.job,
            subtask: context.subtask,
            parallelism: context.parallelism,
        })?;
        reader.add_splits(context.restored.operator.items(SPLITS)?);
        Ok(Box::new(ReaderHead {
            operator: context.operator,
            reader,
            counters: context.counters,
            limit: context.batch_records,
            batch: Batch::new(),
            next: next.typed::<S::Item>()?,
        }))
    }
}

fn deal<S: SourceSplit>(splits: Vec<S>, parallelism: u32) -> Result<Vec<OperatorState>> {
    deal_splits(splits, parallelism as usize)
        .into_iter()
        .map(splits_state)
        .collect()
}

fn splits_state<S: SourceSplit>(splits: Vec<S>) -> Result<OperatorState> {
    let mut state = OperatorState::new();
    state.push(OPENED, &())?;
    splits.iter().try_for_each(|split| state.push(SPLITS, split))?;
    Ok(state)
}

struct ReaderHead<T, S> {
    operator: OperatorUid,
    reader: Box<dyn SourceReader<T, S>>,
    counters: Arc<TaskCounters>,
    limit: usize,
    batch: Batch<T>,
    next: Next<T>,
}

impl<T: Data, S: SourceSplit> ReaderHead<T, S> {
    fn freeze(&mut self, checkpoint: CheckpointId) -> Result<OperatorSnapshot> {
        let state = splits_state(self.reader.snapshot(checkpoint)?)?;
        Ok(OperatorSnapshot::of(&self.operator).with_state(state))
    }

    fn count(&self, records: usize) {
        let progress = self.reader.progress();
        self.counters.records.fetch_add(records as u64, Ordering::Relaxed);
        self.counters.done.store(progress.done, Ordering::Relaxed);
        self.counters
            .total
            .store(progress.total.unwrap_or(0), Ordering::Relaxed);
    }
}

impl<T: Data, S: SourceSplit> SourceHead for ReaderHead<T, S> {
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReaderStatus>> {
        let status = match self.reader.poll_batch(cx, &mut self.batch, self.limit) {
            Poll::Ready(Ok(status)) => status,
            other => return other,
        };
        let records = self.batch.len();
        self.count(records);
        if records > 0 {
            self.next.on_batch(&mut self.batch)?;
            self.batch.clear();
        }
        Poll::Ready(Ok(status))
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Barrier(snapshot) => {
                let frozen = self.freeze(snapshot.barrier.checkpoint)?;
                snapshot.operators.push(frozen);
            }
            Signal::CheckpointComplete(checkpoint) => self.reader.on_checkpoint_complete(*checkpoint)?,
            _ => {}
        }
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_advance(cx)
    }
}
