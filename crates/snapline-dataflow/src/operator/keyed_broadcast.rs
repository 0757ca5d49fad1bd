//! A function of the user takes the records of a keyed stream, and those of another that all subtasks are told.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::broadcast::take_sides;
use crate::operator::collector::Collector;
use crate::operator::located::Place;
use crate::operator::process::{Process, ProcessLink};
use crate::outlets::SideOutputs;
use crate::process::{
    KeyedBroadcastContext, KeyedBroadcastProcessFunction, KeyedProcessFunction, RecordSide, RuntimeContext,
};
use crate::stream::connected::Either;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Key, Keyed, Result};
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// Makes a function for each subtask and opens it.
pub(crate) struct KeyedBroadcast<P, K, A, B> {
    function: P,
    types: PhantomData<fn(K, A, B)>,
}

impl<P, K, A, B> KeyedBroadcast<P, K, A, B> {
    pub(crate) fn new(function: P) -> Self {
        let types = PhantomData;
        Self { function, types }
    }
}

#[async_trait]
impl<K, A, B, P> OperatorFactory for KeyedBroadcast<P, K, A, B>
where
    K: Key,
    A: Data,
    B: Data,
    P: KeyedBroadcastProcessFunction<K, A, B> + Clone + Sync,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let function = self.function.clone();
        let open = move |context: &mut RuntimeContext| {
            let mut function = RecordSide::<P, B>::new(function.clone());
            KeyedProcessFunction::<K, A>::open(&mut function, context).map(|()| function)
        };
        let process = Process::<_, K, A>::with_broadcast_side(open);
        let place = Place::of(&context);
        let link: KeyedBroadcastLink<K, A, B, P> = KeyedBroadcastLink {
            records: process.open(context, next).await?,
            batch: Batch::new(),
        };
        Ok(place.link::<Either<Keyed<K, A>, B>>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        SideOutputs::Any
    }
}

struct KeyedBroadcastLink<K, A, B, P>
where
    K: Key,
    A: Data,
    B: Data,
    P: KeyedBroadcastProcessFunction<K, A, B>,
{
    records: ProcessLink<K, A, RecordSide<P, B>>,
    /// Records on their way to there.
    batch: Batch<Keyed<K, A>>,
}

impl<K, A, B, P> KeyedBroadcastLink<K, A, B, P>
where
    K: Key,
    A: Data,
    B: Data,
    P: KeyedBroadcastProcessFunction<K, A, B>,
{
    /// Timers that are due come first, as before any other record.
    fn on_broadcast(&mut self, batch: Batch<B>) -> Result<()> {
        let link = &mut self.records;
        link.taken.begin();
        link.catch_up()?;
        let mut out = Collector::with_sides(&mut link.emitted, &mut link.next, link.limit);
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records {
            link.taken.next();
            let timestamp = timestamps.next().copied();
            out.at(timestamp);
            if let Some(clock) = &link.event_clock {
                clock.on_record(timestamp);
            }
            let mut context = KeyedBroadcastContext {
                backend: link.keyed.backend(),
                timers: link.timers.as_mut(),
                broadcast: &mut link.broadcast,
                timestamp,
                clock: &*link.clock,
                watermark: link.event_time.watermark(),
            };
            let function = &mut link.function.function;
            function.process_broadcast_element(record, &mut context, &mut out)?;
        }
        out.finish()
    }
}

impl<K, A, B, P> Link<Either<Keyed<K, A>, B>> for KeyedBroadcastLink<K, A, B, P>
where
    K: Key,
    A: Data,
    B: Data,
    P: KeyedBroadcastProcessFunction<K, A, B>,
{
    fn on_batch(&mut self, batch: &mut Batch<Either<Keyed<K, A>, B>>) -> Result<()> {
        if let Some(broadcast) = take_sides(batch, &mut self.batch) {
            self.on_broadcast(broadcast)?;
        }
        if self.batch.is_empty() {
            return Ok(());
        }
        self.records.on_batch(&mut self.batch)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.records.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.records.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.records.poll_advance(cx)
    }

    fn taken(&self) -> Option<usize> {
        self.records.taken()
    }
}
