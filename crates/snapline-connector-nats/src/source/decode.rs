//! Makes records of messages, a batch at a time, so that the user's function is inlined.

use super::undecodable::{Undecodable, UndecodableMessage};
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use snapline_core::{Batch, Error, Result, Timestamp};
use std::error::Error as StdError;
use std::sync::Arc;

/// A message of a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NatsMessage {
    /// Its subject.
    pub subject: Subject,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its bytes.
    pub payload: Bytes,
    /// Its number in the stream.
    pub sequence: u64,
    /// When the server got it.
    pub time: Timestamp,
    /// Where to acknowledge it.
    pub(super) reply: Subject,
}

/// Appends what messages of a stream are decoded to.
pub(super) type Decode<T> =
    Arc<dyn Fn(&[NatsMessage], &mut Batch<T>, &str, &Undecodable) -> Result<()> + Send + Sync>;

/// The function for many messages that calls one for each.
pub(super) fn by_message<T: 'static, E: Into<Box<dyn StdError + Send + Sync>>>(
    decode: impl Fn(&NatsMessage) -> Result<T, E> + Send + Sync + 'static,
) -> Decode<T> {
    Arc::new(move |messages, batch, stream, undecodable| {
        if batch.is_empty() {
            batch.timestamps.get_or_insert_default();
        }
        for message in messages {
            match decode(message) {
                Ok(decoded) => {
                    batch.records.push(decoded);
                    if let Some(timestamps) = &mut batch.timestamps {
                        timestamps.push(message.time);
                    }
                }
                Err(error) => leave_out(message, error.into(), stream, undecodable)?,
            }
        }
        Ok(())
    })
}

#[cold]
fn leave_out(
    message: &NatsMessage,
    error: Box<dyn StdError + Send + Sync>,
    stream: &str,
    undecodable: &Undecodable,
) -> Result<()> {
    if let Undecodable::Skip(skipped) = undecodable {
        if skipped.add() {
            let (subject, sequence) = (message.subject.as_str(), message.sequence);
            tracing::warn!(stream, subject, sequence, %error, "a message cannot be decoded and is left out");
        }
        return Ok(());
    }
    let undecoded = UndecodableMessage {
        stream: stream.to_owned(),
        subject: message.subject.to_string(),
        sequence: message.sequence,
        payload: message.payload.clone(),
        error: Error::invalid("the function that decodes refuses it").because(error),
    };
    match undecodable {
        Undecodable::DeadLetter(letter) => {
            letter(undecoded);
            Ok(())
        }
        _ => Err(undecoded.into_error()),
    }
}
