//! One field of the records is combined per key, and every update is emitted.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::snapshot::OperatorSnapshot;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Error, Key, Keyed, OperatorUid, Result};
use snapline_state::{KeyedStateBackend, Slot, TableSpec, ValueState};
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
        let backend = context.open_state(tables).await?;
        let link = AggregateLink {
            operator: context.operator,
            field: self.field.clone(),
            combine: self.combine.clone(),
            backend,
            state,
            updated: Batch::new(),
            next: next.typed::<T>()?,
        };
        Ok(ErasedLink::new::<Keyed<K, T>>(Box::new(link)))
    }
}

struct AggregateLink<F, C, K, T, N> {
    operator: OperatorUid,
    field: F,
    combine: C,
    backend: Box<dyn KeyedStateBackend>,
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
        let Some(hashes) = &batch.hashes else {
            return Err(Error::internal(
                "records without key hashes reached a keyed operator",
            ));
        };
        let (field, combine) = (&self.field, &self.combine);
        let mut table = self.state.table(&mut *self.backend)?;
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
            let keyed = self
                .backend
                .freeze(snapshot.barrier.checkpoint, snapshot.barrier.options.base)?;
            snapshot
                .operators
                .push(OperatorSnapshot::of(&self.operator).with_keyed(keyed));
        }
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.backend.poll_advance(cx) {
            Poll::Ready(Ok(())) => self.next.poll_advance(cx),
            unfinished => unfinished,
        }
    }
}
