//! One field of the records is combined per key, and every update is emitted.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::keyed_state::{KeyedState, no_hashes};
use crate::operator::located::Place;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Key, Keyed, Result};
use snapline_state::{Slot, TableSpec, ValueState};
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// Combines a field: the state holds only the field, the incoming record moves on with the new value.
pub(crate) struct Aggregate<F, C, K, T, N> {
    field: F,
    combine: C,
    types: PhantomData<fn(K, T) -> N>,
}

impl<F, C, K, T, N> Aggregate<F, C, K, T, N> {
    pub(crate) fn new(field: F, combine: C) -> Self {
        Self {
            field,
            combine,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<F, C, K, T, N> OperatorFactory for Aggregate<F, C, K, T, N>
where
    K: Key,
    T: Data,
    N: Data,
    F: Fn(&mut T) -> &mut N + Clone + Send + Sync + 'static,
    C: Fn(&mut N, &N) + Clone + Send + Sync + 'static,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let mut tables: Vec<TableSpec> = Vec::new();
        let state = ValueState::register("value", &mut tables, context.max_parallelism);
        let link = AggregateLink {
            keyed: KeyedState::open(&context, tables).await?,
            field: self.field.clone(),
            combine: self.combine.clone(),
            state,
            updated: Batch::new(),
            next: next.typed::<T>()?,
        };
        Ok(Place::of(&context).link::<Keyed<K, T>>(link))
    }
}

struct AggregateLink<F, C, K, T, N> {
    keyed: KeyedState,
    field: F,
    combine: C,
    state: ValueState<K, N>,
    updated: Batch<T>,
    next: Next<T>,
}

impl<F, C, K, T, N> Link<Keyed<K, T>> for AggregateLink<F, C, K, T, N>
where
    K: Key,
    T: Data,
    N: Data,
    F: Fn(&mut T) -> &mut N + Send,
    C: Fn(&mut N, &N) + Send,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let (field, combine) = (&self.field, &self.combine);
        let mut table = self.state.table(self.keyed.backend())?;
        let updated = &mut self.updated.records;
        let entries = batch.records.drain(..).map(|keyed| (keyed.key, keyed.record));
        table.update_each(hashes, entries, |mut record, slot| {
            let value = field(&mut record);
            match slot {
                Slot::Occupied(total) => {
                    combine(total, value);
                    value.clone_from(total);
                }
                Slot::Vacant(vacant) => *vacant = Some(value.clone()),
            }
            updated.push(record);
        })?;
        self.updated.timestamps = batch.timestamps.take();
        batch.clear();
        self.next.on_batch(&mut self.updated)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        if let Signal::Barrier(snapshot) = signal {
            self.keyed.freeze(snapshot)?;
        }
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.keyed.poll_advance(cx, &mut *self.next)
    }

    fn taken(&self) -> Option<usize> {
        Some(self.updated.len() + 1)
    }
}
