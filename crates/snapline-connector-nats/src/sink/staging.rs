//! The half of a writer that is on the event loop: it lets messages wait in the server, or publishes them at once.

use super::published::publish;
use super::{Delivery, Guarantee, NatsPart, part_name};
use crate::ledger;
use crate::owner::Owner;
use crate::session::Session;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use snapline_connector::{OutboxOrder, OutboxOrders, WriterContext};
use snapline_core::{AttemptId, CheckpointId, Result, SubtaskIndex};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::sync::Mutex;

pub(super) struct Staging {
    delivery: Arc<Delivery>,
    owner: Owner,
    subtask: SubtaskIndex,
    attempt: AttemptId,
    run: String,
    /// How many parts were prepared.
    number: u64,
    /// How many messages were published, of a sink that does so at once.
    count: u64,
    /// What waits of the next part: the numbers of the chunks, and the chunks.
    chunks: Vec<(u64, Bytes)>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Staging {
    pub(super) fn new(delivery: Arc<Delivery>, owner: Owner, context: &WriterContext) -> Self {
        Self {
            delivery,
            owner,
            subtask: context.subtask,
            attempt: context.attempt,
            run: format!("{:016x}", RandomState::new().hash_one(context.attempt.0)),
            number: 0,
            count: 0,
            chunks: Vec::new(),
            session: Mutex::default(),
        }
    }

    /// Does what the writer wants until it is gone.
    pub(super) async fn run(mut self, mut orders: OutboxOrders<NatsPart>) {
        if let Err(error) = self.obey(&mut orders).await {
            let named = self.delivery.name(error).with("subtask", self.subtask);
            orders.fail(named);
        }
    }

    async fn obey(&mut self, orders: &mut OutboxOrders<NatsPart>) -> Result<()> {
        while let Some(order) = orders.next().await {
            match order {
                OutboxOrder::Write(chunk) => {
                    let len = chunk.len();
                    match self.delivery.guarantee {
                        Guarantee::ExactlyOnce => self.stage(chunk).await?,
                        Guarantee::AtLeastOnce => self.publish(chunk).await?,
                    }
                    orders.written(len);
                }
                // Nobody waits for the checkpoint any more, and the job restarts.
                OutboxOrder::Prepare(_, prepared) if prepared.is_canceled() => return Ok(()),
                OutboxOrder::Prepare(checkpoint, prepared) => {
                    let outcome = match self.chunks.is_empty() {
                        true => Ok(None),
                        false => self.prepare(checkpoint).await.map(Some),
                    };
                    let failure = outcome.as_ref().err().cloned();
                    let _ = prepared.send(outcome);
                    failure.map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(())
    }

    /// A chunk whose acknowledgment was lost is there twice, and the part names one of both.
    async fn stage(&mut self, chunk: Bytes) -> Result<()> {
        let delivery = self.delivery.clone();
        let number = delivery
            .server
            .patiently(|| self.try_stage(chunk.clone()))
            .await?;
        self.chunks.push((number, chunk));
        Ok(())
    }

    async fn try_stage(&self, chunk: Bytes) -> Result<u64> {
        let session = self.session().await?;
        let message = PublishMessage::build().payload(chunk);
        let acknowledged = session.publish(&self.owner.staged(&self.part()), message).await?;
        Ok(acknowledged.sequence)
    }

    fn part(&self) -> String {
        part_name(self.attempt, self.subtask, &self.run, self.number)
    }

    async fn prepare(&mut self, checkpoint: CheckpointId) -> Result<NatsPart> {
        let delivery = self.delivery.clone();
        let after = delivery.server.patiently(|| self.last_of_stream()).await?;
        let part = NatsPart {
            checkpoint,
            subtask: self.subtask,
            attempt: self.attempt,
            run: self.run.clone(),
            number: self.number,
            chunks: self.chunks.iter().map(|(number, _)| *number).collect(),
            after,
        };
        let chunks = self.chunks.drain(..).map(|(_, chunk)| chunk);
        delivery.waiting.put(part.name(), chunks.collect());
        self.number += 1;
        Ok(part)
    }

    /// The last message of the stream, seen by a writer that was not taken over.
    async fn last_of_stream(&self) -> Result<u64> {
        let session = self.session().await?;
        let (ledger, _) = ledger::read(&session, &self.owner).await?;
        ledger.check(self.attempt, &self.owner)?;
        let stream = session.stream(&self.delivery.stream).await?;
        Ok(stream.state.last_sequence)
    }

    async fn publish(&mut self, chunk: Bytes) -> Result<()> {
        let delivery = self.delivery.clone();
        let count = delivery
            .server
            .patiently(|| self.try_publish(chunk.clone()))
            .await?;
        self.count += count;
        Ok(())
    }

    async fn try_publish(&self, chunk: Bytes) -> Result<u64> {
        let session = self.session().await?;
        let prefix = self.owner.id_prefix(CheckpointId::NONE, self.subtask, &self.run);
        let mut publishing = session.publishing();
        let end = publish(
            &mut publishing,
            &self.delivery,
            &prefix,
            self.count,
            chunk,
            |_| false,
        )
        .await?;
        publishing.finish().await?;
        Ok(end - self.count)
    }

    async fn session(&self) -> Result<Arc<Session>> {
        let mut kept = self.session.lock().await;
        if let Some(session) = kept.as_ref().filter(|session| !session.has_ended()) {
            return Ok(session.clone());
        }
        let session = Arc::new(self.delivery.server.connect("snapline").await?);
        *kept = Some(session.clone());
        Ok(session)
    }
}
