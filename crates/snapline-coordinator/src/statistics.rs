//! What an observer wants to know.

use snapline_core::CheckpointId;
use std::time::Duration;

/// How checkpoints have been doing in this attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStatistics {
    /// How many were started.
    pub triggered: u64,
    /// How many are complete.
    pub completed: u64,
    /// How many were given up.
    pub aborted: u64,
    /// How many were given up since the last success for a reason that counts.
    pub consecutive_failures: u32,
    /// The one that is under way.
    pub in_progress: Option<InProgress>,
    /// The newest complete one of this attempt.
    pub latest: Option<CompletedSummary>,
    /// How many completed checkpoints still wait for their sinks to commit.
    pub uncommitted: usize,
}

/// A checkpoint that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InProgress {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// How many tasks have acknowledged.
    pub acknowledged: usize,
    /// How many tasks must acknowledge.
    pub tasks: usize,
}

/// A completed checkpoint in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletedSummary {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// From the start until it was complete.
    pub duration: Duration,
    /// From the start until the last acknowledgement.
    pub until_acknowledged: Duration,
    /// All state and committables, in bytes.
    pub total_bytes: u64,
    /// What was written for it, in bytes.
    pub written_bytes: u64,
}
