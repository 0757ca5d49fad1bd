//! What a job does, told step by step.

use snapline_coordinator::CoordinatorAction;
use snapline_core::{AttemptId, CheckpointBarrier, CheckpointId, SubtaskId};
use std::fmt::Display;

/// Is told of every step of every task and of the job, before the step is taken.
///
/// A simulation writes them down, and lets tasks fail in any of them.
pub trait Probe: Send + Sync + std::fmt::Debug + 'static {
    /// A task is about to take a step.
    ///
    /// A panic here is treated as one of user code in this step: the task fails, and the job restarts.
    fn on_task(&self, task: &SubtaskId, attempt: AttemptId, step: TaskStep) {
        let _ = (task, attempt, step);
    }

    /// The job is about to take a step. Must not panic.
    fn on_job(&self, attempt: AttemptId, step: &JobStep<'_>) {
        let _ = (attempt, step);
    }
}

/// A step of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskStep {
    /// A source has read a batch.
    Read,
    /// A batch that a channel has delivered is processed.
    Batch {
        /// The channel.
        channel: usize,
    },
    /// A channel has delivered a barrier.
    Barrier {
        /// The channel.
        channel: usize,
        /// The barrier.
        checkpoint: CheckpointId,
    },
    /// A channel has delivered word that a checkpoint was given up.
    CancelCheckpoint {
        /// The channel.
        channel: usize,
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// All data was read, or has come.
    EndOfData,
    /// A channel will never deliver anything again.
    EndOfInput {
        /// The channel.
        channel: usize,
    },
    /// The state is frozen and the barrier is forwarded.
    Snapshot(CheckpointId),
    /// The snapshot is stored and is acknowledged.
    Acknowledge(CheckpointId),
    /// The task learns that a checkpoint is complete.
    Complete(CheckpointId),
    /// The task learns that a checkpoint was given up.
    Abort(CheckpointId),
}

/// A step of a job.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum JobStep<'a> {
    /// An attempt begins.
    Start {
        /// The checkpoint from which it begins.
        restored: Option<CheckpointId>,
    },
    /// A checkpoint is triggered.
    Trigger(&'a CheckpointBarrier),
    /// All tasks have acknowledged; the checkpoint is published.
    Publish(CheckpointId),
    /// The checkpoint is complete.
    Complete(CheckpointId),
    /// A task has said that a checkpoint cannot be.
    Decline {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The task.
        task: &'a SubtaskId,
        /// Why.
        reason: &'a dyn Display,
    },
    /// A checkpoint is given up.
    Abort(CheckpointId),
    /// Sinks are told to commit what belongs to the checkpoint.
    Commit(CheckpointId),
    /// All sinks have committed, or could not.
    Committed {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// What went wrong.
        error: Option<&'a dyn Display>,
    },
    /// The attempt has failed.
    Fail(&'a dyn Display),
    /// A task has failed; it and those around it restart while the others go on.
    RestartRegion {
        /// The task.
        task: &'a SubtaskId,
        /// What went wrong.
        error: &'a dyn Display,
    },
}

impl<'a> JobStep<'a> {
    pub(crate) fn of_action(action: &'a CoordinatorAction) -> Option<Self> {
        match action {
            CoordinatorAction::TriggerSources(barrier) => Some(Self::Trigger(barrier)),
            CoordinatorAction::Publish(manifest) => Some(Self::Publish(manifest.checkpoint)),
            CoordinatorAction::NotifyComplete { checkpoint, .. } => Some(Self::Complete(*checkpoint)),
            CoordinatorAction::NotifyAborted { checkpoint, .. } => Some(Self::Abort(*checkpoint)),
            CoordinatorAction::Commit { checkpoint, .. } => Some(Self::Commit(*checkpoint)),
            _ => None,
        }
    }
}

impl Display for JobStep<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start { restored: None } => f.write_str("starts at the beginning"),
            Self::Start {
                restored: Some(checkpoint),
            } => write!(f, "starts from checkpoint {checkpoint}"),
            Self::Trigger(barrier) => {
                write!(
                    f,
                    "triggers checkpoint {} ({:?})",
                    barrier.checkpoint, barrier.options.kind
                )
            }
            Self::Publish(checkpoint) => write!(f, "publishes checkpoint {checkpoint}"),
            Self::Complete(checkpoint) => write!(f, "completes checkpoint {checkpoint}"),
            Self::Decline {
                checkpoint,
                task,
                reason,
            } => {
                write!(
                    f,
                    "hears from {task} that checkpoint {checkpoint} failed: {reason}"
                )
            }
            Self::Abort(checkpoint) => write!(f, "gives up checkpoint {checkpoint}"),
            Self::Commit(checkpoint) => write!(f, "commits checkpoint {checkpoint}"),
            Self::Committed {
                checkpoint,
                error: None,
            } => write!(f, "has committed checkpoint {checkpoint}"),
            Self::Committed {
                checkpoint,
                error: Some(error),
            } => write!(f, "could not commit checkpoint {checkpoint}: {error}"),
            Self::Fail(error) => write!(f, "fails: {error}"),
            Self::RestartRegion { task, error } => write!(f, "restarts the tasks around {task}: {error}"),
        }
    }
}

impl std::fmt::Debug for JobStep<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Display::fmt(self, f)
    }
}
