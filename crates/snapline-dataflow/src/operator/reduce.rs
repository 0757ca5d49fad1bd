//! Whole records are combined per key.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::keyed_state::{KeyedState, no_hashes};
use async_trait::async_trait;
use snapline_core::{Batch, Data, Key, Keyed, Result};
use snapline_state::{Slot, TableSpec, ValueState};
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// When a keyed operator emits its results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Emit {
    /// After every record.
    #[default]
    Updates,
    /// Once per key, when all input has ended. The key has no state any more then: a job that goes on with
    /// more input later, from a savepoint with which it was drained, begins anew with every key.
    Final,
}

pub(crate) struct Reduce<F, K, T> {
    combine: F,
    emit: Emit,
    types: PhantomData<fn(K) -> T>,
}

impl<F, K, T> Reduce<F, K, T> {
    pub(crate) fn new(combine: F, emit: Emit) -> Self {
        Self {
            combine,
            emit,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<F, K, T> OperatorFactory for Reduce<F, K, T>
where
    K: Key,
    T: Data,
    F: Fn(&mut T, T) + Clone + Send + Sync + 'static,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let mut tables: Vec<TableSpec> = Vec::new();
        let state = ValueState::register("record", &mut tables, context.max_parallelism);
        let link = ReduceLink {
            combine: self.combine.clone(),
            emit: self.emit,
            keyed: KeyedState::open(&context, tables).await?,
            state,
            limit: context.batch_records,
            emitted: Batch::new(),
            next: next.typed::<T>()?,
        };
        Ok(ErasedLink::new::<Keyed<K, T>>(Box::new(link)))
    }
}

struct ReduceLink<F, K, T> {
    keyed: KeyedState,
    combine: F,
    emit: Emit,
    state: ValueState<K, T>,
    limit: usize,
    emitted: Batch<T>,
    next: Next<T>,
}

impl<F, K, T> ReduceLink<F, K, T>
where
    K: Key,
    T: Data,
    F: Fn(&mut T, T) + Send,
{
    /// Emits the result of every key and forgets it: whoever owns the key after a restore, at whatever
    /// parallelism, has nothing to emit again.
    fn emit_final(&mut self) -> Result<()> {
        if self.emit != Emit::Final {
            return Ok(());
        }
        let (emitted, next, limit) = (&mut self.emitted, &mut self.next, self.limit);
        emitted.timestamps = None;
        self.state
            .table(self.keyed.backend())?
            .take_all(&mut |_, record| {
                emitted.records.push(record);
                if emitted.len() < limit {
                    Ok(())
                } else {
                    next.on_batch(emitted)
                }
            })?;
        next.on_batch(emitted)
    }
}

impl<F, K, T> Link<Keyed<K, T>> for ReduceLink<F, K, T>
where
    K: Key,
    T: Data,
    F: Fn(&mut T, T) + Send,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let (combine, emitted, emit) = (&self.combine, &mut self.emitted.records, self.emit);
        let entries = batch.records.drain(..).map(|keyed| (keyed.key, keyed.record));
        self.state
            .table(self.keyed.backend())?
            .update_each(hashes, entries, |record, slot| {
                let result = match slot {
                    Slot::Occupied(total) => {
                        combine(total, record);
                        total
                    }
                    Slot::Vacant(vacant) => vacant.insert(record),
                };
                if emit == Emit::Updates {
                    emitted.push(result.clone());
                }
            })?;
        self.emitted.timestamps = batch.timestamps.take();
        batch.clear();
        if emit == Emit::Updates {
            self.next.on_batch(&mut self.emitted)
        } else {
            Ok(())
        }
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Barrier(snapshot) => self.keyed.freeze(snapshot)?,
            Signal::EndOfData => self.emit_final()?,
            _ => {}
        }
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.keyed.poll_advance(cx, &mut self.next)
    }
}
