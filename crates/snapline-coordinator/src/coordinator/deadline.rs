//! What happens because time passes.

use super::end::could_not_stop;
use super::{CheckpointCoordinator, Life};
use crate::action::CoordinatorAction;
use crate::failure::FailureReason;
use crate::moment::Moment;
use crate::pending::{PendingCheckpoint, Phase};
use snapline_core::{CheckpointId, Error, SubtaskId};
use std::collections::BTreeSet;

impl CheckpointCoordinator {
    /// Makes claims again whose outcome is not known.
    pub(super) fn retry_claims(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let is_alive = self.life != Life::Stopped;
        for pending in self.pending.values_mut().filter(|_| is_alive) {
            let publish = match &pending.phase {
                Phase::Storing(_) => CoordinatorAction::PublishSavepoint,
                _ => CoordinatorAction::Publish,
            };
            if let Phase::Storing(claim) | Phase::Publishing(claim, _) = &mut pending.phase
                && claim.retry.take_due(now.monotonic)
            {
                out.push(publish(claim.manifest.clone()));
            }
        }
    }

    /// Gives up what has taken too long. A claim cannot be given up: it counts as a failure instead.
    pub(super) fn expire(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let is_due = |pending: &&PendingCheckpoint| pending.deadline <= now.monotonic;
        let due: Vec<CheckpointId> = self
            .pending
            .values()
            .filter(is_due)
            .map(PendingCheckpoint::id)
            .collect();
        let timeout = self.timeout();
        for checkpoint in due {
            let pending = self.pending.get_mut(&checkpoint);
            let Some(pending) = pending.filter(|_| self.life != Life::Stopped) else {
                return;
            };
            let kind = pending.kind();
            match &pending.phase {
                Phase::Collecting | Phase::Waiting(_) => {
                    let cause = late(pending.missing());
                    self.abort(checkpoint, FailureReason::Expired, cause, now, out);
                }
                Phase::Storing(_) => self.lose(checkpoint, now, out),
                Phase::Publishing(..) if kind.is_savepoint() => self.lose(checkpoint, now, out),
                Phase::Publishing(..) => {
                    pending.deadline = now.monotonic.saturating_add(timeout);
                    let verdict = self.failures.on_stall();
                    self.judge(verdict, checkpoint, FailureReason::FinalizationFailed, None, out);
                }
            }
        }
    }

    /// Whether the savepoint exists will not be known. Nothing is deleted.
    fn lose(&mut self, checkpoint: CheckpointId, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let reason = FailureReason::FinalizationFailed;
        let cause = Error::unavailable(
            "the storage did not tell within checkpoints.timeout_ms whether the savepoint was stored; \
             look whether it is there",
        )
        .with("savepoint", checkpoint);
        let is_last = |pending: &PendingCheckpoint| pending.kind().stops_job();
        if self.pending.get(&checkpoint).is_some_and(is_last) {
            return self.fail(could_not_stop(reason, Some(cause)), out);
        }
        if let Some(pending) = self.pending.remove(&checkpoint) {
            self.note_failure(&pending, reason, Some(&cause), now, out);
            out.extend(pending.request.map(|request| CoordinatorAction::RequestDone {
                request,
                outcome: Err(cause),
            }));
        }
    }
}

/// Who has kept a checkpoint from being complete.
fn late(missing: &BTreeSet<SubtaskId>) -> Option<Error> {
    let first = missing.first()?;
    let error = Error::unavailable("tasks have not acknowledged in time")
        .with("tasks", missing.len())
        .with("one of them", first);
    Some(error)
}
