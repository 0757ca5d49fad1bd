//! What the coordinator wants done.

use crate::manifest::{Manifest, SubtaskCommit};
use crate::request::RequestId;
use snapline_core::{CheckpointBarrier, CheckpointId, Error, Result};
use snapline_state::StateHandle;
use std::sync::Arc;

/// One thing that a [`crate::CheckpointCoordinator`] wants done, in the order in which it says so.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a runtime must carry out every action")]
pub enum CoordinatorAction {
    /// From now on the state of this checkpoint belongs into the target of the savepoint that was
    /// asked for. Its [`CoordinatorAction::TriggerSources`] follows.
    BeginSavepoint {
        /// The request.
        request: RequestId,
        /// The number that the savepoint has got.
        checkpoint: CheckpointId,
    },
    /// Tell every source that still runs to put this barrier into its outputs.
    TriggerSources(CheckpointBarrier),
    /// Store this manifest in the target of the savepoint, then report to
    /// [`crate::CheckpointCoordinator::on_savepoint_published`]. It may come again for the same
    /// savepoint, with the same manifest.
    PublishSavepoint(Arc<Manifest>),
    /// Store this manifest and claim its epoch, then report to
    /// [`crate::CheckpointCoordinator::on_published`]. It may come again for the same checkpoint,
    /// with the same manifest.
    ///
    /// The manifest of a savepoint comes here when the job stops with it. Its files are in the target
    /// of the savepoint and have to be copied into the job's own folder first.
    Publish(Arc<Manifest>),
    /// Tell every task that the checkpoint is complete.
    NotifyComplete {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The one that was the newest completed one before.
        previous: Option<CheckpointId>,
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
    /// Delete what was written for this savepoint, which will never be complete. It may come again
    /// when a task has written more. Failing to do so is harmless.
    DiscardSavepoint {
        /// The savepoint.
        checkpoint: CheckpointId,
    },
    /// Collect the garbage in the store. Failing to do so is harmless: it is asked for again after
    /// the next checkpoint.
    CollectGarbage,
    /// Delete all checkpoints of the job, which was cancelled and does not want to be resumed, as
    /// soon as no [`CoordinatorAction::Publish`] is under way.
    DeleteCheckpoints,
    /// What was asked for with [`crate::CheckpointCoordinator::trigger`] is there, or will never be.
    RequestDone {
        /// The request.
        request: RequestId,
        /// The checkpoint or savepoint.
        outcome: Result<Arc<Manifest>>,
    },
    /// Fail the job. After this the coordinator does nothing more.
    FailJob(Error),
}
