//! What a commit publishes, and what it finds published already.

use super::{Delivery, NatsPart};
use crate::message::Chunk;
use crate::owner::Owner;
use crate::pull::{Pull, PullFrom};
use crate::session::{Publishing, Session};
use async_nats::Subject;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use snapline_core::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Publishes the messages of a chunk, of which the first has this number, but for those that are there. Returns the number
/// behind the last.
pub(super) async fn publish(
    publishing: &mut Publishing<'_>,
    delivery: &Delivery,
    id_prefix: &str,
    mut number: u64,
    chunk: Bytes,
    is_there: impl Fn(u64) -> bool,
) -> Result<u64> {
    for staged in Chunk(chunk) {
        let staged = staged?;
        if !is_there(number) {
            let subject = staged
                .subject
                .unwrap_or_else(|| Subject::from(delivery.subject.as_str()));
            let message = PublishMessage::build()
                .headers(staged.headers)
                .message_id(format!("{id_prefix}{number}"))
                .expected_stream(&delivery.stream)
                .payload(staged.payload);
            publishing.send(subject, message).await?;
        }
        number += 1;
    }
    Ok(number)
}

/// The messages of parts that were published before, each by its number, by the name of its part.
pub(super) async fn find(
    session: &Session,
    delivery: &Delivery,
    owner: &Owner,
    parts: &[&NatsPart],
) -> Result<HashMap<String, HashSet<u64>>> {
    let Some(after) = parts.iter().map(|part| part.after).min() else {
        return Ok(HashMap::new());
    };
    let state = session.stream(&delivery.stream).await?.state;
    // A stream that is shorter than it was has been made anew.
    let first = if state.last_sequence < after { 1 } else { after + 1 };
    if first > state.last_sequence {
        return Ok(HashMap::new());
    }
    if first < state.first_sequence && delivery.existing == super::ExistingMessages::Refuse {
        return Err(unknown(first, state.first_sequence));
    }
    let names: HashMap<String, String> = parts
        .iter()
        .map(|part| (part.id_prefix(owner), part.name()))
        .collect();
    let mut found: HashMap<String, HashSet<u64>> = HashMap::new();
    let from = PullFrom::headers(&delivery.stream, first);
    let mut pull = Pull::open(session, &from).await?;
    while let Some(message) = pull.next_until_end(state.last_sequence).await? {
        let headers = message.message.headers.as_ref();
        let id = headers.and_then(|headers| headers.get(NATS_MESSAGE_ID));
        let numbered = id.and_then(|id| {
            let (prefix, number) = id.as_str().split_at(id.as_str().rfind('/')? + 1);
            Some((names.get(prefix)?, number.parse().ok()?))
        });
        if let Some((name, number)) = numbered {
            found.entry(name.clone()).or_default().insert(number);
        }
    }
    Ok(found)
}

fn unknown(first: u64, oldest: u64) -> Error {
    Error::invalid(
        "messages that came into the stream since the checkpoint are gone, so that nobody can see which of its messages \
         were published before the crash; let all of them be published again with ExistingMessages::Keep, and raise the \
         limits of the stream so that it keeps messages for longer than the job may be away",
    )
    .with("first message since the checkpoint", first)
    .with("oldest message of the stream", oldest)
}
