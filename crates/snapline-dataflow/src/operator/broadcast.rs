//! A function of the user takes the records of one stream, and those of another that all subtasks are told.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::function::{Function, FunctionLink};
use crate::operator::located::Place;
use crate::outlets::SideOutputs;
use crate::process::{BroadcastContext, BroadcastProcessFunction, RecordSide};
use crate::stream::connected::Either;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Result};
use std::task::{Context, Poll};

/// Makes a function for each subtask and opens it.
pub(crate) struct Broadcast<P, A, B>(Function<RecordSide<P, B>, A>);

impl<P, A, B> Broadcast<P, A, B> {
    pub(crate) fn new(function: P) -> Self {
        Self(Function::with_broadcast_side(RecordSide::new(function)))
    }
}

#[async_trait]
impl<A, B, P> OperatorFactory for Broadcast<P, A, B>
where
    A: Data,
    B: Data,
    P: BroadcastProcessFunction<A, B> + Clone + Sync,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let link: BroadcastLink<A, B, P> = BroadcastLink {
            records: self.0.open(context, next)?,
            batch: Batch::new(),
        };
        Ok(place.link::<Either<A, B>>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        SideOutputs::Any
    }
}

struct BroadcastLink<A: Data, B: Data, P: BroadcastProcessFunction<A, B>> {
    records: FunctionLink<A, RecordSide<P, B>>,
    /// Records on their way to there.
    batch: Batch<A>,
}

impl<A: Data, B: Data, P: BroadcastProcessFunction<A, B>> BroadcastLink<A, B, P> {
    fn on_broadcast(&mut self, batch: Batch<B>) -> Result<()> {
        let link = &mut self.records;
        link.taken.begin();
        let mut out = Collector::with_sides(&mut link.emitted, &mut link.next, link.limit);
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records {
            link.taken.next();
            let timestamp = timestamps.next().copied();
            out.at(timestamp);
            let mut context = BroadcastContext {
                timestamp,
                clock: &*link.clock,
                watermark: link.watermark,
                lists: &mut link.lists,
                broadcast: &mut link.broadcast,
            };
            let function = &mut link.function.function;
            function.process_broadcast_element(record, &mut context, &mut out)?;
        }
        out.finish()
    }
}

impl<A: Data, B: Data, P: BroadcastProcessFunction<A, B>> Link<Either<A, B>> for BroadcastLink<A, B, P> {
    fn on_batch(&mut self, batch: &mut Batch<Either<A, B>>) -> Result<()> {
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

/// Moves the records of a batch to their sides: `left` is filled, the right side is returned if there is any. A batch comes
/// over one channel, and so has one side only.
pub(super) fn take_sides<A, B>(batch: &mut Batch<Either<A, B>>, left: &mut Batch<A>) -> Option<Batch<B>> {
    left.timestamps = batch.timestamps.take();
    left.hashes = batch.hashes.take();
    let mut right = Vec::new();
    for record in batch.records.drain(..) {
        match record {
            Either::Left(record) => left.records.push(record),
            Either::Right(record) => right.push(record),
        }
    }
    batch.clear();
    let timestamps = (!right.is_empty()).then(|| left.timestamps.take());
    timestamps.map(|timestamps| Batch {
        timestamps,
        ..Batch::from(right)
    })
}
