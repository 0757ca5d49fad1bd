//! A function of the user without keys takes each record, with its operator state.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::located::{Place, Taken};
use crate::outlets::{Outlets, SideOutputs};
use crate::process::{BroadcastSide, ProcessFunction, RecordContext, RuntimeContext, SnapshotContext};
use crate::snapshot::{OperatorSnapshot, TaskSnapshot};
use crate::state::{BroadcastMaps, OperatorLists};
use async_trait::async_trait;
use snapline_core::{Batch, Clock, Data, OperatorUid, Result, Watermark};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Makes a function for each subtask and opens it.
pub(crate) struct Function<P, T> {
    function: P,
    broadcast: BroadcastSide,
    types: PhantomData<fn(T)>,
}

impl<P, T> Function<P, T> {
    pub(crate) fn new(function: P) -> Self {
        Self {
            function,
            broadcast: BroadcastSide::No,
            types: PhantomData,
        }
    }

    /// The same for functions that are also told broadcast records.
    pub(super) fn with_broadcast_side(function: P) -> Self {
        Self {
            broadcast: BroadcastSide::Yes,
            ..Self::new(function)
        }
    }
}

#[async_trait]
impl<T: Data, P: ProcessFunction<T> + Clone + Sync> OperatorFactory for Function<P, T> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        Ok(place.link::<T>(self.open(context, next)?))
    }

    fn side_outputs(&self) -> SideOutputs {
        SideOutputs::Any
    }
}

impl<T: Data, P: ProcessFunction<T> + Clone + Sync> Function<P, T> {
    /// The function of one subtask, with its state.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub(super) fn open(&self, context: OperatorContext, next: ErasedLink) -> Result<FunctionLink<T, P>> {
        let mut function = self.function.clone();
        let mut runtime = RuntimeContext::new(&context);
        function.open(&mut runtime)?;
        let (lists, broadcast) = runtime.into_operator_state(self.broadcast)?;
        Ok(FunctionLink {
            function,
            taken: Taken::default(),
            operator: context.operator,
            lists,
            broadcast,
            watermark: Watermark::MIN,
            clock: context.clock,
            limit: context.batch_records,
            emitted: Batch::with_capacity(context.batch_records),
            next: next.outlets::<P::Output>()?,
            records: PhantomData,
        })
    }
}

/// A function with its operator state, in front of the rest of its chain.
pub(super) struct FunctionLink<T: Data, P: ProcessFunction<T>> {
    pub(super) function: P,
    pub(super) taken: Taken,
    operator: OperatorUid,
    pub(super) lists: OperatorLists,
    pub(super) broadcast: BroadcastMaps,
    pub(super) watermark: Watermark,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limit: usize,
    pub(super) emitted: Batch<P::Output>,
    pub(super) next: Outlets<P::Output>,
    records: PhantomData<fn(T)>,
}

impl<T: Data, P: ProcessFunction<T>> FunctionLink<T, P> {
    /// Freezes the operator state, if there is any, into the snapshot of the task.
    fn freeze(&mut self, snapshot: &mut TaskSnapshot) -> Result<()> {
        self.function.snapshot(&mut SnapshotContext {
            lists: &mut self.lists,
        })?;
        let mut state = self.lists.frozen();
        state.adopt_broadcast(&self.broadcast.frozen());
        if !state.is_empty() || self.lists.are_wanted() || self.broadcast.are_wanted() {
            let frozen = OperatorSnapshot::of(&self.operator);
            snapshot.operators.push(frozen.with_state(state));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        out.at(None);
        let mut context = RecordContext {
            timestamp: None,
            clock: &*self.clock,
            watermark: self.watermark,
            lists: &mut self.lists,
            broadcast: &self.broadcast,
        };
        self.function.finish(&mut context, &mut out)?;
        out.finish()
    }
}

impl<T: Data, P: ProcessFunction<T>> Link<T> for FunctionLink<T, P> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.taken.begin();
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records.drain(..) {
            self.taken.next();
            let timestamp = timestamps.next().copied();
            out.at(timestamp);
            let mut context = RecordContext {
                timestamp,
                clock: &*self.clock,
                watermark: self.watermark,
                lists: &mut self.lists,
                broadcast: &self.broadcast,
            };
            self.function.process_element(record, &mut context, &mut out)?;
        }
        out.finish()?;
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) => self.watermark = self.watermark.max(*watermark),
            Signal::Barrier(snapshot) => self.freeze(snapshot)?,
            Signal::EndOfData => self.finish()?,
            _ => {}
        }
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
