//! Some records stay.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::located::{Place, Taken};
use async_trait::async_trait;
use snapline_core::{Batch, Data, Result};
use std::marker::PhantomData;
use std::task::{Context, Poll};

pub(crate) struct Filter<F, T> {
    predicate: F,
    types: PhantomData<fn(T)>,
}

impl<F, T> Filter<F, T> {
    pub(crate) fn new(predicate: F) -> Self {
        Self {
            predicate,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<T: Data, F: FnMut(&T) -> bool + Clone + Send + Sync + 'static> OperatorFactory for Filter<F, T> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let link = FilterLink {
            predicate: self.predicate.clone(),
            taken: Taken::default(),
            next: next.typed::<T>()?,
        };
        Ok(Place::of(&context).link::<T>(link))
    }
}

struct FilterLink<F, T> {
    predicate: F,
    taken: Taken,
    next: Next<T>,
}

impl<T: Data, F: FnMut(&T) -> bool + Send> FilterLink<F, T> {
    /// Keeps the timestamps beside the records that stay.
    fn retain_with_timestamps(&mut self, batch: &mut Batch<T>) {
        let Some(timestamps) = &mut batch.timestamps else {
            return;
        };
        let (predicate, taken) = (&mut self.predicate, &mut self.taken);
        let records = batch.records.iter().inspect(|_| taken.next());
        let keep: Vec<bool> = records.map(predicate).collect();
        let mut verdicts = keep.iter();
        batch.records.retain(|_| verdicts.next().is_none_or(|keep| *keep));
        let mut verdicts = keep.iter();
        timestamps.retain(|_| verdicts.next().is_none_or(|keep| *keep));
    }
}

impl<T: Data, F: FnMut(&T) -> bool + Send> Link<T> for FilterLink<F, T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        batch.hashes = None;
        self.taken.begin();
        match batch.timestamps {
            None => {
                let (predicate, taken) = (&mut self.predicate, &mut self.taken);
                batch.records.retain(|record| {
                    taken.next();
                    predicate(record)
                });
            }
            Some(_) => self.retain_with_timestamps(batch),
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.next.on_batch(batch)
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
