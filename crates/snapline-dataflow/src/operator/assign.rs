//! Records get timestamps, and watermarks follow them.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::located::Place;
use crate::time::stamper::Stamper;
use crate::time::strategy::WatermarkStrategy;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Result, Watermark};
use std::task::{Context, Poll};

/// Gives each subtask the event time of a strategy, in place of the one it had.
pub(crate) struct Assign<T>(pub(crate) WatermarkStrategy<T>);

#[async_trait]
impl<T: Data> OperatorFactory for Assign<T> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let link = AssignLink {
            stamper: Stamper::new(&self.0),
            watermark: Watermark::MIN,
            watermarks: Vec::new(),
            next: next.typed::<T>()?,
        };
        Ok(Place::of(&context).link::<T>(link))
    }
}

struct AssignLink<T> {
    stamper: Stamper<T>,
    watermark: Watermark,
    watermarks: Vec<(usize, Watermark)>,
    next: Next<T>,
}

impl<T: Data> Link<T> for AssignLink<T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        if self.stamper.on_activity() {
            self.next.on_signal(&mut Signal::Active)?;
        }
        let watermark = &mut self.watermark;
        let advances = |(_, emitted): &(usize, Watermark)| {
            let is_later = *emitted > *watermark;
            *watermark = (*watermark).max(*emitted);
            is_later
        };
        self.watermarks
            .extend(self.stamper.stamp(batch)?.filter(advances));
        send(batch, self.watermarks.drain(..), &mut *self.next)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            // The strategy says how far event time is, but for the end.
            Signal::Watermark(watermark) if *watermark < Watermark::MAX => return Ok(()),
            Signal::Idle | Signal::Active => return Ok(()),
            _ => {}
        }
        if let Signal::ProcessingTime(alarm) = signal
            && self.stamper.on_processing_time(alarm)
        {
            self.next.on_signal(&mut Signal::Idle)?;
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

/// Sends records and the watermarks between them, each behind so many records of the batch.
pub(crate) fn send<T: Data>(
    batch: &mut Batch<T>,
    watermarks: impl Iterator<Item = (usize, Watermark)>,
    next: &mut dyn Link<T>,
) -> Result<()> {
    let mut sent = 0;
    for (position, watermark) in watermarks {
        let rest = (position < sent + batch.len()).then(|| batch.split_off(position - sent));
        sent = position;
        if !batch.is_empty() {
            next.on_batch(batch)?;
        }
        if let Some(rest) = rest {
            *batch = rest;
        }
        next.on_signal(&mut Signal::Watermark(watermark))?;
    }
    if batch.is_empty() {
        return Ok(());
    }
    next.on_batch(batch)
}

#[cfg(test)]
mod tests;
