//! What the coordinator does by itself, step by step.

use super::{CheckpointCoordinator, Life, REMEMBERED_ABORTED};
use crate::acknowledgement::Acknowledgement;
use crate::action::CoordinatorAction;
use crate::failure::{FailureReason, Verdict};
use crate::moment::Moment;
use crate::pending::{PendingCheckpoint, Phase, Publishing, verify_channels};
use crate::retry::Retry;
use crate::statistics::CompletedSummary;
use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, CheckpointKind, Error};
use snapline_state::{StateHandle, SubtaskState};
use std::sync::Arc;
use std::time::Duration;

impl CheckpointCoordinator {
    pub(super) fn start_due(
        &mut self,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) -> Option<CheckpointId> {
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
                alignment: self.settings.barrier_alignment(),
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
    pub(super) fn seal(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let Some(pending) = &mut self.pending else { return };
        let Phase::Collecting(collected) = &pending.phase else {
            return;
        };
        let (barrier, until_acknowledged) = (pending.barrier, now.monotonic.saturating_sub(pending.started));
        if let Err(error) = verify_channels(&collected.cuts, barrier.options.alignment) {
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
    pub(super) fn complete(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
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
    pub(super) fn abort(
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
            let error = match cause {
                Some(cause) => error.because(cause),
                None => error,
            };
            self.fail(error, out);
        }
    }

    pub(super) fn on_deadline(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
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

    pub(super) fn retry_publish(&mut self, now: Moment, out: &mut Vec<CoordinatorAction>) {
        let phase = self.pending.as_mut().map(|pending| &mut pending.phase);
        if let Some(Phase::Publishing(publishing)) = phase
            && publishing.retry.take_due(now.monotonic)
        {
            out.push(CoordinatorAction::Publish(publishing.manifest.clone()));
        }
    }

    pub(super) fn discard_of_unknown_task(&self, ack: &Acknowledgement, out: &mut Vec<CoordinatorAction>) {
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
    pub(super) fn discard(
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

    pub(super) fn fail(&mut self, error: Error, out: &mut Vec<CoordinatorAction>) {
        self.life = Life::Stopped;
        out.push(CoordinatorAction::FailJob(error));
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.settings.timeout_ms.max(1))
    }
}

pub(super) fn acknowledged_handles(ack: &Acknowledgement) -> Vec<StateHandle> {
    let states = ack.operators.iter().map(|(_, _, state)| state);
    states.flat_map(SubtaskState::handles).cloned().collect()
}
