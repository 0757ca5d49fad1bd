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
    /// The last one, after all sources have ended: it commits what is left.
    Final,
}

/// How a task treats the barriers of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BarrierAlignment {
    /// A channel whose barrier has arrived is blocked until all have: exactly once.
    Aligned,
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
}

impl Default for BarrierOptions {
    fn default() -> Self {
        Self {
            kind: CheckpointKind::Checkpoint,
            alignment: BarrierAlignment::Aligned,
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
