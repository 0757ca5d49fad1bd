//! What an observer wants to know.

mod history;
mod report;

pub use history::CheckpointHistory;
pub use report::{CheckpointReport, CheckpointStatus, SubtaskReport};

use snapline_barrier::CutViolation;
use snapline_core::{CheckpointId, CheckpointKind, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How checkpoints have been doing, in this attempt and in the earlier ones of the same process. A copy is cheap but for what is in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointStatistics {
    /// How many were started, savepoints included.
    pub triggered: u64,
    /// How many are complete.
    pub completed: u64,
    /// How many were given up.
    pub aborted: u64,
    /// How many were given up since the last success for a reason that counts.
    pub consecutive_failures: u32,
    /// Those that are under way, oldest first.
    pub in_progress: Vec<Arc<CheckpointReport>>,
    /// The last ones that are complete or were given up, oldest first.
    pub history: Vec<Arc<CheckpointReport>>,
    /// The newest complete checkpoint; savepoints do not count.
    pub latest: Option<CompletedSummary>,
    /// All completed checkpoints and savepoints together.
    pub summary: CheckpointSummary,
    /// What tasks were restored from, oldest first; the last few.
    pub restores: Vec<RestoreReport>,
    /// Checkpoints that were given up because they were no consistent cut, oldest first; the last few.
    pub violations: Vec<Arc<CutEvidence>>,
    /// How many completed checkpoints still wait for their sinks to commit.
    pub uncommitted: usize,
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

/// Completed checkpoints in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointSummary {
    /// From the start until it was complete.
    pub duration: Spread<Duration>,
    /// From the start until the last acknowledgement.
    pub until_acknowledged: Spread<Duration>,
    /// All state and committables, in bytes.
    pub total_bytes: Spread<u64>,
    /// What was written, in bytes.
    pub written_bytes: Spread<u64>,
}

/// The extremes and the mean of some values; all zero when there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread<T> {
    /// The smallest.
    pub min: T,
    /// The arithmetic mean.
    pub mean: T,
    /// The largest.
    pub max: T,
}

/// That tasks have begun with the state of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The checkpoint; `None`: with nothing.
    pub checkpoint: Option<CheckpointId>,
    /// How many tasks: fewer than all after the failure of a region.
    pub tasks: usize,
    /// When.
    pub at: Timestamp,
}

/// Why a checkpoint was not a consistent cut.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CutEvidence {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// The contradiction, with the tasks whose acknowledgements contradict.
    pub violation: CutViolation,
}
