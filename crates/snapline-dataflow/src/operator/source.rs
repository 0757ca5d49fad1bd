//! The beginning of a stream: a source's readers.

pub(crate) mod growth;
mod pause;
mod reader_state;
mod split_times;

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::{ErasedLink, SourceFactory};
use crate::head::SourceHead;
use crate::link::{Next, Signal};
use crate::operator::located::{Place, caught};
use crate::snapshot::OperatorSnapshot;
use crate::time::strategy::WatermarkStrategy;
use async_trait::async_trait;
use growth::{FoundSplits, KnownSplits};
use reader_state::{EncodedSeen, ReaderState};
use snapline_connector::{DiscoveryOutlook, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit};
use snapline_core::{Batch, CheckpointId, Data, OperatorUid, Result, Watermark};
use snapline_state::OperatorState;
use split_times::SplitTimes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

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

#[async_trait]
impl<S: Source> SourceFactory for SourceOf<S> {
    async fn discover(&self, parallelism: u32) -> Result<Vec<OperatorState>> {
        growth::begin(&self.source, parallelism).await
    }

    fn resume(&self, states: Vec<OperatorState>, parallelism: u32) -> Result<Vec<OperatorState>> {
        growth::resume(&self.source, states, parallelism)
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.source.discovery_interval()
    }

    fn known(&self, states: &[&OperatorState]) -> Result<KnownSplits> {
        growth::known::<S::Split>(states)
    }

    async fn discover_more(&self, known: KnownSplits) -> Result<FoundSplits> {
        growth::look(&self.source, known).await
    }

    async fn verify(&self, states: &[&OperatorState]) -> Result<()> {
        let mut splits = Vec::new();
        for state in states {
            splits.extend(ReaderState::<S::Split>::of(state)?.splits);
        }
        self.source.enumerator()?.verify(&splits).await
    }

    fn head(&self, context: OperatorContext, next: ErasedLink) -> Result<Box<dyn SourceHead>> {
        let place = Place::of(&context);
        let ReaderState {
            splits,
            seen,
            outlook,
        } = ReaderState::of(&context.restored.operator)?;
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
            growth: Growth {
                grows: self.source.discovery_interval().is_some(),
                seen,
                outlook,
            },
            times,
            counters: context.counters,
            limit: context.batch_records,
            batch: Batch::new(),
            next: next.typed::<S::Item>()?,
        }))
    }
}

struct ReaderHead<T, S> {
    operator: OperatorUid,
    place: Place,
    reader: Box<dyn SourceReader<T, S>>,
    growth: Growth,
    times: Option<SplitTimes<T>>,
    counters: Arc<TaskCounters>,
    limit: usize,
    batch: Batch<T>,
    next: Next<T>,
}

/// What a reader knows of the splits that it was not given.
struct Growth {
    /// Whether the job looks for new splits.
    grows: bool,
    seen: Option<EncodedSeen>,
    outlook: DiscoveryOutlook,
}

impl Growth {
    /// Whether the reader may be given more splits.
    fn may_come(&self) -> bool {
        self.grows && self.outlook == DiscoveryOutlook::MoreMayCome
    }
}

impl<T: Data, S: SourceSplit> ReaderHead<T, S> {
    fn freeze(&mut self, checkpoint: CheckpointId) -> Result<OperatorSnapshot> {
        let state = ReaderState {
            splits: self.reader.snapshot(checkpoint)?,
            seen: self.growth.seen.clone(),
            outlook: self.growth.outlook,
        };
        Ok(OperatorSnapshot::of(&self.operator).with_state(state.to_state()?))
    }

    /// All splits are read, and there may be others later: the task is woken when they come.
    fn rest(&mut self) -> Result<()> {
        match &mut self.times {
            Some(times) => times.rest(&mut *self.next),
            None => Ok(()),
        }
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
        if status == ReaderStatus::EndOfData && self.growth.may_come() {
            self.rest().map_err(|error| self.place.name(error))?;
            return Poll::Pending;
        }
        let records = self.batch.len();
        self.count(records);
        if records > 0 {
            let sent = caught(|| self.send()).flatten();
            sent.map_err(|error| self.place.name(error))?;
            self.batch.clear();
        }
        Poll::Ready(Ok(status))
    }

    fn add_splits(&mut self, state: &OperatorState) -> Result<()> {
        let added = ReaderState::of(state)?;
        if let Some(times) = &mut self.times {
            times.add(added.splits.len(), &mut *self.next)?;
        }
        self.reader.add_splits(added.splits);
        self.growth.seen = added.seen.or(self.growth.seen.take());
        self.growth.outlook = added.outlook;
        Ok(())
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
