//! The records of each key are accumulated in one value, and what became of it is emitted.

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

/// When a keyed operator emits its results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Emit {
    /// After every record that changes it.
    #[default]
    Updates,
    /// Once per key, when all input has ended. The key has no state any more then: a job that goes on with
    /// more input later, from a savepoint with which it was drained, begins anew with every key.
    Final,
}

/// How the records of a key become one value.
pub(crate) trait Accumulator<K, T>: Clone + Send + Sync + 'static {
    /// The name of the state.
    const STATE: &'static str;
    type State: Data;
    type Output: Data;
    /// What a result needs of its key.
    type Tag;

    fn tag(key: &K) -> Self::Tag;

    /// Takes the first record of a key.
    fn begin(&self, record: T) -> Self::State;

    /// Takes one more. Whether that changed anything.
    fn add(&self, state: &mut Self::State, record: T) -> bool;

    fn output(&self, tag: Self::Tag, state: &Self::State) -> Self::Output;

    /// The last result of a key.
    fn finish(&self, key: K, state: Self::State) -> Self::Output;
}

pub(crate) struct Accumulate<A, K, T> {
    accumulator: A,
    emit: Emit,
    types: PhantomData<fn(K) -> T>,
}

impl<A, K, T> Accumulate<A, K, T> {
    pub(crate) fn new(accumulator: A, emit: Emit) -> Self {
        Self {
            accumulator,
            emit,
            types: PhantomData,
        }
    }
}

#[async_trait]
impl<A: Accumulator<K, T>, K: Key, T: Data> OperatorFactory for Accumulate<A, K, T> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let mut tables: Vec<TableSpec> = Vec::new();
        let state = ValueState::register(A::STATE, &mut tables, context.max_parallelism);
        let link: AccumulateLink<A, K, T> = AccumulateLink {
            accumulator: self.accumulator.clone(),
            emit: self.emit,
            keyed: KeyedState::open(&context, tables).await?,
            state,
            limit: context.batch_records,
            emitted: Batch::new(),
            unchanged: Vec::new(),
            next: next.typed()?,
        };
        Ok(Place::of(&context).link::<Keyed<K, T>>(link))
    }
}

struct AccumulateLink<A: Accumulator<K, T>, K, T> {
    keyed: KeyedState,
    accumulator: A,
    emit: Emit,
    state: ValueState<K, A::State>,
    limit: usize,
    emitted: Batch<A::Output>,
    /// The positions of records that changed nothing, within a batch.
    unchanged: Vec<usize>,
    next: Next<A::Output>,
}

impl<A: Accumulator<K, T>, K: Key, T: Data> AccumulateLink<A, K, T> {
    /// Emits the result of every key and forgets it: whoever owns the key after a restore, at whatever
    /// parallelism, has nothing to emit again.
    fn emit_final(&mut self) -> Result<()> {
        if self.emit != Emit::Final {
            return Ok(());
        }
        let Self {
            accumulator,
            emitted,
            next,
            limit,
            ..
        } = self;
        emitted.timestamps = None;
        self.state
            .table(self.keyed.backend())?
            .take_all(&mut |key, state| {
                emitted.records.push(accumulator.finish(key, state));
                if emitted.len() < *limit {
                    Ok(())
                } else {
                    next.on_batch(emitted)
                }
            })?;
        next.on_batch(emitted)
    }

    fn emit_updates(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let Self {
            accumulator,
            emitted,
            unchanged,
            ..
        } = self;
        let entries = batch.records.drain(..).map(|keyed| {
            let tag = A::tag(&keyed.key);
            (keyed.key, (tag, keyed.record))
        });
        self.state
            .table(self.keyed.backend())?
            .update_each(hashes, entries, |(tag, record), slot| {
                match changed(accumulator, record, slot) {
                    Some(state) => emitted.records.push(accumulator.output(tag, state)),
                    None => unchanged.push(emitted.records.len() + unchanged.len()),
                }
            })?;
        emitted.timestamps = batch.timestamps.take();
        if let Some(timestamps) = &mut emitted.timestamps {
            remove_at(timestamps, unchanged);
        }
        unchanged.clear();
        batch.clear();
        self.next.on_batch(&mut self.emitted)
    }

    fn only_accumulate(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let accumulator = &self.accumulator;
        let entries = batch.records.drain(..).map(|keyed| (keyed.key, keyed.record));
        self.state
            .table(self.keyed.backend())?
            .update_each(hashes, entries, |record, slot| {
                let _state = changed(accumulator, record, slot);
            })?;
        batch.clear();
        Ok(())
    }
}

/// What a record has made of the state of its key, unless that is what it was.
fn changed<'a, A: Accumulator<K, T>, K, T>(
    accumulator: &A,
    record: T,
    slot: Slot<'a, A::State>,
) -> Option<&'a A::State> {
    match slot {
        Slot::Occupied(state) => accumulator.add(state, record).then_some(state),
        Slot::Vacant(vacant) => Some(vacant.insert(accumulator.begin(record))),
    }
}

/// Removes what is at these positions, which grow.
fn remove_at<V>(values: &mut Vec<V>, positions: &[usize]) {
    let mut removed = positions.iter().peekable();
    let mut position = 0;
    if !positions.is_empty() {
        values.retain(|_| {
            let is_removed = removed.next_if_eq(&&position).is_some();
            position += 1;
            !is_removed
        });
    }
}

impl<A: Accumulator<K, T>, K: Key, T: Data> Link<Keyed<K, T>> for AccumulateLink<A, K, T> {
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        match self.emit {
            Emit::Updates => self.emit_updates(batch),
            Emit::Final => self.only_accumulate(batch),
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
        self.keyed.poll_advance(cx, &mut *self.next)
    }

    fn taken(&self) -> Option<usize> {
        let is_counted = self.emit == Emit::Updates;
        is_counted.then_some(self.emitted.len() + self.unchanged.len() + 1)
    }
}
