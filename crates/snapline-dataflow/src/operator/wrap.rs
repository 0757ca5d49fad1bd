//! Records become another type and keep what is beside them, their key hashes too.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::located::Place;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Result};
use std::task::{Context, Poll};

pub(crate) struct Wrap<T, U>(pub(crate) fn(T) -> U);

#[async_trait]
impl<T: Data, U: Data> OperatorFactory for Wrap<T, U> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let link = WrapLink {
            wrap: self.0,
            wrapped: Batch::new(),
            next: next.typed::<U>()?,
        };
        Ok(Place::of(&context).link::<T>(link))
    }
}

struct WrapLink<T, U> {
    wrap: fn(T) -> U,
    wrapped: Batch<U>,
    next: Next<U>,
}

impl<T: Data, U: Data> Link<T> for WrapLink<T, U> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.wrapped
            .records
            .extend(batch.records.drain(..).map(self.wrap));
        self.wrapped.timestamps = batch.timestamps.take();
        self.wrapped.hashes = batch.hashes.take();
        self.next.on_batch(&mut self.wrapped)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_advance(cx)
    }
}
