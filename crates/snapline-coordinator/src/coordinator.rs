//! The state machine that decides when a checkpoint starts and when it is complete.

use crate::acknowledgement::{Acknowledgement, Decline};
use crate::action::CoordinatorAction;
use crate::commits::CommitQueue;
use crate::failure::{FailureCounter, FailureReason, Verdict};
use crate::moment::Moment;
use crate::pending::{Counted, PendingCheckpoint, Phase, Publishing, verify_channels};
use crate::plan::CoordinatorContext;
use crate::retry::Retry;
use crate::schedule::Schedule;
use crate::statistics::{CheckpointStatistics, CompletedSummary, InProgress};
use crate::store::PublishOutcome;
use snapline_core::{
    AttemptId, BarrierOptions, CheckpointBarrier, CheckpointId, CheckpointKind, CheckpointSettings, Error,
    ErrorKind, Result, SubtaskId,
};
use snapline_state::{StateHandle, SubtaskState};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

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

    fn start_due(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) -> Option<CheckpointId> {
        if self.life != Life::Running || self.pending.is_some() {
            return None;
        }
        let kind = self.schedule.due(now.monotonic)?;
        self.schedule.on_start(now.monotonic);
        self.last_used = self.last_used.next();
        let barrier = CheckpointBarrier {
            checkpoint: self.last_used,
            created: now.wall,
            options: BarrierOptions {
                kind,
                alignment: self.settings.mode.alignment(),
            },
        };
        let timeout = self.timeout();
        self.pending = Some(PendingCheckpoint::new(
            barrier,
            &self.tasks,
            now.monotonic,
            timeout,
        ));
        self.statistics.triggered += 1;
        out.push(CoordinatorAction::TriggerSources(barrier));
        if self.tasks.is_empty() {
            self.seal(now, out);
        }
        Some(barrier.checkpoint)
    }

    /// All have acknowledged: verify the cut, then publish.
    fn seal(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = &mut self.pending else { return };
        let Phase::Collecting(collected) = &pending.phase else {
            return;
        };
        let (barrier, until_acknowledged) = (pending.barrier, now.monotonic.saturating_sub(pending.started));
        if let Err(error) = verify_channels(&collected.channels, barrier.options.alignment) {
            return self.abort(FailureReason::InconsistentCut, Some(error), now, out);
        }
        let unconfirmed = self.commits.unconfirmed();
        match self
            .context
            .manifest(&barrier, self.latest_completed, collected, unconfirmed)
        {
            Ok(manifest) => {
                let manifest = Arc::new(manifest);
                pending.phase = Phase::Publishing(Publishing {
                    manifest: manifest.clone(),
                    until_acknowledged,
                    retry: Retry::default(),
                    outcome_unknown: false,
                });
                out.push(CoordinatorAction::Publish(manifest));
            }
            Err(error) => self.abort(FailureReason::FinalizationFailed, Some(error), now, out),
        }
    }

    /// The epoch record exists.
    fn complete(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let Phase::Publishing(publishing) = pending.phase else {
            return;
        };
        let (checkpoint, kind) = (pending.barrier.checkpoint, pending.barrier.options.kind);
        self.latest_completed = Some(checkpoint);
        self.failures.on_success(checkpoint);
        self.schedule.on_completed(kind, now.monotonic);
        self.statistics.completed += 1;
        self.statistics.latest = Some(CompletedSummary {
            checkpoint,
            duration: now.monotonic.saturating_sub(pending.started),
            until_acknowledged: publishing.until_acknowledged,
            total_bytes: publishing.manifest.sizes.total,
            written_bytes: publishing.manifest.sizes.written,
        });
        if kind == CheckpointKind::Final {
            self.life = Life::Finished;
        }
        out.push(CoordinatorAction::NotifyComplete { checkpoint });
        self.commits
            .push(checkpoint, publishing.manifest.own_commits(), out);
        out.push(CoordinatorAction::CollectGarbage);
    }

    /// Nothing was claimed and nothing will be.
    fn abort(
        &mut self,
        reason: FailureReason,
        cause: Option<Error>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let checkpoint = pending.id();
        tracing::warn!(%checkpoint, %reason, cause = cause.as_ref().map(tracing::field::display), "checkpoint given up");
        self.schedule
            .on_aborted(pending.barrier.options.kind, now.monotonic);
        self.statistics.aborted += 1;
        self.aborted.insert(checkpoint);
        while self.aborted.len() > REMEMBERED_ABORTED {
            self.aborted.pop_first();
        }
        out.push(CoordinatorAction::NotifyAborted {
            checkpoint,
            latest_completed: self.latest_completed,
        });
        self.discard(checkpoint, pending.handles(), out);
        let verdict = self.failures.on_failure(checkpoint, reason);
        self.judge(verdict, checkpoint, reason, cause, out);
    }

    fn judge(
        &mut self,
        verdict: Verdict,
        checkpoint: CheckpointId,
        reason: FailureReason,
        cause: Option<Error>,
        out: &mut Vec<CoordinatorAction>,
    ) {
        if verdict == Verdict::TooMany {
            let error =
                Error::unavailable("more checkpoints have failed than checkpoints.tolerable_failures")
                    .with("tolerable", self.settings.tolerable_failures)
                    .with("last", checkpoint)
                    .with("reason", reason);
            let error = match cause {
                Some(cause) => error.because(cause),
                None => error,
            };
            self.fail(error, out);
        }
    }

    fn on_deadline(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let timeout = self.timeout();
        let Some(pending) = &mut self.pending else { return };
        if matches!(pending.phase, Phase::Collecting(_)) {
            return self.abort(FailureReason::Expired, None, now, out);
        }
        pending.deadline = now.monotonic.saturating_add(timeout);
        let checkpoint = pending.id();
        let verdict = self.failures.on_stall();
        self.judge(verdict, checkpoint, FailureReason::FinalizationFailed, None, out);
    }

    fn retry_publish(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let phase = self.pending.as_mut().map(|pending| &mut pending.phase);
        if let Some(Phase::Publishing(publishing)) = phase
            && publishing.retry.take_due(now.monotonic)
        {
            out.push(CoordinatorAction::Publish(publishing.manifest.clone()));
        }
    }

    fn discard_of_unknown_task(&self, ack: &Acknowledgement, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = &self.pending else { return };
        if matches!(pending.phase, Phase::Collecting(_)) {
            let known = pending.handles();
            let unknown = acknowledged_handles(ack)
                .into_iter()
                .filter(|handle| !known.contains(handle));
            self.discard(ack.checkpoint, unknown.collect(), out);
        }
    }

    /// Only files of the checkpoint itself: others are inherited from checkpoints that still count.
    fn discard(
        &self,
        checkpoint: CheckpointId,
        mut handles: Vec<StateHandle>,
        out: &mut Vec<CoordinatorAction>,
    ) {
        handles.retain(|handle| self.context.is_own_file(handle, checkpoint));
        if !handles.is_empty() {
            out.push(CoordinatorAction::Discard(handles));
        }
    }

    fn fail(&mut self, error: Error, out: &mut Vec<CoordinatorAction>) {
        self.life = Life::Stopped;
        out.push(CoordinatorAction::FailJob(error));
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.settings.timeout_ms.max(1))
    }
}

fn acknowledged_handles(ack: &Acknowledgement) -> Vec<StateHandle> {
    let states = ack.operators.iter().map(|(_, _, state)| state);
    states.flat_map(SubtaskState::handles).cloned().collect()
}

fn fenced(checkpoint: CheckpointId, attempt: AttemptId) -> Error {
    Error::conflict("another process leads this job; this one must stop")
        .with("checkpoint", checkpoint)
        .with("attempt of the other", attempt)
}
