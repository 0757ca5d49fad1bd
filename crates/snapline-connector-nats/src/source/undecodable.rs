//! What is done with messages that cannot be decoded.

use bytes::Bytes;
use snapline_core::Error;

/// What is done with a message that cannot be decoded. A job that fails names the stream, the subject and the number of the message.
pub type Undecodable = snapline_connector::Undecodable<UndecodableMessage>;

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
