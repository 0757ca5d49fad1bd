//! Keeps account of what becomes of checkpoints.

use super::CheckpointCoordinator;
use crate::action::CoordinatorAction;
use crate::failure::FailureReason;
use crate::moment::Moment;
use crate::pending::PendingCheckpoint;
use crate::statistics::{CheckpointHistory, CheckpointReport, CheckpointStatistics, CheckpointStatus};
use snapline_core::Error;
use snapline_state::SubtaskState;
use std::sync::Arc;

impl CheckpointCoordinator {
    /// How checkpoints have been doing.
    pub fn statistics(&self, now: Moment) -> CheckpointStatistics {
        let in_progress = self.pending.values().map(|pending| {
            let report = self.report(pending, CheckpointStatus::InProgress, now);
            Arc::new(report)
        });
        CheckpointStatistics {
            consecutive_failures: self.failures.count(),
            in_progress: in_progress.collect(),
            uncommitted: self.commits.len(),
            ..self.history.statistics()
        }
    }

    /// What has become of the checkpoints so far, for the coordinator of the next attempt.
    pub fn history(&self) -> &CheckpointHistory {
        &self.history
    }

    pub(super) fn note_failure(
        &mut self,
        pending: &PendingCheckpoint,
        reason: FailureReason,
        cause: Option<&Error>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let checkpoint = pending.id();
        let text = cause.map(ToString::to_string);
        if reason.counts() {
            tracing::warn!(%checkpoint, %reason, cause = text, "checkpoint given up");
        } else {
            tracing::info!(%checkpoint, %reason, cause = text, "checkpoint given up");
        }
        self.schedule.on_end(now.monotonic);
        let status = CheckpointStatus::Failed { reason, cause: text };
        self.note_end(pending, status, now);
        let latest_completed = self.latest_completed;
        out.push(CoordinatorAction::NotifyAborted {
            checkpoint,
            latest_completed,
        });
    }

    pub(super) fn note_end(&mut self, pending: &PendingCheckpoint, status: CheckpointStatus, now: Moment) {
        let report = self.report(pending, status, now);
        self.history.on_end(report);
    }

    fn report(&self, pending: &PendingCheckpoint, status: CheckpointStatus, now: Moment) -> CheckpointReport {
        let collected = &pending.collected;
        let states = || collected.operators.iter().map(|(_, _, state)| state);
        let written = |handle| self.context.written(handle, &pending.barrier);
        CheckpointReport {
            checkpoint: pending.id(),
            kind: pending.kind(),
            triggered: pending.barrier.created,
            status,
            duration: now.monotonic.saturating_sub(pending.started),
            until_acknowledged: pending.is_all_there().then_some(collected.until_acknowledged),
            total_bytes: states().map(SubtaskState::len).sum(),
            written_bytes: states().flat_map(SubtaskState::handles).map(written).sum(),
            tasks: self.tasks.len(),
            acknowledged: collected.reports.clone(),
            missing: pending.missing().iter().cloned().collect(),
        }
    }
}
