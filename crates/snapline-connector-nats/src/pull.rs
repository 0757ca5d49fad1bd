//! Messages of a stream, from a number on, in their order.

use crate::session::Session;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, PullConsumer};
use async_nats::jetstream::{ErrorCode, Message};
use futures::StreamExt;
use serde_json::{Value, json};
use snapline_core::{Error, Result};
use std::time::Duration;

/// How many messages are asked for at a time.
const BATCH: usize = 1_000;
/// How many bytes of messages are asked for at a time.
const BYTES: usize = 4 * 1024 * 1024;
/// How long the server waits for messages before it is asked again.
const EXPIRES: Duration = Duration::from_secs(5);
/// Nobody asks for a message again but by a new consumer: as long as a server takes.
const NEVER: Duration = Duration::from_secs(30 * 24 * 3600);
/// Ends a consumer without a name that was left behind.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What to pull.
#[derive(Debug, Clone)]
pub(crate) struct PullFrom {
    stream: String,
    /// The name that the consumer keeps, when others are to see how far it is.
    durable: Option<String>,
    config: Config,
}

impl PullFrom {
    /// Only the headers of all messages from this number on, which nobody acknowledges.
    pub(crate) fn headers(stream: &str, first: u64) -> Self {
        Self {
            stream: stream.to_owned(),
            durable: None,
            config: Config {
                headers_only: true,
                ack_policy: AckPolicy::None,
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: first,
                },
                inactive_threshold: FORGOTTEN,
                ..Config::default()
            },
        }
    }

    /// Messages of these subjects, which are acknowledged to a consumer with a name.
    pub(crate) fn durable(
        stream: &str,
        name: &str,
        subjects: &str,
        policy: AckPolicy,
        from: DeliverPolicy,
    ) -> Self {
        Self {
            stream: stream.to_owned(),
            durable: Some(name.to_owned()),
            config: Config {
                durable_name: Some(name.to_owned()),
                description: Some("a source of Snapline".to_owned()),
                filter_subject: subjects.to_owned(),
                ack_policy: policy,
                deliver_policy: from,
                ack_wait: NEVER,
                max_ack_pending: -1,
                ..Config::default()
            },
        }
    }
}

/// A consumer at work.
pub(crate) struct Pull<'a> {
    session: &'a Session,
    consumer: PullConsumer,
    batch: Option<Batch>,
    /// How many messages there were.
    received: u64,
    /// Whether the last message that is wanted has come.
    has_passed: bool,
}

impl<'a> Pull<'a> {
    /// Makes the consumer, in the place of one of the same name.
    pub(crate) async fn open(session: &'a Session, from: &PullFrom) -> Result<Pull<'a>> {
        let stream = &from.stream;
        let doing = "the stream cannot be read";
        let subject = match &from.durable {
            None => format!("CONSUMER.CREATE.{stream}"),
            Some(name) => {
                let subject = format!("CONSUMER.DELETE.{stream}.{name}");
                let _: Option<Value> = session
                    .ask_for(doing, subject, &json!({}), ErrorCode::CONSUMER_NOT_FOUND)
                    .await?;
                format!("CONSUMER.DURABLE.CREATE.{stream}.{name}")
            }
        };
        let request = json!({ "stream_name": stream, "config": from.config });
        let info: Info = session.ask(doing, subject, &request).await?;
        Ok(Self {
            session,
            consumer: PullConsumer::new(from.config.clone(), info, session.jetstream.clone()),
            batch: None,
            received: 0,
            has_passed: false,
        })
    }

    /// The next message up to this number; `None` when there is none any more.
    pub(crate) async fn next_until_end(&mut self, last: u64) -> Result<Option<Message>> {
        while !self.has_passed {
            self.ask().await?;
            if let Some(message) = self.next().await? {
                let (number, _) = info(&message)?;
                self.has_passed = number >= last;
                return Ok((number <= last).then_some(message));
            }
            self.has_passed = self.is_at_end().await?;
        }
        Ok(None)
    }

    /// Whether all messages that there are were received.
    pub(crate) async fn is_at_end(&mut self) -> Result<bool> {
        let (stream, name) = (
            &self.consumer.cached_info().stream_name,
            &self.consumer.cached_info().name,
        );
        let subject = format!("CONSUMER.INFO.{stream}.{name}");
        let now: Info = self
            .session
            .ask("the consumer cannot be looked at", subject, &json!({}))
            .await?;
        Ok(now.num_pending == 0 && now.delivered.consumer_sequence <= self.received)
    }

    /// Asks for the next messages, when the last ones have come. What was asked for must not be forgotten: not to be cut off.
    pub(crate) async fn ask(&mut self) -> Result<()> {
        if self.batch.is_none() {
            let asked = self
                .consumer
                .batch()
                .max_messages(BATCH)
                .max_bytes(BYTES)
                .expires(EXPIRES);
            let batch = self
                .session
                .unless_ended(async { asked.messages().await.map_err(cannot) });
            self.batch = Some(batch.await?);
        }
        Ok(())
    }

    /// The next message of those that were asked for; `None` when they have come or will not come. May be cut off.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>> {
        let Some(batch) = &mut self.batch else {
            return Ok(None);
        };
        let next = self
            .session
            .unless_ended(async { Ok(batch.next().await) })
            .await?;
        match next {
            Some(message) => {
                self.received += 1;
                message.map(Some).map_err(cannot)
            }
            None => {
                self.batch = None;
                Ok(None)
            }
        }
    }
}

/// The number of a message in its stream, and its time in milliseconds.
pub(crate) fn info(message: &Message) -> Result<(u64, i64)> {
    let info = message
        .info()
        .map_err(|error| Error::internal("a message does not say where it is from").because(error))?;
    let time = info.published.unix_timestamp_nanos() / 1_000_000;
    Ok((info.stream_sequence, i64::try_from(time).unwrap_or(i64::MAX)))
}

fn cannot(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("messages do not come any more").because(error)
}
