//! Finds what there is to read, and sees whether restored splits can still be read.

use super::{Extent, Inlet, NatsSplit, NatsStart};
use crate::session::Session;
use crate::subject::overlap;
use async_nats::jetstream::stream::{Info, RetentionPolicy};
use async_trait::async_trait;
use serde_json::json;
use snapline_connector::{DiscoveryContext, EventLoop, SplitEnumerator};
use snapline_core::{Error, Result};
use std::sync::Arc;

pub(super) struct NatsEnumerator {
    inlet: Arc<Inlet>,
    events: EventLoop,
}

impl NatsEnumerator {
    pub(super) fn new(inlet: Arc<Inlet>) -> Result<Self> {
        check_subjects(&inlet.subjects)?;
        let events = inlet.events.start()?;
        Ok(Self { inlet, events })
    }
}

#[async_trait]
impl SplitEnumerator<NatsSplit> for NatsEnumerator {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<NatsSplit>> {
        let inlet = self.inlet.clone();
        let discovered = self.events.call(async move {
            let server = &inlet.server;
            server.patiently(|| inlet.discover()).await
        });
        discovered.await
    }

    async fn verify(&mut self, restored: &[NatsSplit]) -> Result<()> {
        let (inlet, restored) = (self.inlet.clone(), restored.to_vec());
        let verified = self.events.call(async move {
            let server = &inlet.server;
            server.patiently(|| inlet.verify(&restored)).await
        });
        verified.await
    }
}

fn check_subjects(subjects: &[String]) -> Result<()> {
    for (index, one) in subjects.iter().enumerate() {
        if let Some(other) = subjects[index + 1..].iter().find(|other| overlap(one, other)) {
            return Err(Error::invalid(
                "two patterns of subjects overlap, so that some messages would be read twice; name patterns that do not",
            )
            .with("one", one)
            .with("other", other));
        }
    }
    Ok(())
}

impl Inlet {
    async fn discover(&self) -> Result<Vec<NatsSplit>> {
        let session = self.server.connect("snapline").await?;
        let info = self.look(&session).await?;
        let mut splits = Vec::new();
        for subjects in self.patterns() {
            let split = NatsSplit {
                stream: self.stream.clone(),
                last: match self.extent {
                    Extent::Bounded => Some(self.last(&session, subjects.as_deref(), &info).await?),
                    Extent::Unbounded => None,
                },
                subjects,
                next: first(self.start, &info),
            };
            splits.push(split);
        }
        splits.retain(|split| !split.is_finished());
        Ok(splits)
    }

    fn patterns(&self) -> Vec<Option<String>> {
        match self.subjects.is_empty() {
            true => vec![None],
            false => self.subjects.iter().cloned().map(Some).collect(),
        }
    }

    async fn look(&self, session: &Session) -> Result<Info> {
        let info = session.stream(&self.stream).await?;
        match info.config.retention {
            RetentionPolicy::Interest => Err(Error::invalid(
                "the stream keeps messages only while a consumer is interested, which a source that starts anew is not; read \
                 a stream with retention by limits, or a work queue, of which this one can be the source",
            )
            .with("stream", &self.stream)),
            _ => Ok(info),
        }
    }

    /// The number of the last message with such a subject; 0 when there is none.
    async fn last(&self, session: &Session, subjects: Option<&str>, info: &Info) -> Result<u64> {
        let Some(subjects) = subjects else {
            let is_empty = info.state.messages == 0;
            return Ok(if is_empty { 0 } else { info.state.last_sequence });
        };
        let which = json!({ "last_by_subj": subjects });
        let last = session.message(&self.stream, which).await?;
        Ok(last.map_or(0, |message| message.sequence))
    }

    async fn verify(&self, restored: &[NatsSplit]) -> Result<()> {
        if restored.is_empty() {
            return Ok(());
        }
        let session = self.server.connect("snapline").await?;
        let info = self.look(&session).await?;
        let patterns = self.patterns();
        for split in restored {
            if split.stream != self.stream || !patterns.contains(&split.subjects) {
                return Err(Error::invalid(
                    "the checkpoint was taken while another stream or other subjects were read; read those again, or \
                     start over",
                )
                .with("stream of the checkpoint", &split.stream)
                .with("subjects of the checkpoint", split.subjects().unwrap_or(">"))
                .with("stream", &self.stream)
                .with("subjects", self.subjects.join(", ")));
            }
            verify(split, &info)?;
        }
        Ok(())
    }
}

/// A work queue has nothing before its first message that would have to be passed over.
fn first(start: NatsStart, info: &Info) -> u64 {
    match (info.config.retention, start) {
        (RetentionPolicy::WorkQueue, _) | (_, NatsStart::Earliest) => info.state.first_sequence.max(1),
        (_, NatsStart::Latest) => info.state.last_sequence + 1,
        (_, NatsStart::Sequence(sequence)) => sequence.max(1),
    }
}

fn verify(split: &NatsSplit, info: &Info) -> Result<()> {
    let state = &info.state;
    // Other subjects have numbers between, of which nobody knows.
    if split.subjects.is_none() && split.next < state.first_sequence {
        return Err(Error::invalid(
            "messages that were not read yet are gone from the stream: it keeps them for a shorter time than the job was \
             away, or a later checkpoint has acknowledged them; start over with what is there, and raise the limits",
        )
        .with("stream", &split.stream)
        .with("next message", split.next)
        .with("first message", state.first_sequence));
    }
    if split.next > state.last_sequence + 1 {
        return Err(Error::invalid(
            "the stream ends before the message that is to be read next: it was made anew, or has lost messages; start over",
        )
        .with("stream", &split.stream)
        .with("next message", split.next)
        .with("last message", state.last_sequence));
    }
    Ok(())
}
