//! The half of a reader that is on the event loop: it pulls the messages of one split, and acknowledges them.

use super::acknowledgments::Acknowledged;
use super::decode::NatsMessage;
use super::{Inlet, NatsSplit};
use crate::pull::{Pull, PullFrom, info};
use crate::session::Session;
use async_nats::Subject;
use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::RetentionPolicy;
use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, SinkExt, StreamExt};
use snapline_core::{Error, ErrorKind, Result, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How many messages are handed over together.
const TOGETHER: usize = 1_000;
/// How many such batches wait for the reader.
pub(super) const AHEAD: usize = 2;

/// Before a new connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What a reader is given, in order.
pub(super) enum Fetched {
    /// A connection begins: all messages come that are not acknowledged, and are acknowledged so.
    Begin(AckPolicy),
    Messages(Vec<NatsMessage>),
    /// The split is read to its end.
    End,
}

pub(super) type Fetches = mpsc::Sender<Result<Fetched>>;

/// An acknowledgment by the connection of this number, counted from 1.
pub(super) type Orders = mpsc::UnboundedReceiver<(u64, Acknowledged)>;

pub(super) struct Fetch {
    inlet: Arc<Inlet>,
    split: NatsSplit,
    fetches: Fetches,
    orders: Orders,
    /// The last message that is acknowledged.
    acknowledged: u64,
    connections: u64,
    /// How long there was no message because of interruptions.
    waited: Duration,
}

/// Why a connection is not used any more.
enum Ended {
    /// The reader is gone.
    Reader,
    Split,
}

impl Fetch {
    pub(super) fn new(inlet: Arc<Inlet>, split: NatsSplit, fetches: Fetches, orders: Orders) -> Self {
        Self {
            acknowledged: split.next - 1,
            inlet,
            split,
            fetches,
            orders,
            connections: 0,
            waited: Duration::ZERO,
        }
    }

    /// Fetches until the split ends, fails, or the reader is gone.
    pub(super) async fn run(mut self) {
        if let Err(error) = self.fetch().await {
            let error = error
                .with("stream", &self.split.stream)
                .with("consumer", self.split.consumer(&self.inlet.durable));
            // Nobody listens when the reader is gone.
            let _ = self.fetches.send(Err(error)).await;
        }
    }

    /// Begins again after each interruption, as long as patience lasts without a message.
    async fn fetch(&mut self) -> Result<()> {
        let inlet = self.inlet.clone();
        loop {
            let session = inlet
                .server
                .patiently(|| inlet.server.connect("snapline"))
                .await?;
            match self.follow(&session).await {
                Ok(Ended::Reader) => return flush(&session).await,
                Ok(Ended::Split) => return self.acknowledge_the_rest(&session).await,
                Err(error) if error.kind() == ErrorKind::Unavailable && !self.is_over(&error) => {}
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
            self.waited += PAUSE;
        }
    }

    fn is_over(&self, error: &Error) -> bool {
        let stream = &self.split.stream;
        tracing::debug!(%error, stream, "the stream is read again from the last checkpoint");
        self.fetches.is_closed() || self.waited >= self.inlet.server.how_patient()
    }

    /// Hands over messages as long as the connection lasts.
    async fn follow(&mut self, session: &Session) -> Result<Ended> {
        let retention = session.stream(&self.split.stream).await?.config.retention;
        let (policy, from) = match retention {
            RetentionPolicy::WorkQueue => (AckPolicy::Explicit, DeliverPolicy::All),
            _ => {
                let start_sequence = self.acknowledged + 1;
                (AckPolicy::All, DeliverPolicy::ByStartSequence { start_sequence })
            }
        };
        let name = self.split.consumer(&self.inlet.durable);
        let subjects = self.split.subjects().unwrap_or_default();
        let from = PullFrom::durable(&self.split.stream, &name, subjects, policy, from);
        let mut pull = Pull::open(session, &from).await?;
        self.connections += 1;
        if self.hand_over(Fetched::Begin(policy)).await.is_err() {
            return Ok(Ended::Reader);
        }
        loop {
            pull.ask().await?;
            let next = tokio::select! {
                biased;
                order = self.orders.next() => match order {
                    Some(order) => {
                        self.acknowledge(session, order).await?;
                        continue;
                    }
                    None => return Ok(Ended::Reader),
                },
                next = pull.next() => next?,
            };
            let Some(first) = next else {
                if self.split.last.is_some() && pull.is_at_end().await? {
                    let _ = self.hand_over(Fetched::End).await;
                    return Ok(Ended::Split);
                }
                continue;
            };
            let messages = self.with_those_that_are_there(session, first, &mut pull).await?;
            let last = messages.last().map(|message| message.sequence);
            self.waited = Duration::ZERO;
            if self.hand_over(Fetched::Messages(messages)).await.is_err() {
                return Ok(Ended::Reader);
            }
            if self
                .split
                .last
                .is_some_and(|end| last.is_some_and(|last| last >= end))
            {
                let _ = self.hand_over(Fetched::End).await;
                return Ok(Ended::Split);
            }
        }
    }

    /// Messages that need no waiting for, without those that are acknowledged.
    async fn with_those_that_are_there(
        &self,
        session: &Session,
        first: Message,
        pull: &mut Pull<'_>,
    ) -> Result<Vec<NatsMessage>> {
        let mut messages = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            let message = received(message)?;
            match message.sequence <= self.acknowledged {
                true => acknowledge(session, message.reply).await?,
                false => messages.push(message),
            }
            if messages.len() == TOGETHER {
                break;
            }
            next = pull.next().now_or_never().transpose()?.flatten();
        }
        Ok(messages)
    }

    async fn hand_over(&mut self, fetched: Fetched) -> Result<(), mpsc::SendError> {
        self.fetches.send(Ok(fetched)).await
    }

    /// What was acknowledged at a connection that has ended comes again.
    async fn acknowledge(
        &mut self,
        session: &Session,
        (connection, order): (u64, Acknowledged),
    ) -> Result<()> {
        self.acknowledged = self.acknowledged.max(order.last);
        if connection == self.connections {
            for reply in order.replies {
                acknowledge(session, reply).await?;
            }
        }
        Ok(())
    }

    /// The reader may be at its end long before the last checkpoint is complete.
    async fn acknowledge_the_rest(&mut self, session: &Session) -> Result<()> {
        while let Some(order) = self.orders.next().await {
            self.acknowledge(session, order).await?;
        }
        flush(session).await
    }
}

/// Words for the server that are not on their way yet would be lost with the connection.
async fn flush(session: &Session) -> Result<()> {
    let flushed = async {
        let flushed = session.client.flush().await;
        flushed.map_err(unheard)
    };
    session.unless_ended(flushed).await
}

async fn acknowledge(session: &Session, reply: Subject) -> Result<()> {
    let told = session.client.publish(reply, Bytes::from_static(b"+ACK"));
    told.await.map_err(unheard)
}

fn unheard(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("messages cannot be acknowledged").because(error)
}

fn received(message: Message) -> Result<NatsMessage> {
    let (sequence, milliseconds) = info(&message)?;
    let message = message.message;
    Ok(NatsMessage {
        subject: message.subject,
        headers: message.headers.unwrap_or_default(),
        payload: message.payload,
        sequence,
        time: Timestamp(milliseconds),
        reply: message.reply.unwrap_or_else(|| Subject::from_static("")),
    })
}
