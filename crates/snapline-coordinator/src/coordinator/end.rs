//! How checkpoints fail, and with them the job.

use super::start::answer_error;
use super::{Aborted, CheckpointCoordinator, Life, stopped};
use crate::acknowledgement::Acknowledgement;
use crate::action::CoordinatorAction;
use crate::failure::{FailureReason, Verdict};
use crate::moment::Moment;
use crate::pending::{PendingCheckpoint, Phase};
use snapline_core::{CheckpointId, CheckpointKind, Error};
use snapline_state::{StateHandle, SubtaskState};
use std::collections::BTreeSet;

/// How many checkpoints that were given up are remembered.
const REMEMBERED: usize = 64;

impl CheckpointCoordinator {
    /// Gives up all checkpoints and savepoints that are not decided yet, for a reason that lies
    /// outside of them. What is being published is left alone: the claim decides.
    pub fn abort_pending(&mut self, reason: FailureReason, now: Moment, out: &mut Vec<CoordinatorAction>) {
        if self.life != Life::Stopped {
            self.abort_undecided(reason, now, out);
            self.go_on(now, out);
        }
    }

    /// The checkpoint that is being published. What becomes of it is not known until
    /// [`CheckpointCoordinator::on_published`], so that a part of the job must not restart from
    /// [`CheckpointCoordinator::latest_completed`] before.
    pub fn publishing(&self) -> Option<CheckpointId> {
        let mut pending = self.pending.values();
        pending
            .find(|pending| matches!(pending.phase, Phase::Publishing(..)))
            .map(PendingCheckpoint::id)
    }

    pub(super) fn abort_undecided(
        &mut self,
        reason: FailureReason,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let life = self.life;
        let undecided = self.pending.values().filter(|pending| pending.is_undecided());
        for id in undecided.map(PendingCheckpoint::id).collect::<Vec<_>>() {
            if self.life == life {
                self.abort(id, reason, None, now, out);
            }
        }
    }

    /// Nothing was claimed and nothing will be.
    pub(super) fn abort(
        &mut self,
        checkpoint: CheckpointId,
        reason: FailureReason,
        cause: Option<Error>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let Some(pending) = self.pending.remove(&checkpoint) else {
            return;
        };
        self.note_failure(&pending, reason, cause.as_ref(), now, out);
        let kind = pending.kind();
        self.aborted.remember(checkpoint, kind);
        let is_stored = matches!(
            pending.phase,
            Phase::Waiting(Some(_)) | Phase::Publishing(_, Some(_))
        );
        if !kind.is_savepoint() {
            self.discard(checkpoint, pending.handles(), out);
        } else if !is_stored {
            out.push(CoordinatorAction::DiscardSavepoint { checkpoint });
        }
        if kind == CheckpointKind::Final {
            self.schedule.retry_final(now.monotonic);
        } else if let Some(request) = pending.request {
            answer_error(request, reason.to_error(kind, cause.clone()), out);
        }
        if !kind.is_savepoint() {
            let verdict = self.failures.on_failure(checkpoint, reason);
            self.judge(verdict, checkpoint, reason, cause, out);
        } else if kind.stops_job() {
            self.fail(could_not_stop(reason, cause), out);
        }
    }

    pub(super) fn judge(
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
            self.fail(because(error, cause), out);
        }
    }

    /// Every request is answered before the job fails.
    pub(super) fn fail(&mut self, error: Error, out: &mut Vec<CoordinatorAction>) {
        if self.life != Life::Stopped {
            self.life = Life::Stopped;
            self.dismiss_all(&stopped().because(error.clone()), out);
            out.push(CoordinatorAction::FailJob(error));
        }
    }

    /// Answers everybody who still waits.
    pub(super) fn dismiss_all(&mut self, error: &Error, out: &mut Vec<CoordinatorAction>) {
        let last = self.last.take().map(|(request, _)| request);
        let pending = self.pending.values_mut();
        let pending = pending.filter(|pending| pending.kind() != CheckpointKind::Final);
        let mut open: BTreeSet<_> = pending.filter_map(|pending| pending.request.take()).collect();
        open.extend(last.into_iter().chain(self.schedule.reopen()));
        open.into_iter()
            .for_each(|request| answer_error(request, error.clone(), out));
        self.dismiss(|_| true, error, out);
    }

    pub(super) fn discard_of_unknown_task(&self, ack: &Acknowledgement, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = self.pending.get(&ack.checkpoint) else {
            return;
        };
        if pending.is_collecting() && !pending.kind().is_savepoint() {
            let known = pending.handles();
            let unknown = acknowledged_handles(ack)
                .into_iter()
                .filter(|handle| !known.contains(handle));
            self.discard(ack.checkpoint, unknown.collect(), out);
        }
    }

    pub(super) fn discard_late(&self, ack: &Acknowledgement, out: &mut Vec<CoordinatorAction>) {
        let checkpoint = ack.checkpoint;
        if self.aborted.checkpoints.contains(&checkpoint) {
            self.discard(checkpoint, acknowledged_handles(ack), out);
        } else if self.aborted.savepoints.contains(&checkpoint) {
            out.push(CoordinatorAction::DiscardSavepoint { checkpoint });
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
}

impl Aborted {
    fn remember(&mut self, checkpoint: CheckpointId, kind: CheckpointKind) {
        let ids = match kind.is_savepoint() {
            true => &mut self.savepoints,
            false => &mut self.checkpoints,
        };
        ids.insert(checkpoint);
        if ids.len() > REMEMBERED {
            ids.pop_first();
        }
    }
}

fn acknowledged_handles(ack: &Acknowledgement) -> Vec<StateHandle> {
    let states = ack.operators.iter().map(|(_, _, state)| state);
    states.flat_map(SubtaskState::handles).cloned().collect()
}

/// Its sources have stopped already: only a restart lets the job go on.
pub(super) fn could_not_stop(reason: FailureReason, cause: Option<Error>) -> Error {
    let error = Error::unavailable("the job could not stop with a savepoint").with("reason", reason);
    because(error, cause)
}

fn because(error: Error, cause: Option<Error>) -> Error {
    match cause {
        Some(cause) => error.because(cause),
        None => error,
    }
}
