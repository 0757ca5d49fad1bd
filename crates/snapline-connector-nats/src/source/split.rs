//! A part of a stream, and from where it is still to be read.

use serde::{Deserialize, Serialize};
use snapline_connector::SourceSplit;
use snapline_core::stable_hash_bytes;

/// The messages of a stream with subjects of one pattern, from the number of the next one on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsSplit {
    pub(super) stream: String,
    /// The pattern; none stands for all subjects.
    pub(super) subjects: Option<String>,
    /// The number of the next message, or a smaller one that no message has.
    pub(super) next: u64,
    /// The number of the last message to be read, if there is an end.
    pub(super) last: Option<u64>,
}

impl NatsSplit {
    /// The stream.
    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// The pattern of its subjects, unless they are all.
    pub fn subjects(&self) -> Option<&str> {
        self.subjects.as_deref()
    }

    /// Messages of the stream with this number and later ones are still to be read.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Whether it is read to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.last.is_some_and(|last| self.next > last)
    }

    /// The name of its consumer.
    pub(super) fn consumer(&self, durable: &str) -> String {
        match &self.subjects {
            None => durable.to_owned(),
            Some(subjects) => {
                let hash = stable_hash_bytes(subjects.as_bytes());
                format!("{durable}_{:08x}", hash >> 32)
            }
        }
    }
}

impl SourceSplit for NatsSplit {
    /// What is left, or the same for all that have no end.
    fn weight(&self) -> u64 {
        self.last.map_or(1, |last| (last + 1).saturating_sub(self.next))
    }
}
