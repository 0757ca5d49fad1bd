//! How a channel can break the protocol, and how cuts can contradict each other, by name.

use crate::cut::ChannelFlaw;
use crate::handler::ChannelIndex;
use serde::{Deserialize, Serialize};
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind, SubtaskId};

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
    /// A barrier that overtook counted fewer batches than an earlier one.
    #[error("{sent} batches were sent before barrier {checkpoint} but {earlier} before an earlier one")]
    CountShrank {
        /// The checkpoint of the barrier.
        checkpoint: CheckpointId,
        /// How many its sender counted.
        sent: u64,
        /// How many it had counted before.
        earlier: u64,
    },
    /// Batches that a barrier overtook have not come, although something did that was sent after it or
    /// that needs them.
    #[error("barrier {checkpoint} overtook batches {received}..{sent}, which have not come")]
    OvertakenMissing {
        /// The checkpoint of the barrier.
        checkpoint: CheckpointId,
        /// How many were sent before the barrier.
        sent: u64,
        /// How many have come.
        received: u64,
    },
    /// Something came after the end of input.
    #[error("the channel ended after {received} batches and went on")]
    AfterEnd {
        /// How many had come.
        received: u64,
    },
    /// A snapshot does not have exactly what was sent on the channel before the barrier.
    #[error("{0}")]
    Flawed(ChannelFlaw),
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

/// Why the snapshots of a checkpoint do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CutViolation {
    /// A snapshot does not hold exactly what was sent on a channel before the barrier.
    #[error("channel {channel} of task {task}: {flaw}")]
    Channel {
        /// The receiving task.
        task: SubtaskId,
        /// The position of the channel among all input channels of the task.
        channel: usize,
        /// What is wrong with it.
        flaw: ChannelFlaw,
    },
    /// A snapshot depends on something that another task did after its own snapshot.
    #[error("task {by} had already seen event {seen} of task {known}, whose cut is at {cut}")]
    Future {
        /// The task whose event was seen too early.
        known: SubtaskId,
        /// The task that has seen it.
        by: SubtaskId,
        /// The newest event that it has seen.
        seen: u64,
        /// How many events came before the cut of the task whose event it is.
        cut: u64,
    },
    /// Two tasks claim the same entry of the clocks, so that these prove nothing.
    #[error("tasks {first} and {second} both claim position {position} of the vector clocks")]
    SamePosition {
        /// The position.
        position: u32,
        /// One of them.
        first: SubtaskId,
        /// The other one.
        second: SubtaskId,
    },
}

impl From<CutViolation> for Error {
    /// Our own defect, whatever it is.
    fn from(violation: CutViolation) -> Self {
        Self::internal("the snapshots of the tasks are not a consistent cut").because(violation)
    }
}
