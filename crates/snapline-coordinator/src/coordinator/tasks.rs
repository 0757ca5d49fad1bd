//! Tasks that finish, fail and restart.

use super::end::could_not_stop;
use super::start::answer_error;
use super::{CheckpointCoordinator, Life};
use crate::action::CoordinatorAction;
use crate::failure::FailureReason;
use crate::moment::Moment;
use crate::pending::{Counted, PendingCheckpoint};
use crate::statistics::RestoreReport;
use snapline_core::{CheckpointId, CheckpointKind, SubtaskId};

impl CheckpointCoordinator {
    /// A task has ended because it had nothing left to do and a completed checkpoint has all that it
    /// did (FLIP-147). Nothing more is asked of it, and its operators are marked as finished in
    /// later checkpoints.
    ///
    /// It stands as acknowledged in the checkpoints that wait for it: the end of its outputs stands
    /// in for their barriers, and they contain everything that it has ever done. So it must not be told
    /// before the task's last acknowledgement.
    ///
    /// The same is told of a task that restarts from a checkpoint in which it had finished, before
    /// [`CheckpointCoordinator::on_tasks_running`].
    pub fn on_task_finished(&mut self, task: &SubtaskId, now: Moment, out: &mut Vec<CoordinatorAction>) {
        if self.life == Life::Stopped || !self.tasks.finish(task) {
            return;
        }
        let waiting: Vec<CheckpointId> = self.pending.keys().copied().collect();
        for checkpoint in waiting {
            let counted = self
                .pending
                .get_mut(&checkpoint)
                .map(|pending| pending.finish(task));
            if let Some(Counted::Last) = counted {
                self.seal(checkpoint, now, out);
            }
        }
        self.go_on(now, out);
    }

    /// These tasks have failed and will restart from the newest completed checkpoint while the others
    /// run on. All checkpoints that are not decided are given up, the job does not end yet, and
    /// nothing starts before all of them run again.
    ///
    /// While [`CheckpointCoordinator::publishing`] names a checkpoint, it is not known which one is
    /// the newest.
    pub fn on_tasks_failed(
        &mut self,
        tasks: impl IntoIterator<Item = SubtaskId>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        if self.life != Life::Running {
            return;
        }
        for task in tasks {
            self.tasks.restart(task);
        }
        self.abort_undecided(FailureReason::TaskFailed, now, out);
        let mut kinds = self.pending.values().map(PendingCheckpoint::kind);
        if kinds.any(|kind| kind.is_savepoint() && kind.stops_job()) {
            return self.fail(could_not_stop(FailureReason::TaskFailed, None), out);
        }
        self.withdraw_end(out);
        self.go_on(now, out);
    }

    /// These tasks run again.
    pub fn on_tasks_running<'a>(
        &mut self,
        tasks: impl IntoIterator<Item = &'a SubtaskId>,
        now: Moment,
        out: &mut Vec<CoordinatorAction>,
    ) {
        let restarted = tasks.into_iter().filter(|task| self.tasks.run(task)).count();
        if restarted > 0 {
            self.history.on_restored(RestoreReport {
                checkpoint: self.latest_completed,
                tasks: restarted,
                at: now.wall,
            });
        }
        self.go_on(now, out);
    }

    /// Data that had ended comes again, so that the job does not end yet. A final checkpoint that is
    /// being published may still end it.
    fn withdraw_end(&mut self, out: &mut Vec<CoordinatorAction>) {
        if self.life != Life::Running {
            return;
        }
        let error = FailureReason::TaskFailed.to_error(CheckpointKind::Final, None);
        for pending in self.pending.values_mut() {
            if pending.kind() == CheckpointKind::Final {
                pending.request = None;
            }
        }
        if let Some(request) = self.schedule.reopen() {
            answer_error(request, error.clone(), out);
        }
        self.dismiss(CheckpointKind::stops_job, &error, out);
    }
}
