//! One record becomes one record.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::located::Place;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Result};
use std::marker::PhantomData;
use std::task::{Context, Poll};

pub(crate) struct Map<F, T, U> {
    function: F,
    types: PhantomData<fn(T) -> U>,
}

impl<F, T, U> Map<F, T, U> {
    pub(crate) fn new(function: F) -> Self {
        Self {
            function,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<T: Data, U: Data, F: FnMut(T) -> U + Clone + Send + Sync + 'static> OperatorFactory for Map<F, T, U> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let link = MapLink {
            function: self.function.clone(),
            mapped: Batch::new(),
            next: next.typed::<U>()?,
        };
        Ok(Place::of(&context).link::<T>(link))
    }
}

struct MapLink<F, U> {
    function: F,
    mapped: Batch<U>,
    next: Next<U>,
}

impl<T: Data, U: Data, F: FnMut(T) -> U + Send> Link<T> for MapLink<F, U> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.mapped
            .records
            .extend(batch.records.drain(..).map(&mut self.function));
        self.mapped.timestamps = batch.timestamps.take();
        batch.clear();
        self.next.on_batch(&mut self.mapped)
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

    fn taken(&self) -> Option<usize> {
        Some(self.mapped.len() + 1)
    }
}
