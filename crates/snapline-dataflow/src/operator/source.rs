//! The beginning of a stream: a source's readers.

mod pause;
mod split_times;

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::{ErasedLink, SourceFactory};
use crate::head::SourceHead;
use crate::link::{Next, Signal};
use crate::operator::located::{Place, caught};
use crate::snapshot::OperatorSnapshot;
use crate::time::strategy::WatermarkStrategy;
use async_trait::async_trait;
use snapline_connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, deal_splits,
};
use snapline_core::{Batch, CheckpointId, Data, OperatorUid, Result, Watermark};
use snapline_state::OperatorState;
use split_times::SplitTimes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// Makes the readers of a source, and with a strategy, the event time of its splits.
pub(crate) struct SourceOf<S: Source> {
    source: S,
    times: Option<WatermarkStrategy<S::Item>>,
}

impl<S: Source> SourceOf<S> {
    pub(crate) fn new(source: S, times: Option<WatermarkStrategy<S::Item>>) -> Self {
        Self { source, times }
    }
}

/// The list of operator state that has the splits of a reader.
const SPLITS: &str = "splits";
/// The list that tells a reader without splits from one that never was.
const OPENED: &str = "opened";

#[async_trait]
impl<S: Source> SourceFactory for SourceOf<S> {
    async fn discover(&self, parallelism: u32) -> Result<Vec<OperatorState>> {
        let splits = self
            .source
            .enumerator()?
            .discover(&DiscoveryContext { parallelism })
            .await?;
        deal(splits, parallelism)
    }

    fn resume(&self, states: Vec<OperatorState>, parallelism: u32) -> Result<Vec<OperatorState>> {
        if states.len() == parallelism as usize {
            Ok(states)
        } else {
            deal(splits_of::<S::Split>(&states)?, parallelism)
        }
    }

    async fn verify(&self, states: &[&OperatorState]) -> Result<()> {
        let splits = splits_of::<S::Split>(states.iter().copied())?;
        self.source.enumerator()?.verify(&splits).await
    }

    fn head(&self, context: OperatorContext, next: ErasedLink) -> Result<Box<dyn SourceHead>> {
        let place = Place::of(&context);
        let splits: Vec<S::Split> = context.restored.operator.items(SPLITS)?;
        let times = self.times.clone();
        let times = times.map(|strategy| SplitTimes::new(strategy, splits.len()).aligned(&context));
        let mut reader = self.source.reader(ReaderContext {
            job: context.job,
            subtask: context.subtask,
            parallelism: context.parallelism,
        })?;
        reader.add_splits(splits);
        Ok(Box::new(ReaderHead {
            operator: context.operator,
            place,
            reader,
            times,
            counters: context.counters,
            limit: context.batch_records,
            batch: Batch::new(),
            next: next.typed::<S::Item>()?,
        }))
    }
}

fn splits_of<'a, S: SourceSplit>(states: impl IntoIterator<Item = &'a OperatorState>) -> Result<Vec<S>> {
    let splits = states.into_iter().map(|state| state.items::<S>(SPLITS));
    Ok(splits.collect::<Result<Vec<_>>>()?.concat())
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
    place: Place,
    reader: Box<dyn SourceReader<T, S>>,
    times: Option<SplitTimes<T>>,
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

    /// Sends the batch that was read.
    #[inline]
    fn send(&mut self) -> Result<()> {
        let Some(times) = &mut self.times else {
            return self.next.on_batch(&mut self.batch);
        };
        times.send(self.reader.current_split(), &mut self.batch, &mut *self.next)?;
        times.finish(self.reader.take_finished());
        Ok(())
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
        if let Some(times) = &mut self.times {
            ready!(times.poll_caught_up(cx, &mut *self.reader));
        }
        let read = caught(|| self.reader.poll_batch(cx, &mut self.batch, self.limit));
        let status = match read.unwrap_or_else(|panic| Poll::Ready(Err(panic))) {
            Poll::Ready(Ok(status)) => status,
            other => return other.map_err(|error| self.place.name(error)),
        };
        let records = self.batch.len();
        self.count(records);
        if records > 0 {
            let sent = caught(|| self.send()).flatten();
            sent.map_err(|error| self.place.name(error))?;
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
            Signal::Watermark(Watermark::MAX) => {
                if let Some(times) = &mut self.times {
                    times.end();
                }
            }
            Signal::CheckpointComplete(checkpoint) => self.reader.on_checkpoint_complete(*checkpoint)?,
            Signal::ProcessingTime(alarm) => {
                if let Some(times) = &mut self.times {
                    times.on_processing_time(alarm, &mut *self.next)?;
                }
            }
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

#[cfg(test)]
mod tests;
