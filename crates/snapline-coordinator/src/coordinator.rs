//! The state machine that decides when a checkpoint starts and when it is complete.

mod steps;

use crate::acknowledgement::{Acknowledgement, Decline};
use crate::action::CoordinatorAction;
use crate::commits::CommitQueue;
use crate::failure::{FailureCounter, FailureReason};
use crate::moment::Moment;
use crate::pending::{Counted, PendingCheckpoint, Phase};
use crate::plan::CoordinatorContext;
use crate::schedule::Schedule;
use crate::statistics::{CheckpointStatistics, InProgress};
use crate::store::PublishOutcome;
use snapline_core::{
    AttemptId, CheckpointId, CheckpointKind, CheckpointSettings, Error, ErrorKind, Result, SubtaskId,
};
use std::collections::BTreeSet;
use std::time::Duration;
use steps::acknowledged_handles;

/// How many checkpoints that were given up are remembered, to discard what arrives late.
const REMEMBERED_ABORTED: usize = 64;

/// Takes the checkpoints of one attempt of a job, one at a time.
///
/// It does nothing itself: whoever runs it tells it what has happened and carries out the
/// [`CoordinatorAction`]s that each call appends to `out`, in order. It must be called again at
/// [`CheckpointCoordinator::next_deadline`].
#[doc(alias = "initiator")]
#[derive(Debug)]
pub struct CheckpointCoordinator {
    context: CoordinatorContext,
    settings: CheckpointSettings,
    tasks: BTreeSet<SubtaskId>,
    schedule: Schedule,
    pending: Option<PendingCheckpoint>,
    last_used: CheckpointId,
    latest_completed: Option<CheckpointId>,
    aborted: BTreeSet<CheckpointId>,
    failures: FailureCounter,
    commits: CommitQueue,
    statistics: CheckpointStatistics,
    life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// The final checkpoint is complete; its commits may not be.
    Finished,
    Stopped,
}

/// What became of a request for a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "there is either room or not")]
pub enum Triggered {
    /// It has started.
    Started(CheckpointId),
    /// It starts as soon as the one that is under way is complete or given up.
    Queued,
}

impl CheckpointCoordinator {
    /// A coordinator whose first periodic checkpoint is one interval away.
    pub fn new(context: CoordinatorContext, now: Moment) -> Self {
        let schedule = Schedule::new(context.settings.as_ref(), now.monotonic);
        let settings = context.settings.clone().unwrap_or_default();
        Self {
            tasks: context.tasks.iter().cloned().collect(),
            schedule,
            pending: None,
            last_used: context.last_used,
            latest_completed: context.latest_completed,
            aborted: BTreeSet::new(),
            failures: FailureCounter::new(settings.tolerable_failures),
            commits: CommitQueue::default(),
            statistics: CheckpointStatistics::default(),
            life: Life::Running,
            context,
            settings,
        }
    }

    /// When [`CheckpointCoordinator::on_time`] has something to do, in monotonic time, if nothing
    /// happens before.
    pub fn next_deadline(&self) -> Option<Duration> {
        let own = match (self.life, &self.pending) {
            (Life::Stopped, _) => return None,
            (Life::Finished, _) => None,
            (Life::Running, None) => self.schedule.deadline(),
            (Life::Running, Some(pending)) => match &pending.phase {
                Phase::Collecting(_) => Some(pending.deadline),
                Phase::Publishing(publishing) => publishing
                    .retry
                    .deadline()
                    .into_iter()
                    .chain([pending.deadline])
                    .min(),
            },
        };
        [own, self.commits.deadline()].into_iter().flatten().min()
    }

    /// Does what is due. Calling it too early does nothing.
    pub fn on_time(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        if self.life == Life::Stopped {
            return;
        }
        self.commits.on_time(now.monotonic, out);
        self.retry_publish(now, out);
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.deadline <= now.monotonic)
        {
            self.on_deadline(now, out);
        }
        self.start_due(now, out);
    }

    /// Asks for a checkpoint, now if nothing is under way, without regard to the minimum pause.
    ///
    /// A final one ends the periodic ones, and is tried again until it succeeds or too many
    /// checkpoints have failed.
    ///
    /// # Errors
    /// `Cancelled` when the final checkpoint was asked for already or the coordinator has stopped.
    pub fn trigger(
        &mut self,
        kind: CheckpointKind,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) -> Result<Triggered> {
        if self.life != Life::Running {
            return Err(Error::cancelled(
                "no checkpoint can be taken: the coordinator has stopped",
            ));
        }
        if self.schedule.is_final_requested() {
            return Err(Error::cancelled("no checkpoint can be taken after the final one"));
        }
        self.schedule.request(kind, now.monotonic);
        match self.start_due(now, out) {
            Some(checkpoint) => Ok(Triggered::Started(checkpoint)),
            None => Ok(Triggered::Queued),
        }
    }

    /// Takes no more checkpoints but on request.
    pub fn stop_periodic(&mut self) {
        self.schedule.stop_periodic();
    }

    /// Counts an acknowledgement.
    ///
    /// One that is late, repeated, of an unknown task or of another attempt never counts. Its state
    /// is discarded when it is certain that nothing refers to it; otherwise the garbage collection
    /// of the store decides.
    pub fn acknowledge(&mut self, ack: Acknowledgement, now: Moment, out: &mut Vec<CoordinatorAction>) {
        if self.life != Life::Running || ack.attempt != self.context.attempt {
            return;
        }
        match &mut self.pending {
            Some(pending) if pending.id() == ack.checkpoint => match pending.acknowledge(ack, &self.tasks) {
                Counted::Last => self.seal(now, out),
                Counted::Waiting => {}
                Counted::UnknownTask(ack) => self.discard_of_unknown_task(&ack, out),
            },
            _ if self.aborted.contains(&ack.checkpoint) => {
                self.discard(ack.checkpoint, acknowledged_handles(&ack), out);
            }
            _ => {}
        }
        self.start_due(now, out);
    }

    /// Gives up the checkpoint that a task has declined. Anything but the pending checkpoint of this
    /// attempt, declined by one of its tasks, is ignored.
    pub fn decline(&mut self, decline: Decline, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let is_collecting = self.pending.as_ref().is_some_and(|pending| {
            pending.id() == decline.checkpoint && matches!(pending.phase, Phase::Collecting(_))
        });
        let is_ours = decline.attempt == self.context.attempt && self.tasks.contains(&decline.task);
        if self.life == Life::Running && is_collecting && is_ours {
            let task = decline.task;
            let cause = decline.cause.map(|cause| cause.with("task", task));
            self.abort(decline.reason, cause, now, out);
            self.start_due(now, out);
        }
    }

    /// Takes the outcome of [`CoordinatorAction::Publish`].
    ///
    /// `Unavailable` and `Cancelled` leave the outcome open: the same claim is tried again, and
    /// nothing is deleted. Any other error of a first try means that nothing was claimed.
    pub fn on_published(
        &mut self,
        checkpoint: CheckpointId,
        outcome: Result<PublishOutcome>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let pending = self.pending.as_mut().filter(|pending| pending.id() == checkpoint);
        let Some(Phase::Publishing(publishing)) = pending.map(|pending| &mut pending.phase) else {
            return;
        };
        match outcome {
            _ if self.life == Life::Stopped => {}
            Ok(PublishOutcome::Published) => self.complete(now, out),
            Ok(PublishOutcome::Fenced { attempt }) => self.fail(fenced(checkpoint, attempt), out),
            Ok(PublishOutcome::NotStored { reason }) if !publishing.outcome_unknown => {
                let cause = Error::unavailable("the manifest could not be stored").because(reason);
                self.abort(FailureReason::FinalizationFailed, Some(cause), now, out);
            }
            Ok(PublishOutcome::NotStored { reason }) => {
                tracing::warn!(%checkpoint, reason, "the checkpoint could not be published; trying again");
                publishing.retry.on_failure(now.monotonic);
            }
            Err(error) if publishing.leaves_open(&error) => {
                tracing::warn!(%checkpoint, %error, "the checkpoint could not be published; trying again");
                publishing.outcome_unknown = true;
                publishing.retry.on_failure(now.monotonic);
            }
            Err(error) => self.abort(FailureReason::FinalizationFailed, Some(error), now, out),
        }
        self.start_due(now, out);
    }

    /// Takes the outcome of [`CoordinatorAction::Commit`].
    ///
    /// `Unavailable` is tried again after a while; any other error fails the job, which commits
    /// again when it restarts.
    pub fn on_committed(
        &mut self,
        checkpoint: CheckpointId,
        outcome: Result<()>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        if self.life == Life::Stopped || !self.commits.is_under_way(checkpoint) {
            return;
        }
        match outcome {
            Ok(()) => self.commits.on_confirmed(out),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(%checkpoint, %error, "a sink could not commit; trying again");
                self.commits.on_unavailable(now.monotonic);
            }
            Err(error) => self.fail(error.with("checkpoint", checkpoint), out),
        }
    }

    /// Takes no more checkpoints, because the job stops or restarts. One that is being published is
    /// left alone: the claim decides.
    pub fn stop(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let is_collecting = self
            .pending
            .as_ref()
            .is_some_and(|pending| matches!(pending.phase, Phase::Collecting(_)));
        if self.life == Life::Running && is_collecting {
            self.abort(FailureReason::JobStopping, None, now, out);
        }
        self.life = Life::Stopped;
    }

    /// Whether the final checkpoint is complete and all its commits are confirmed.
    pub fn is_finished(&self) -> bool {
        self.life == Life::Finished && self.commits.is_empty()
    }

    /// The newest completed checkpoint, be it of this attempt or the restored one.
    pub fn latest_completed(&self) -> Option<CheckpointId> {
        self.latest_completed
    }

    /// How checkpoints have been doing.
    pub fn statistics(&self) -> CheckpointStatistics {
        let tasks = self.tasks.len();
        CheckpointStatistics {
            consecutive_failures: self.failures.count(),
            in_progress: self.pending.as_ref().map(|pending| InProgress {
                checkpoint: pending.id(),
                acknowledged: tasks - pending.missing(),
                tasks,
            }),
            uncommitted: self.commits.len(),
            ..self.statistics.clone()
        }
    }
}

fn fenced(checkpoint: CheckpointId, attempt: AttemptId) -> Error {
    Error::conflict("another process leads this job; this one must stop")
        .with("checkpoint", checkpoint)
        .with("attempt of the other", attempt)
}
