//! The half of a writer that is in the task: it makes messages of records.

use super::encode::Encode;
use super::staging::Staging;
use super::target::Target;
use super::{Delivery, NatsPart};
use crate::owner::Owner;
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_connector::{Outbox, SinkWriter, WriterContext, outbox};
use snapline_core::{Batch, CheckpointId, Result};
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many bytes of messages are worth a chunk. With one more message a chunk has to be less than a server takes, a megabyte
/// by default.
const CHUNK: usize = 128 * 1024;

pub(super) struct NatsWriter<T> {
    encode: Encode<T>,
    target: Arc<Target>,
    chunk: Vec<u8>,
    outbox: Outbox<NatsPart>,
}

impl<T> NatsWriter<T> {
    pub(super) fn start(delivery: &Arc<Delivery>, encode: Encode<T>, context: WriterContext) -> Result<Self> {
        let target = delivery.target()?;
        let (outbox, orders) = outbox();
        let owner = Owner::new(&context.job, &context.operator);
        let staging = Staging::new(delivery.clone(), owner, &context);
        delivery.events.start()?.spawn(staging.run(orders));
        Ok(Self {
            encode,
            target,
            chunk: Vec::new(),
            outbox,
        })
    }

    fn send(&mut self) -> Result<()> {
        match self.chunk.is_empty() {
            true => Ok(()),
            false => self.outbox.write(std::mem::take(&mut self.chunk).into()),
        }
    }
}

impl<T> SinkWriter<T, NatsPart> for NatsWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let Self {
            encode,
            target,
            chunk,
            outbox,
        } = self;
        encode(&batch.records, &mut |message| {
            target.check(&message)?;
            // A message that would make the chunk too large begins the next one.
            if !chunk.is_empty() && chunk.len() + message.size() > CHUNK {
                outbox.write(std::mem::take(chunk).into())?;
            }
            message.append_to(chunk)
        })?;
        batch.clear();
        Ok(())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.outbox.poll_ready(cx)
    }

    fn flush(&mut self) -> Result<()> {
        self.send()
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<NatsPart>>>> {
        self.send()?;
        let prepared = self.outbox.prepare(checkpoint)?;
        Ok(prepared
            .map(|prepared| Ok(prepared?.into_iter().collect()))
            .boxed())
    }
}
