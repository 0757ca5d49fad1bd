//! Event time at a source, split by split.

use crate::alarm::Alarm;
use crate::link::{Link, Signal};
use crate::operator::assign::send;
use crate::time::split_watermarks::{Combined, SplitWatermarks};
use crate::time::stamper::Stamper;
use crate::time::strategy::WatermarkStrategy;
use snapline_core::{Batch, Data, Result, Watermark};

/// Watches each split of a reader by itself. Records of a reader that does not tell its splits apart count as
/// one split, the first.
pub(super) struct SplitTimes<T> {
    strategy: WatermarkStrategy<T>,
    stampers: Vec<Stamper<T>>,
    combined: SplitWatermarks,
    watermarks: Vec<(usize, Watermark)>,
}

impl<T: Data> SplitTimes<T> {
    /// The times of a reader that was given this many splits.
    pub(super) fn new(strategy: WatermarkStrategy<T>, splits: usize) -> Self {
        let mut combined = SplitWatermarks::new();
        (0..splits).for_each(|split| combined.add(split));
        Self {
            stampers: (0..splits).map(|_| Stamper::new(&strategy)).collect(),
            strategy,
            combined,
            watermarks: Vec::new(),
        }
    }

    /// The reader does not tell its splits apart.
    fn join(&mut self) {
        (1..self.stampers.len()).for_each(|split| self.combined.remove(split));
        self.stampers.truncate(1);
        if self.stampers.is_empty() {
            self.stampers.push(Stamper::new(&self.strategy));
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
        if split.is_none() && self.stampers.len() != 1 {
            self.join();
        }
        let split = split.unwrap_or(0);
        let Some(stamper) = self.stampers.get_mut(split) else {
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
        send(batch, self.watermarks.drain(..), next)
    }

    /// These splits are read to their end.
    pub(super) fn finish(&mut self, splits: Vec<usize>) {
        splits.into_iter().for_each(|split| self.combined.remove(split));
    }

    /// Looks for splits from which nothing has come for too long.
    ///
    /// # Errors
    /// Those of the operators behind.
    pub(super) fn on_processing_time(&mut self, alarm: &mut Alarm, next: &mut dyn Link<T>) -> Result<()> {
        for (split, stamper) in self.stampers.iter_mut().enumerate() {
            if !stamper.on_processing_time(alarm) {
                continue;
            }
            match self.combined.on_idle(split) {
                Some(Combined::Watermark(watermark)) => next.on_signal(&mut Signal::Watermark(watermark))?,
                Some(Combined::Idle) => next.on_signal(&mut Signal::Idle)?,
                Some(Combined::Active) | None => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
