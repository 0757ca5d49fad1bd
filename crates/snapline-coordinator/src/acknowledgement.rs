//! What tasks tell the coordinator.

use crate::failure::FailureReason;
use serde::{Deserialize, Serialize};
use snapline_core::{AttemptId, CheckpointId, Error, OperatorUid, SubtaskId, SubtaskIndex};
use snapline_state::SubtaskState;

/// A task has stored its part of a checkpoint.
///
/// The task names in `operators` the state of each operator of its chain. Committables must be
/// complete by themselves: a task repeats those of every checkpoint that it was not told to be
/// complete, because a checkpoint that is given up takes its acknowledgements with it.
#[derive(Debug, Clone)]
pub struct Acknowledgement {
    /// The task.
    pub task: SubtaskId,
    /// The attempt that the task belongs to.
    pub attempt: AttemptId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The state of every operator that runs in the task. Empty state need not be named.
    pub operators: Vec<(OperatorUid, SubtaskIndex, SubtaskState)>,
    /// One entry for each input channel of the task, in channel order.
    pub channels: Vec<ChannelCut>,
}

/// A task could not do its part of a checkpoint.
#[derive(Debug)]
pub struct Decline {
    /// The task.
    pub task: SubtaskId,
    /// The attempt that the task belongs to.
    pub attempt: AttemptId,
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// Why.
    pub reason: FailureReason,
    /// What went wrong, if something did.
    pub cause: Option<Error>,
}

/// How many batches a channel had carried at the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelCut {
    /// Batches that the receiver had processed when it took its snapshot.
    pub received: u64,
    /// Batches that the sender had put on the channel before the barrier.
    pub sent: u64,
}
