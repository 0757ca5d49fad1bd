//! A function of the user takes each record, with the states of its key.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::operator::collector::Collector;
use crate::operator::keyed_state::{KeyedState, no_hashes};
use crate::process::{KeyedProcessFunction, ProcessContext, RuntimeContext};
use async_trait::async_trait;
use snapline_core::{Batch, Clock, Data, Key, Keyed, Result};
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Makes a function for each subtask and opens it.
pub(crate) struct Process<M, K, T> {
    make: M,
    types: PhantomData<fn(K, T)>,
}

impl<M, K, T> Process<M, K, T> {
    pub(crate) fn new(make: M) -> Self {
        Self {
            make,
            types: PhantomData,
        }
    }
}

/// A function that is a closure.
pub(crate) struct FromClosure<F, U> {
    closure: F,
    output: PhantomData<fn() -> U>,
}

impl<F, U> FromClosure<F, U> {
    pub(crate) fn new(closure: F) -> Self {
        Self {
            closure,
            output: PhantomData,
        }
    }
}

impl<K, T, U, F> KeyedProcessFunction<K, T> for FromClosure<F, U>
where
    K: Key,
    T: Data,
    U: Data,
    F: FnMut(T, &mut ProcessContext<'_, K>, &mut Collector<'_, U>) -> Result<()> + Send + 'static,
{
    type Output = U;

    #[inline]
    fn process_element(
        &mut self,
        record: T,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        (self.closure)(record, context, out)
    }
}

#[async_trait]
impl<M, K, T, P> OperatorFactory for Process<M, K, T>
where
    K: Key,
    T: Data,
    P: KeyedProcessFunction<K, T>,
    M: Fn(&mut RuntimeContext) -> Result<P> + Send + Sync + 'static,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let mut runtime = RuntimeContext::new(&context);
        let function = (self.make)(&mut runtime)?;
        let link = ProcessLink {
            function,
            keyed: KeyedState::open(&context, runtime.into_tables()).await?,
            clock: context.clock,
            limit: context.batch_records,
            emitted: Batch::with_capacity(context.batch_records),
            next: next.typed::<P::Output>()?,
        };
        Ok(ErasedLink::new::<Keyed<K, T>>(Box::new(link)))
    }
}

struct ProcessLink<P, U> {
    keyed: KeyedState,
    function: P,
    clock: Arc<dyn Clock>,
    limit: usize,
    emitted: Batch<U>,
    next: Next<U>,
}

impl<K, T, P> Link<Keyed<K, T>> for ProcessLink<P, P::Output>
where
    K: Key,
    T: Data,
    P: KeyedProcessFunction<K, T>,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let mut out = Collector::new(&mut self.emitted, &mut *self.next, self.limit);
        let mut timestamps = batch.timestamps.iter().flatten();
        for (Keyed { key, record }, hash) in batch.records.drain(..).zip(hashes) {
            let timestamp = timestamps.next().copied();
            out.at(timestamp);
            let mut context = ProcessContext {
                backend: self.keyed.backend(),
                hash: *hash,
                key: &key,
                timestamp,
                clock: &*self.clock,
            };
            self.function.process_element(record, &mut context, &mut out)?;
        }
        out.finish()?;
        batch.clear();
        Ok(())
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
        self.keyed.poll_advance(cx, &mut self.next)
    }
}
