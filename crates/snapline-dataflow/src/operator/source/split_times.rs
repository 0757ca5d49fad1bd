//! Event time at a source, split by split.

use super::pause::Pause;
use crate::alarm::Alarm;
use crate::context::OperatorContext;
use crate::link::{Link, Signal};
use crate::operator::assign::send;
use crate::time::split_watermarks::{Combined, SplitWatermarks};
use crate::time::stamper::Stamper;
use crate::time::strategy::WatermarkStrategy;
use snapline_connector::SourceReader;
use snapline_core::{Batch, Data, Result, Watermark};
use std::collections::BTreeMap;
use std::task::{Context, Poll, ready};

/// Watches each split of a reader by itself. Records of a reader that does not tell its splits apart count as
/// one split, the first.
pub(super) struct SplitTimes<T> {
    strategy: WatermarkStrategy<T>,
    /// Of the splits that are not read to their end, by their positions among all that were added.
    stampers: BTreeMap<usize, Stamper<T>>,
    added: usize,
    /// Whether the reader does not tell its splits apart.
    is_joined: bool,
    combined: SplitWatermarks,
    watermarks: Vec<(usize, Watermark)>,
    /// Where the reader waits for others.
    pause: Option<Pause>,
}

impl<T: Data> SplitTimes<T> {
    /// The times of a reader that was given this many splits.
    pub(super) fn new(strategy: WatermarkStrategy<T>, splits: usize) -> Self {
        let mut times = Self {
            strategy,
            stampers: BTreeMap::new(),
            added: 0,
            is_joined: false,
            combined: SplitWatermarks::new(),
            watermarks: Vec::new(),
            pause: None,
        };
        times.watch(splits);
        times
    }

    /// Watches so many more splits.
    fn watch(&mut self, splits: usize) {
        for split in self.added..self.added + splits {
            self.stampers.insert(split, Stamper::new(&self.strategy));
            self.combined.add(split);
        }
        self.added += splits;
    }

    /// The reader was given so many more splits. They hold event time back until they have watermarks, as if they had
    /// been there before: what was said of it stays said.
    ///
    /// # Errors
    /// Those of the operators behind.
    pub(super) fn add(&mut self, splits: usize, next: &mut dyn Link<T>) -> Result<()> {
        if splits == 0 {
            return Ok(());
        }
        let woken = match self.is_joined {
            true => self.combined.on_activity(0),
            false => {
                self.watch(splits);
                self.combined.on_added()
            }
        };
        if woken.is_some() {
            next.on_signal(&mut Signal::Active)?;
        }
        self.report();
        Ok(())
    }

    /// The reader has read all of its splits, and may be given others: event time does not wait for it.
    ///
    /// # Errors
    /// Those of the operators behind.
    pub(super) fn rest(&mut self, next: &mut dyn Link<T>) -> Result<()> {
        if self.combined.on_rest() == Some(Combined::Idle) {
            self.report();
            next.on_signal(&mut Signal::Idle)?;
        }
        Ok(())
    }

    /// Lets the reader join the group of its strategy, if that names one.
    pub(super) fn aligned(mut self, context: &OperatorContext) -> Self {
        let drift = self.strategy.drift().cloned();
        self.pause = drift.map(|drift| Pause::new(drift, context));
        self.report();
        self
    }

    /// Ready when the reader is not too far ahead of others to read on. Of one that can pause them, splits that are too far
    /// ahead wait by themselves.
    pub(super) fn poll_caught_up<S>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut dyn SourceReader<T, S>,
    ) -> Poll<()> {
        let Some(pause) = self.pause.as_mut() else {
            return Poll::Ready(());
        };
        let has_waited = pause.is_waiting();
        ready!(pause.poll_over(cx));
        if has_waited {
            self.stampers.values_mut().for_each(Stamper::hold);
        }
        if reader.can_pause_splits() {
            for split in pause.waiting_splits() {
                if let Some(stamper) = self.stampers.get_mut(split) {
                    stamper.hold();
                }
            }
            if let Some(ahead) = pause.splits_ahead(cx, &self.combined) {
                reader.pause_splits(ahead);
            }
        }
        Poll::Ready(())
    }

    /// Nothing more is read.
    pub(super) fn end(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.leave();
        }
    }

    fn report(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.report(self.combined.least());
        }
    }

    /// The reader does not tell its splits apart.
    fn join(&mut self) {
        self.is_joined = true;
        (1..self.added).for_each(|split| self.combined.remove(split));
        self.stampers.retain(|split, _| *split == 0);
        if self.stampers.is_empty() {
            self.stampers.insert(0, Stamper::new(&self.strategy));
            self.combined.add(0);
        }
    }

    /// Sends the records of a split on, with timestamps and watermarks.
    ///
    /// # Errors
    /// Those of the operators behind; `Invalid` when nobody gives the records timestamps.
    pub(super) fn send(
        &mut self,
        split: Option<usize>,
        batch: &mut Batch<T>,
        next: &mut dyn Link<T>,
    ) -> Result<()> {
        if split.is_none() && !self.is_joined {
            self.join();
        }
        let split = split.unwrap_or(0);
        let Some(stamper) = self.stampers.get_mut(&split) else {
            return next.on_batch(batch);
        };
        stamper.on_activity();
        if self.combined.on_activity(split).is_some() {
            next.on_signal(&mut Signal::Active)?;
        }
        for (position, watermark) in stamper.stamp(batch)? {
            if let Some(Combined::Watermark(watermark)) = self.combined.on_watermark(split, watermark) {
                self.watermarks.push((position, watermark));
            }
        }
        self.report();
        send(batch, self.watermarks.drain(..), next)
    }

    /// These splits are read to their end.
    pub(super) fn finish(&mut self, splits: Vec<usize>) {
        if !splits.is_empty() {
            for split in splits {
                self.combined.remove(split);
                self.stampers.remove(&split);
            }
            self.report();
        }
    }

    /// Looks for splits from which nothing has come for too long.
    ///
    /// # Errors
    /// Those of the operators behind.
    pub(super) fn on_processing_time(&mut self, alarm: &mut Alarm, next: &mut dyn Link<T>) -> Result<()> {
        let pause = self.pause.as_ref();
        let is_held = pause.is_some_and(Pause::is_waiting);
        let waiting = pause.map_or(&[][..], Pause::waiting_splits);
        for (&split, stamper) in &mut self.stampers {
            if is_held || waiting.contains(&split) {
                stamper.hold();
            }
            if !stamper.on_processing_time(alarm) {
                continue;
            }
            match self.combined.on_idle(split) {
                Some(Combined::Watermark(watermark)) => next.on_signal(&mut Signal::Watermark(watermark))?,
                Some(Combined::Idle) => next.on_signal(&mut Signal::Idle)?,
                Some(Combined::Active) | None => {}
            }
        }
        self.report();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
