//! What is done with messages that cannot be decoded.

use bytes::Bytes;
use snapline_core::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is done with a message that cannot be decoded.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Undecodable {
    /// The job fails, with the stream, the subject and the number of the message.
    #[default]
    Fail,
    /// It is left out, and counted. The first one is logged.
    Skip(SkippedMessages),
    /// It is left out, and handed to a function, which may be called again for the same message after a restart. To send it to
    /// another stream exactly once, let the records be `Result`s, by a decoder that never fails, and split them there.
    DeadLetter(Arc<dyn Fn(UndecodableMessage) + Send + Sync>),
}

/// How many messages were left out in this process. One that is read again after a restart is counted again.
///
/// A clone counts with it.
#[derive(Debug, Clone, Default)]
pub struct SkippedMessages(Arc<AtomicU64>);

impl SkippedMessages {
    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one. Returns whether it is the first.
    pub(super) fn add(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }
}

/// A message that cannot be decoded, and where it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UndecodableMessage {
    /// The stream.
    pub stream: String,
    /// Its subject.
    pub subject: String,
    /// Its number in the stream.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Bytes,
    /// Why it cannot be decoded.
    pub error: Error,
}

impl UndecodableMessage {
    /// The error with which the job fails.
    pub(super) fn into_error(self) -> Error {
        Error::invalid(
            "a message of the stream cannot be decoded; correct the function that decodes, or have such messages left \
             out with on_undecodable",
        )
        .with("stream", self.stream)
        .with("subject", self.subject)
        .with("sequence", self.sequence)
        .because(self.error)
    }
}

impl fmt::Debug for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::Skip(_) => "Skip",
            Self::DeadLetter(_) => "DeadLetter",
        })
    }
}
