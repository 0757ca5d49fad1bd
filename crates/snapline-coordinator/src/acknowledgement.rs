//! What tasks tell the coordinator.

use crate::failure::FailureReason;
use serde::{Deserialize, Serialize};
use snapline_barrier::TaskCut;
use snapline_core::{AttemptId, CheckpointId, Error, OperatorUid, SubtaskId, SubtaskIndex};
use snapline_state::SubtaskState;
use std::time::Duration;

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
    /// Where the task stood.
    pub cut: TaskCut,
    /// What taking part has cost.
    pub statistics: SubtaskStatistics,
}

/// What one checkpoint has cost one task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubtaskStatistics {
    /// From the start of the checkpoint on the coordinator until its first barrier was seen.
    pub start_delay: Duration,
    /// From the first barrier until the last one was there.
    pub alignment: Duration,
    /// The records processed while barriers were missing, in bytes as [`snapline_core::AnyBatch::size`] counts.
    pub alignment_bytes: u64,
    /// How long the task was kept from its records.
    pub sync: Duration,
    /// From the freeze until everything was stored.
    pub asynchronous: Duration,
    /// The size of the state in bytes.
    pub state_bytes: u64,
    /// The size of the channel state in bytes.
    pub in_flight_bytes: u64,
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
