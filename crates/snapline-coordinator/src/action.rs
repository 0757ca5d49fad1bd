//! What the coordinator wants done.

use crate::manifest::{Manifest, SubtaskCommit};
use snapline_core::{CheckpointBarrier, CheckpointId, Error};
use snapline_state::StateHandle;
use std::sync::Arc;

/// One thing that a [`crate::CheckpointCoordinator`] wants done, in the order in which it says so.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a runtime must carry out every action")]
pub enum CoordinatorAction {
    /// Tell every source to put this barrier into its outputs.
    TriggerSources(CheckpointBarrier),
    /// Store this manifest and claim its epoch, then report to
    /// [`crate::CheckpointCoordinator::on_published`]. It may come again for the same checkpoint,
    /// with the same manifest.
    Publish(Arc<Manifest>),
    /// Tell every task that the checkpoint is complete.
    NotifyComplete {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Tell every task that the checkpoint was given up.
    NotifyAborted {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The newest completed one, so that a task that missed its completion learns of it.
        latest_completed: Option<CheckpointId>,
    },
    /// Let the sinks commit these, all of one checkpoint, then mark the checkpoint as committed in
    /// the store and report to [`crate::CheckpointCoordinator::on_committed`]. It may come again for
    /// the same checkpoint. The next one comes after the report.
    Commit {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What its sinks have pre-committed.
        commits: Arc<[SubtaskCommit]>,
    },
    /// Delete this state, which nothing refers to. Failing to do so is harmless: it is garbage.
    Discard(Vec<StateHandle>),
    /// Collect the garbage in the store. Failing to do so is harmless: it is asked for again after
    /// the next checkpoint.
    CollectGarbage,
    /// Fail the job. After this the coordinator does nothing more.
    FailJob(Error),
}
