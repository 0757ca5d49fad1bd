//! The marker that cuts a stream into before and after a checkpoint.

use crate::id::CheckpointId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What a checkpoint is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CheckpointKind {
    /// A periodic or requested checkpoint of a running job.
    Checkpoint,
    /// A requested checkpoint of a running job that refers to no files of older ones.
    FullCheckpoint,
    /// A checkpoint that a user asked for and owns. The job goes on.
    Savepoint,
    /// A savepoint after which the job stops, as if it had been cancelled at that instant: sources
    /// read nothing more, and nobody is told that the input has ended. Stop-with-savepoint without drain.
    Suspend,
    /// A savepoint after which the job ends as if all input had ended. Stop-with-savepoint with drain.
    Drain,
    /// The last one, after all sources have ended: it commits what is left.
    Final,
}

impl CheckpointKind {
    /// Whether a user asked for it and owns it.
    pub fn is_savepoint(self) -> bool {
        matches!(self, Self::Savepoint | Self::Suspend | Self::Drain)
    }

    /// Whether the job stops when it is complete.
    pub fn stops_job(self) -> bool {
        matches!(self, Self::Suspend | Self::Drain | Self::Final)
    }

    /// Whether it comes after the end of all data, so that nothing is left to be read when it is
    /// complete.
    pub fn ends_data(self) -> bool {
        matches!(self, Self::Drain | Self::Final)
    }
}

/// How a task treats the barriers of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BarrierAlignment {
    /// A channel whose barrier has arrived is blocked until all have: exactly once.
    Aligned,
    /// Aligned until this long after the coordinator started the checkpoint, unaligned from then on:
    /// exactly once.
    AlignedWithTimeout {
        /// The time in milliseconds.
        timeout_ms: u64,
    },
    /// The first barrier to arrive, even behind queued batches, is the cut; what it overtook becomes
    /// channel state: exactly once (FLIP-76).
    Unaligned,
    /// Nothing is blocked: at least once.
    AtLeastOnce,
}

/// What a barrier asks of the tasks that it passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BarrierOptions {
    /// What the checkpoint is for.
    pub kind: CheckpointKind,
    /// How barriers are aligned.
    pub alignment: BarrierAlignment,
    /// The complete checkpoint to whose files the snapshots may refer; without one they are full.
    pub base: Option<CheckpointId>,
}

impl BarrierAlignment {
    /// Whether the snapshot may contain channel state.
    pub fn may_record(self) -> bool {
        matches!(self, Self::AlignedWithTimeout { .. } | Self::Unaligned)
    }
}

impl Default for BarrierOptions {
    fn default() -> Self {
        Self {
            kind: CheckpointKind::Checkpoint,
            alignment: BarrierAlignment::Aligned,
            base: None,
        }
    }
}

/// The barrier of one checkpoint: what came before it on a channel is in the checkpoint, what
/// comes after it is not.
#[doc(alias = "marker")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckpointBarrier {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// When the coordinator started the checkpoint.
    pub created: Timestamp,
    /// What it asks for.
    pub options: BarrierOptions,
}
