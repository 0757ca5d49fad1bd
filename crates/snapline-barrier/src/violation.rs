//! How a channel can break the protocol, by name.

use crate::handler::ChannelIndex;
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind};

/// A channel that did not deliver what its sender put on it, or a cut that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{breach}")]
pub struct ProtocolViolation {
    /// The channel, as the receiving task numbers it.
    pub channel: ChannelIndex,
    /// What happened on it.
    pub breach: Breach,
}

/// What happened on a channel that broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// The sender belongs to an earlier incarnation of the job and has to be ignored.
    #[error("a sender of attempt {received} is still alive in attempt {expected}")]
    OldAttempt {
        /// The sender's attempt.
        received: AttemptId,
        /// The receiver's attempt.
        expected: AttemptId,
    },
    /// The sender belongs to a later incarnation of the job: this task should be dead.
    #[error("a sender of attempt {received} reached a task of attempt {expected}")]
    FutureAttempt {
        /// The sender's attempt.
        received: AttemptId,
        /// The receiver's attempt.
        expected: AttemptId,
    },
    /// A batch overtook a barrier, or the barrier was lost.
    #[error("a batch of epoch {received} arrived in epoch {expected}: it overtook a barrier")]
    EpochAhead {
        /// The epoch of the batch.
        received: CheckpointId,
        /// The epoch of the channel.
        expected: CheckpointId,
    },
    /// A batch was overtaken by a barrier.
    #[error("a batch of epoch {received} arrived in epoch {expected}: a barrier overtook it")]
    EpochBehind {
        /// The epoch of the batch.
        received: CheckpointId,
        /// The epoch of the channel.
        expected: CheckpointId,
    },
    /// A batch was lost or overtaken by another one.
    #[error("batch {received} arrived where {expected} was expected: a batch is missing")]
    Gap {
        /// The number of the batch.
        received: u64,
        /// The number after that of the last batch.
        expected: u64,
    },
    /// A batch came twice or late.
    #[error("batch {received} arrived where {expected} was expected: it is a repetition")]
    Repeat {
        /// The number of the batch.
        received: u64,
        /// The number after that of the last batch.
        expected: u64,
    },
    /// A barrier or cancel marker came twice or late.
    #[error("the marker of checkpoint {received} arrived after that of {latest}")]
    StaleMarker {
        /// The checkpoint of the marker.
        received: CheckpointId,
        /// The newest checkpoint of the channel.
        latest: CheckpointId,
    },
    /// What the sender counted before the barrier is not what arrived before it.
    #[error("{sent} batches were sent before barrier {checkpoint} but {received} arrived")]
    CountMismatch {
        /// The checkpoint of the barrier.
        checkpoint: CheckpointId,
        /// How many the sender counted.
        sent: u64,
        /// How many the receiver counted.
        received: u64,
    },
    /// A snapshot was to be taken although a channel has delivered neither barrier nor end.
    #[error("snapshot {checkpoint} was due before the barrier, in epoch {epoch} of the channel")]
    BarrierMissing {
        /// The checkpoint of the snapshot.
        checkpoint: CheckpointId,
        /// The epoch of the channel.
        epoch: CheckpointId,
    },
    /// A snapshot was to be taken although batches behind the barrier had been consumed.
    #[error("snapshot {checkpoint} was due after {received} batches, its cut is after {sent}")]
    CutOverrun {
        /// The checkpoint of the snapshot.
        checkpoint: CheckpointId,
        /// How many batches were sent before the barrier.
        sent: u64,
        /// How many had been consumed.
        received: u64,
    },
}

impl From<ProtocolViolation> for Error {
    /// Attempts that meet are a [`ErrorKind::Conflict`]; the rest is our own defect.
    fn from(violation: ProtocolViolation) -> Self {
        let kind = match violation.breach {
            Breach::OldAttempt { .. } | Breach::FutureAttempt { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, "a channel broke the protocol")
            .with("channel", violation.channel)
            .because(violation)
    }
}
