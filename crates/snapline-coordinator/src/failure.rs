//! Why checkpoints fail, and when there were too many failures.

mod counter;

pub(crate) use counter::{FailureCounter, Verdict};

use snapline_core::{CheckpointKind, Error, ErrorKind};
use std::fmt;

/// Why a checkpoint was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureReason {
    /// A task could not reach the storage.
    StorageFailed,
    /// A task could not take or persist its snapshot.
    SnapshotFailed,
    /// A task declined for another reason.
    Declined,
    /// Not all tasks have acknowledged in time.
    Expired,
    /// The manifest could not be made or stored.
    FinalizationFailed,
    /// A channel had lost or repeated batches at the cut.
    InconsistentCut,
    /// A task was not running yet.
    TaskNotReady,
    /// A task has ended.
    TaskEnded,
    /// A task has failed.
    TaskFailed,
    /// A newer checkpoint overtook it: a task has seen its barrier, or it is complete.
    Subsumed,
    /// A task upstream gave the checkpoint up.
    CancelMarker,
    /// The job is stopping or restarting.
    JobStopping,
    /// Too many requests were waiting.
    TooManyRequests,
}

impl FailureReason {
    /// Whether it counts against the tolerable failures: those that point at a lasting defect of the
    /// job or the storage do, those that come and go with starting, ending and cancelling do not.
    pub fn counts(self) -> bool {
        match self {
            Self::StorageFailed
            | Self::SnapshotFailed
            | Self::Declined
            | Self::Expired
            | Self::FinalizationFailed
            | Self::InconsistentCut => true,
            Self::TaskNotReady
            | Self::TaskEnded
            | Self::TaskFailed
            | Self::Subsumed
            | Self::CancelMarker
            | Self::JobStopping
            | Self::TooManyRequests => false,
        }
    }

    /// What may help, for people.
    pub fn advice(self) -> &'static str {
        match self {
            Self::StorageFailed => "see whether the checkpoint storage answers and has room",
            Self::SnapshotFailed => "the cause names what could not be taken or encoded",
            Self::Declined => "the cause names what the task ran into",
            Self::Expired => {
                "see in the statistics which tasks were missing: a long start delay or alignment means that \
                 records queue before them; speed them up, make checkpoints unaligned, or raise \
                 checkpoints.timeout_ms"
            }
            Self::FinalizationFailed => "see whether the checkpoint storage answers and has room",
            Self::InconsistentCut => "this is a defect in Snapline; the last good checkpoint stays in use",
            Self::TaskNotReady => "it is tried again when all tasks run",
            Self::TaskEnded | Self::CancelMarker | Self::Subsumed => "nothing needs to be done",
            Self::TaskFailed => "it is tried again when the task runs again; the log says why it failed",
            Self::JobStopping => "start the job again to take checkpoints",
            Self::TooManyRequests => "ask for fewer checkpoints at a time",
        }
    }

    /// What somebody who has asked for the checkpoint is told.
    pub(crate) fn to_error(self, kind: CheckpointKind, cause: Option<Error>) -> Error {
        let what = match kind.is_savepoint() {
            true => "the savepoint was given up",
            false => "the checkpoint was given up",
        };
        let kind = match self {
            Self::JobStopping => ErrorKind::Cancelled,
            Self::InconsistentCut => ErrorKind::Internal,
            _ => ErrorKind::Unavailable,
        };
        let error = Error::new(kind, what)
            .with("reason", self)
            .with("advice", self.advice());
        match cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StorageFailed => "a task could not reach the storage",
            Self::SnapshotFailed => "a task could not take its snapshot",
            Self::Declined => "a task declined",
            Self::Expired => "it took longer than the timeout",
            Self::FinalizationFailed => "the manifest could not be made or stored",
            Self::InconsistentCut => "the cut is not consistent",
            Self::TaskNotReady => "a task was not running yet",
            Self::TaskEnded => "a task has ended",
            Self::TaskFailed => "a task has failed",
            Self::Subsumed => "a newer checkpoint overtook it",
            Self::CancelMarker => "a task upstream gave it up",
            Self::JobStopping => "the job is stopping",
            Self::TooManyRequests => "too many requests were waiting",
        })
    }
}
