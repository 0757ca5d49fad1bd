//! From the last acknowledgement to the completed checkpoint.

use super::start::answer_error;
use super::{CheckpointCoordinator, Life};
use crate::action::CoordinatorAction;
use crate::failure::FailureReason;
use crate::manifest::{Manifest, SubtaskCut};
use crate::moment::Moment;
use crate::pending::{Claim, Phase};
use crate::request::RequestId;
use crate::statistics::{CheckpointStatus, CutEvidence};
use crate::store::PublishOutcome;
use snapline_barrier::ConsistentCut;
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, Error, ErrorKind, Result};
use std::sync::Arc;

impl CheckpointCoordinator {
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
        let pending = self.pending.get(&checkpoint);
        let is_awaited = pending.is_some_and(|pending| matches!(pending.phase, Phase::Publishing(..)));
        if self.life == Life::Stopped || !is_awaited {
            return;
        }
        match outcome {
            Ok(PublishOutcome::Published) => self.complete(checkpoint, now, out),
            Ok(PublishOutcome::Fenced { attempt }) => self.fail(fenced(checkpoint, attempt), out),
            Ok(PublishOutcome::NotStored { reason }) => {
                let error = Error::unavailable("the manifest could not be stored").because(reason);
                self.on_claim_failed(checkpoint, error, Certainty::Sure, now, out);
            }
            Err(error) => {
                let certainty = Certainty::of(&error);
                self.on_claim_failed(checkpoint, error, certainty, now, out);
            }
        }
        self.go_on(now, out);
    }

    /// Takes the outcome of [`CoordinatorAction::PublishSavepoint`].
    ///
    /// `Unavailable` and `Cancelled` leave the outcome open: the same manifest is stored again, and
    /// nothing is deleted. Any other error of a first try means that there is no savepoint.
    pub fn on_savepoint_published(
        &mut self,
        checkpoint: CheckpointId,
        outcome: Result<()>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let pending = self.pending.get(&checkpoint);
        let is_awaited = pending.is_some_and(|pending| matches!(pending.phase, Phase::Storing(_)));
        if self.life == Life::Stopped || !is_awaited {
            return;
        }
        match outcome {
            Ok(()) => self.savepoint_stored(checkpoint, now, out),
            Err(error) => {
                let certainty = Certainty::of(&error);
                self.on_claim_failed(checkpoint, error, certainty, now, out);
            }
        }
        self.go_on(now, out);
    }

    /// All have acknowledged: verify the cut, then store a savepoint, or wait for the turn of a checkpoint.
    pub(super) fn seal(&mut self, checkpoint: CheckpointId, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let pending = self.pending.get_mut(&checkpoint);
        let Some(pending) = pending.filter(|_| self.life != Life::Stopped) else {
            return;
        };
        pending.collected.until_acknowledged = now.monotonic.saturating_sub(pending.started);
        let options = pending.barrier.options;
        let cuts = pending.collected.cuts.iter();
        let cuts = cuts.map(|SubtaskCut { task, cut }| (task, cut));
        if let Err(violation) = ConsistentCut::verify(cuts, options.alignment) {
            tracing::error!(%checkpoint, %violation, "the checkpoint is no consistent cut");
            self.history.on_violation(CutEvidence {
                checkpoint,
                kind: options.kind,
                violation: violation.clone(),
            });
            let cause = Some(violation.into());
            return self.abort(checkpoint, FailureReason::InconsistentCut, cause, now, out);
        }
        pending.phase = Phase::Waiting(None);
        if options.kind.is_savepoint()
            && let Some(claim) = self.claim(checkpoint, now, out)
        {
            out.push(CoordinatorAction::PublishSavepoint(claim.manifest.clone()));
            self.enter(checkpoint, Phase::Storing(claim));
        }
    }

    /// Publishes the oldest checkpoint that is ready, if none is being published.
    pub(super) fn publish_next(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        while self.life == Life::Running && self.publishing().is_none() {
            let next = self
                .pending
                .iter()
                .find_map(|(id, pending)| match &pending.phase {
                    Phase::Waiting(saved) => Some((*id, saved.clone())),
                    _ => None,
                });
            let Some((checkpoint, saved)) = next else { return };
            if let Some(claim) = self.claim(checkpoint, now, out) {
                out.push(CoordinatorAction::Publish(claim.manifest.clone()));
                self.enter(checkpoint, Phase::Publishing(claim, saved));
            }
        }
    }

    /// The manifest is made when it is published and not before: it names what other checkpoints have
    /// left uncommitted.
    fn claim(
        &mut self,
        checkpoint: CheckpointId,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) -> Option<Claim> {
        let (unconfirmed, timeout) = (self.commits.unconfirmed(), self.timeout());
        let pending = self.pending.get_mut(&checkpoint)?;
        if pending.kind().is_savepoint() {
            pending.deadline = now.monotonic.saturating_add(timeout);
        }
        let (barrier, collected) = (&pending.barrier, &pending.collected);
        match self
            .context
            .manifest(barrier, self.latest_completed, collected, unconfirmed)
        {
            Ok(manifest) => Some(Claim::new(Arc::new(manifest))),
            Err(error) => {
                self.abort(
                    checkpoint,
                    FailureReason::FinalizationFailed,
                    Some(error),
                    now,
                    out,
                );
                None
            }
        }
    }

    fn enter(&mut self, checkpoint: CheckpointId, phase: Phase) {
        if let Some(pending) = self.pending.get_mut(&checkpoint) {
            pending.phase = phase;
        }
    }

    /// The savepoint exists. If the job stops with it, it is also to become the newest checkpoint.
    fn savepoint_stored(&mut self, checkpoint: CheckpointId, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = self.pending.get_mut(&checkpoint) else {
            return;
        };
        let Phase::Storing(claim) = &pending.phase else {
            return;
        };
        let manifest = claim.manifest.clone();
        if pending.kind().stops_job() {
            pending.phase = Phase::Waiting(Some(manifest));
            return;
        }
        if let Some(pending) = self.pending.remove(&checkpoint) {
            self.schedule.on_end(now.monotonic);
            self.note_end(&pending, CheckpointStatus::Completed, now);
            answer(pending.request, manifest, out);
        }
    }

    /// The epoch record exists.
    fn complete(&mut self, checkpoint: CheckpointId, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = self.pending.remove(&checkpoint) else {
            return;
        };
        self.note_end(&pending, CheckpointStatus::Completed, now);
        let kind = pending.kind();
        let Phase::Publishing(claim, saved) = pending.phase else {
            return;
        };
        let previous = self.latest_completed.replace(checkpoint);
        self.failures.on_success(checkpoint);
        self.schedule.on_end(now.monotonic);
        out.push(CoordinatorAction::NotifyComplete { checkpoint, previous });
        self.commits.push(checkpoint, claim.manifest.own_commits(), out);
        self.subsume(checkpoint, now, out);
        out.push(CoordinatorAction::CollectGarbage);
        let manifest = saved.unwrap_or(claim.manifest);
        if kind.stops_job() {
            self.life = Life::Finished;
            self.last = pending.request.map(|request| (request, manifest));
            self.dismiss_late(out);
        } else {
            answer(pending.request, manifest, out);
        }
    }

    /// The job ends. What was asked for after tasks had restarted comes too late.
    fn dismiss_late(&mut self, out: &mut Vec<CoordinatorAction>) {
        let last = self.last.as_ref().map(|(request, _)| *request);
        let never = FailureReason::JobStopping.to_error(CheckpointKind::Checkpoint, None);
        if let Some(request) = self.schedule.reopen().filter(|request| Some(*request) != last) {
            answer_error(request, never.clone(), out);
        }
        self.schedule.end();
        self.dismiss(|_| true, &never, out);
    }

    /// Nobody will need the checkpoints before this one.
    fn subsume(&mut self, checkpoint: CheckpointId, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let older = self.pending.range(..checkpoint);
        let older = older.filter(|(_, pending)| !pending.kind().is_savepoint());
        for id in older.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.abort(id, FailureReason::Subsumed, None, now, out);
        }
    }

    /// Answers who has asked for the end of the job when everything else is done.
    pub(super) fn answer_last(&mut self, out: &mut Vec<CoordinatorAction>) {
        if self.is_finished()
            && let Some((request, manifest)) = self.last.take()
        {
            answer(Some(request), manifest, out);
        }
    }

    /// A claim that may have succeeded is made again; one that surely has not gives the checkpoint up.
    fn on_claim_failed(
        &mut self,
        checkpoint: CheckpointId,
        error: Error,
        certainty: Certainty,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let phase = self
            .pending
            .get_mut(&checkpoint)
            .map(|pending| &mut pending.phase);
        if let Some(Phase::Storing(claim) | Phase::Publishing(claim, _)) = phase
            && (claim.outcome_unknown || certainty == Certainty::Open)
        {
            claim.outcome_unknown = true;
            claim.try_again(now.monotonic, &error);
        } else {
            self.abort(
                checkpoint,
                FailureReason::FinalizationFailed,
                Some(error),
                now,
                out,
            );
        }
    }
}

/// Whether a claim that was answered with an error may have succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// It has not.
    Sure,
    /// It may have.
    Open,
}

impl Certainty {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Cancelled => Self::Open,
            _ => Self::Sure,
        }
    }
}

fn answer(request: Option<RequestId>, manifest: Arc<Manifest>, out: &mut Vec<CoordinatorAction>) {
    let outcome = Ok(manifest);
    out.extend(request.map(|request| CoordinatorAction::RequestDone { request, outcome }));
}

fn fenced(checkpoint: CheckpointId, attempt: AttemptId) -> Error {
    Error::conflict("another process leads this job; this one must stop")
        .with("checkpoint", checkpoint)
        .with("attempt of the other", attempt)
}
