//! The state machine that decides when a checkpoint starts and when it is complete.

mod deadline;
mod end;
mod note;
mod publish;
mod start;
mod tasks;

use crate::acknowledgement::{Acknowledgement, Decline};
use crate::action::CoordinatorAction;
use crate::commits::CommitQueue;
use crate::failure::{FailureCounter, FailureReason};
use crate::manifest::Manifest;
use crate::moment::Moment;
use crate::pending::{Counted, PendingCheckpoint};
use crate::plan::CoordinatorContext;
use crate::request::{RequestId, RequestQueue};
use crate::schedule::Schedule;
use crate::statistics::{CheckpointHistory, RestoreReport};
use crate::tasks::Tasks;
use snapline_core::{
    CheckpointId, CheckpointKind, CheckpointRetention, CheckpointSettings, Error, ErrorKind, Result,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Takes the checkpoints and savepoints of one attempt of a job.
///
/// It does nothing itself: whoever runs it tells it what has happened and carries out the
/// [`CoordinatorAction`]s that each call appends to `out`, in order. It must be called again at
/// [`CheckpointCoordinator::next_deadline`].
///
/// # Contract
/// * As many checkpoints are under way as `checkpoints.max_concurrent` says, and any number of
///   savepoints. While checkpoints may record channel state, savepoints and they take turns: their
///   barriers must not overtake each other.
/// * Checkpoints are published one at a time in the order of their ids. A complete one subsumes the
///   older ones that are not; savepoints are never subsumed.
/// * Every request is answered once, whatever happens.
/// * A savepoint with which the job stops is stored, then published like a checkpoint, then committed,
///   and only then its request is answered. If any of that fails, so does the job.
#[doc(alias = "initiator")]
#[derive(Debug, Clone)]
pub struct CheckpointCoordinator {
    context: CoordinatorContext,
    settings: CheckpointSettings,
    tasks: Tasks,
    requests: RequestQueue,
    schedule: Schedule,
    pending: BTreeMap<CheckpointId, PendingCheckpoint>,
    last_used: CheckpointId,
    latest_completed: Option<CheckpointId>,
    aborted: Aborted,
    failures: FailureCounter,
    commits: CommitQueue,
    /// The job ends with it; its request is answered when all is committed.
    last: Option<(RequestId, Arc<Manifest>)>,
    history: CheckpointHistory,
    life: Life,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    /// The last checkpoint is complete; its commits may not be.
    Finished,
    Stopped,
}

/// Checkpoints and savepoints that were given up, to discard what arrives late.
#[derive(Debug, Clone, Default)]
struct Aborted {
    checkpoints: BTreeSet<CheckpointId>,
    savepoints: BTreeSet<CheckpointId>,
}

impl CheckpointCoordinator {
    /// A coordinator whose first periodic checkpoint is one interval away, or sooner if
    /// [`CoordinatorContext::seed`] says so.
    pub fn new(mut context: CoordinatorContext, now: Moment) -> Self {
        let settings = context.settings.clone().unwrap_or_default();
        let mut history = std::mem::take(&mut context.history);
        history.on_restored(RestoreReport {
            checkpoint: context.latest_completed,
            tasks: context.tasks.len(),
            at: now.wall,
        });
        Self {
            tasks: Tasks::new(context.tasks.iter().cloned(), context.finished.iter().cloned()),
            requests: RequestQueue::default(),
            schedule: Schedule::new(context.settings.as_ref(), context.seed, now.monotonic),
            pending: BTreeMap::new(),
            last_used: context.last_used,
            latest_completed: context.latest_completed,
            aborted: Aborted::default(),
            failures: FailureCounter::new(settings.tolerable_failures),
            commits: CommitQueue::default(),
            last: None,
            history,
            life: Life::Running,
            context,
            settings,
        }
    }

    /// When [`CheckpointCoordinator::on_time`] has something to do, in monotonic time, if nothing
    /// happens before.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.life == Life::Stopped {
            return None;
        }
        let pending = self.pending.values().map(PendingCheckpoint::next_deadline);
        pending
            .chain(self.next_start())
            .chain(self.commits.deadline())
            .min()
    }

    /// Does what is due. Calling it too early does nothing.
    pub fn on_time(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        if self.life == Life::Stopped {
            return;
        }
        self.commits.on_time(now.monotonic, out);
        self.expire(now, out);
        self.retry_claims(now, out);
        self.go_on(now, out);
    }

    /// Asks for a checkpoint or savepoint. It starts as soon as there is room, without regard to the
    /// minimum pause; savepoints come first. The answer is [`CoordinatorAction::RequestDone`].
    ///
    /// `Final`, `Suspend` and `Drain` end the periodic ones. A final checkpoint is tried again until
    /// it succeeds or too many checkpoints have failed.
    ///
    /// # Errors
    /// `Cancelled` when the job is ending or has ended, `Unavailable` while tasks restart.
    pub fn trigger(
        &mut self,
        kind: CheckpointKind,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) -> Result<RequestId> {
        if self.life != Life::Running {
            return Err(Error::cancelled(
                "no checkpoint can be taken: the coordinator has stopped",
            ));
        }
        if self.schedule.is_ending() {
            return Err(Error::cancelled("no checkpoint can be taken after the last one"));
        }
        if !self.tasks.are_running() {
            return Err(Error::unavailable(
                "no checkpoint can be taken while tasks restart; try again",
            ));
        }
        let request = self.enqueue(kind, now, out);
        self.go_on(now, out);
        Ok(request)
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
        if self.life == Life::Stopped || ack.attempt != self.context.attempt {
            return;
        }
        let checkpoint = ack.checkpoint;
        match self.pending.get_mut(&checkpoint) {
            Some(pending) => match pending.acknowledge(ack, &self.tasks, now.monotonic) {
                Counted::Last => self.seal(checkpoint, now, out),
                Counted::Waiting => {}
                Counted::UnknownTask(ack) => self.discard_of_unknown_task(&ack, out),
            },
            None => self.discard_late(&ack, out),
        }
        self.go_on(now, out);
    }

    /// Gives up the checkpoint that a task has declined. Anything but a pending checkpoint of this
    /// attempt, declined by one of its tasks, is ignored.
    pub fn decline(&mut self, decline: Decline, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let checkpoint = decline.checkpoint;
        let pending = self.pending.get(&checkpoint);
        let is_collecting = pending.is_some_and(PendingCheckpoint::is_collecting);
        let is_ours = decline.attempt == self.context.attempt && self.tasks.contains(&decline.task);
        if self.life != Life::Stopped && is_collecting && is_ours {
            let task = decline.task;
            let cause = decline.cause.map(|cause| cause.with("task", task));
            self.abort(checkpoint, decline.reason, cause, now, out);
            self.go_on(now, out);
        }
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
        self.go_on(now, out);
    }

    /// Takes no more checkpoints, because the job stops or restarts. One that is being published is
    /// left alone: the claim decides.
    pub fn stop(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        if self.life != Life::Stopped {
            self.life = Life::Stopped;
            self.abort_undecided(FailureReason::JobStopping, now, out);
            self.dismiss_all(&stopped(), out);
        }
    }

    /// As [`CheckpointCoordinator::stop`], for a job that was cancelled: its checkpoints are deleted
    /// if `checkpoints.retention` says so.
    pub fn cancel(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        self.stop(now, out);
        if self.settings.retention == CheckpointRetention::DeleteOnCancel {
            out.push(CoordinatorAction::DeleteCheckpoints);
        }
    }

    /// Whether the job may end: the last checkpoint is complete, all commits are confirmed, and no
    /// savepoint is under way any more.
    pub fn is_finished(&self) -> bool {
        self.life == Life::Finished && self.commits.is_empty() && self.pending.is_empty()
    }

    /// The newest completed checkpoint, be it of this attempt or the restored one.
    pub fn latest_completed(&self) -> Option<CheckpointId> {
        self.latest_completed
    }

    /// The newest checkpoint that was started, or any before it.
    pub fn last_used(&self) -> CheckpointId {
        self.last_used
    }

    /// How many completed checkpoints still wait for their sinks to commit.
    pub fn uncommitted(&self) -> usize {
        self.commits.len()
    }

    /// What follows from what has happened, whatever it was.
    fn go_on(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        self.publish_next(now, out);
        self.start_due(now, out);
        self.answer_last(out);
    }
}

fn stopped() -> Error {
    Error::cancelled("the job has stopped before the checkpoint was known to be complete")
}
