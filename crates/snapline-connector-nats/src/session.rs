//! A connection, and the requests that go over it.

use crate::failure::{ended, failed, publishing, requesting};
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Info, RawMessage};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{Client, Subject};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use snapline_core::Result;
use std::collections::VecDeque;
use tokio::sync::watch;

/// How many messages may be on their way to the server without its word.
const IN_FLIGHT: usize = 4_000;

/// A connection. It is not used any more once it was interrupted.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    has_ended: watch::Receiver<bool>,
}

#[derive(Deserialize)]
struct Found {
    message: RawMessage,
}

impl Session {
    pub(crate) fn new(client: Client, has_ended: watch::Receiver<bool>) -> Self {
        Self {
            jetstream: async_nats::jetstream::new(client.clone()),
            client,
            has_ended,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.has_ended.borrow()
    }

    /// Does this unless the connection is interrupted.
    pub(crate) async fn unless_ended<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let mut has_ended = self.has_ended.clone();
        tokio::select! {
            biased;
            outcome = call => outcome,
            _ = has_ended.wait_for(|has_ended| *has_ended) => Err(ended()),
        }
    }

    /// A request to the interface of JetStream. What the server refuses comes with its code.
    async fn request<V: DeserializeOwned>(
        &self,
        doing: &'static str,
        subject: String,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<Result<V, async_nats::jetstream::Error>> {
        let answered = async {
            let answer = self.jetstream.request(subject, payload).await;
            answer.map_err(|error| requesting(doing, error))
        };
        Ok(match self.unless_ended(answered).await? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } => Err(error),
        })
    }

    /// The same, where a refusal is an error.
    pub(crate) async fn ask<V: DeserializeOwned>(
        &self,
        doing: &'static str,
        subject: String,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<V> {
        let answer = self.request(doing, subject, payload).await?;
        answer.map_err(|refusal| failed(doing, refusal))
    }

    /// The same, where one refusal means that it is not there.
    pub(crate) async fn ask_for<V: DeserializeOwned>(
        &self,
        doing: &'static str,
        subject: String,
        payload: &(impl Serialize + Sync + ?Sized),
        absent: ErrorCode,
    ) -> Result<Option<V>> {
        match self.request(doing, subject, payload).await? {
            Ok(answer) => Ok(Some(answer)),
            Err(refusal) if refusal.error_code() == absent => Ok(None),
            Err(refusal) => Err(failed(doing, refusal)),
        }
    }

    /// A stream as it is now.
    pub(crate) async fn stream(&self, name: &str) -> Result<Info> {
        let (doing, subject) = ("the stream cannot be looked at", format!("STREAM.INFO.{name}"));
        let info = self.ask(doing, subject, &json!({})).await;
        info.map_err(|error| error.with("stream", name))
    }

    /// A message of a stream, by `seq` or `last_by_subj`; `None` when there is none.
    pub(crate) async fn message(
        &self,
        stream: &str,
        which: serde_json::Value,
    ) -> Result<Option<StreamMessage>> {
        let doing = "a message of the stream cannot be read";
        let found: Option<Found> = self
            .ask_for(
                doing,
                format!("STREAM.MSG.GET.{stream}"),
                &which,
                ErrorCode::NO_MESSAGE_FOUND,
            )
            .await?;
        let message = found.map(|found| found.message.try_into()).transpose();
        message.map_err(|error| snapline_core::Error::internal(doing).because(error))
    }

    /// Removes the messages with these subjects.
    pub(crate) async fn purge(&self, stream: &str, subjects: &str) -> Result<()> {
        let doing = "messages cannot be removed from the stream";
        let request = json!({ "filter": subjects });
        let purged: serde_json::Value = self
            .ask(doing, format!("STREAM.PURGE.{stream}"), &request)
            .await?;
        drop(purged);
        Ok(())
    }

    /// Publishes a message and waits until the stream has it.
    pub(crate) async fn publish(&self, subject: &str, message: PublishMessage) -> Result<PublishAck> {
        let published = async {
            let sent = self.jetstream.send_publish(Subject::from(subject), message).await;
            sent.map_err(publishing)?.await.map_err(publishing)
        };
        self.unless_ended(published).await
    }

    /// Publishes messages, many at a time.
    pub(crate) fn publishing(&self) -> Publishing<'_> {
        Publishing {
            session: self,
            acknowledgments: VecDeque::new(),
        }
    }
}

/// Messages that are on their way.
pub(crate) struct Publishing<'a> {
    session: &'a Session,
    acknowledgments: VecDeque<PublishAckFuture>,
}

impl Publishing<'_> {
    pub(crate) async fn send(&mut self, subject: Subject, message: PublishMessage) -> Result<()> {
        if self.acknowledgments.len() >= IN_FLIGHT {
            self.acknowledged().await?;
        }
        let sent = async {
            let sent = self.session.jetstream.send_publish(subject, message).await;
            sent.map_err(publishing)
        };
        let acknowledgment = self.session.unless_ended(sent).await?;
        self.acknowledgments.push_back(acknowledgment);
        Ok(())
    }

    /// Waits until the stream has all of them.
    pub(crate) async fn finish(mut self) -> Result<()> {
        while !self.acknowledgments.is_empty() {
            self.acknowledged().await?;
        }
        Ok(())
    }

    async fn acknowledged(&mut self) -> Result<()> {
        let Some(first) = self.acknowledgments.pop_front() else {
            return Ok(());
        };
        let acknowledged = async { first.await.map_err(publishing) };
        self.session.unless_ended(acknowledged).await.map(drop)
    }
}
