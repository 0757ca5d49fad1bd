//! One checkpoint and the part of each task in it.

use crate::acknowledgement::SubtaskStatistics;
use crate::failure::FailureReason;
use snapline_core::{CheckpointId, CheckpointKind, SubtaskId, Timestamp};
use std::time::Duration;

/// One checkpoint or savepoint, as an observer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// When it was started.
    pub triggered: Timestamp,
    /// How far it is.
    pub status: CheckpointStatus,
    /// From the start until it was complete or given up; until now while it is in progress.
    pub duration: Duration,
    /// From the start until the last acknowledgement, once that is there.
    pub until_acknowledged: Option<Duration>,
    /// All state and committables in bytes, as far as acknowledged.
    pub total_bytes: u64,
    /// What was written for it in bytes, as far as acknowledged.
    pub written_bytes: u64,
    /// How many tasks there are.
    pub tasks: usize,
    /// The tasks that have acknowledged or have nothing to acknowledge, in the order in which they did.
    pub acknowledged: Vec<SubtaskReport>,
    /// The tasks that have not acknowledged.
    pub missing: Vec<SubtaskId>,
}

/// How far a checkpoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointStatus {
    /// Not all have acknowledged, or its manifest is not published.
    InProgress,
    /// It exists.
    Completed,
    /// It was given up.
    Failed {
        /// Why.
        reason: FailureReason,
        /// What went wrong, if something did.
        cause: Option<String>,
    },
}

/// The part of one task in one checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubtaskReport {
    /// The task.
    pub task: SubtaskId,
    /// From the start of the checkpoint until the task's acknowledgement; `None`: the task had
    /// finished and nothing was asked of it.
    pub acknowledged: Option<Duration>,
    /// What taking part has cost.
    pub statistics: SubtaskStatistics,
}

impl SubtaskReport {
    pub(crate) fn finished(task: &SubtaskId) -> Self {
        Self {
            task: task.clone(),
            acknowledged: None,
            statistics: SubtaskStatistics::default(),
        }
    }
}
