//! One record becomes any number of records.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::located::{Place, Taken};
use crate::outlets::{Outlets, SideOutputs};
use async_trait::async_trait;
use snapline_core::{Batch, Data, Result};
use std::marker::PhantomData;
use std::task::{Context, Poll};

pub(crate) struct FlatMap<F, T, U> {
    function: F,
    types: PhantomData<fn(T) -> U>,
}

impl<F, T, U> FlatMap<F, T, U> {
    pub(crate) fn new(function: F) -> Self {
        Self {
            function,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<T, U, F> OperatorFactory for FlatMap<F, T, U>
where
    T: Data,
    U: Data,
    F: FnMut(T, &mut Collector<'_, U>) + Clone + Send + Sync + 'static,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let link = FlatMapLink {
            function: self.function.clone(),
            taken: Taken::default(),
            emitted: Batch::with_capacity(context.batch_records),
            limit: context.batch_records,
            next: next.outlets::<U>()?,
        };
        Ok(place.link::<T>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        SideOutputs::Any
    }
}

struct FlatMapLink<F, U> {
    function: F,
    taken: Taken,
    emitted: Batch<U>,
    limit: usize,
    next: Outlets<U>,
}

impl<T, U, F> Link<T> for FlatMapLink<F, U>
where
    T: Data,
    U: Data,
    F: FnMut(T, &mut Collector<'_, U>) + Send,
{
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.taken.begin();
        let mut collector = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records.drain(..) {
            self.taken.next();
            collector.at(timestamps.next().copied());
            (self.function)(record, &mut collector);
        }
        collector.finish()?;
        batch.clear();
        Ok(())
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
        self.taken.newest()
    }
}
