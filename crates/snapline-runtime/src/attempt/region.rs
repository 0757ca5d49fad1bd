//! Restarting the tasks of one region while the others go on.
//!
//! The region's tasks are stopped, pending checkpoints are given up, and when nothing of the newest
//! checkpoint is undecided or uncommitted, the tasks are built again from it. They get an attempt
//! number of their own, so that nothing a left-over of the old ones does can be mistaken for theirs;
//! the checkpoints stay those of the attempt that leads.

use super::commit::recover_some;
use super::{Attempt, AttemptEnd, Outcome, STOP_PATIENCE};
use crate::cluster::may_pass;
use crate::deploy::{DeployedTask, Deployment, States};
use crate::probe::JobStep;
use crate::restore::{states_of_all, verify_sources};
use crate::task::TaskControl;
use futures::FutureExt;
use snapline_coordinator::{Manifest, Moment};
use snapline_core::{CheckpointId, Error, OperatorUid, Result, SubtaskId};
use snapline_dataflow::{FailureAnswer, JobGraph, NodeFactory};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A region on its way from a failure to running again.
#[derive(Debug)]
pub(super) struct RegionRestart {
    tasks: BTreeSet<SubtaskId>,
    /// Not before this time.
    due: Duration,
    /// The old tasks must have ended by this time.
    patience: Duration,
    is_building: bool,
}

/// A region whose new tasks are ready to run.
pub(super) struct Rebuilt {
    deployment: Deployment,
    tasks: Vec<DeployedTask>,
    /// Those of them that had finished.
    finished: Vec<SubtaskId>,
}

/// The newest completed checkpoint and what subtasks begin with when they are restored from it.
#[derive(Clone)]
pub(super) enum Newest {
    /// No checkpoint was completed since the start of the attempt: the same states again.
    Start(Arc<States>, Option<CheckpointId>),
    Completed(Arc<Manifest>),
}

impl Newest {
    fn checkpoint(&self) -> Option<CheckpointId> {
        match self {
            Self::Start(_, checkpoint) => *checkpoint,
            Self::Completed(manifest) => Some(manifest.checkpoint),
        }
    }

    /// `None` when it is that from which the attempt has started.
    pub(super) fn checkpoint_of_attempt(&self) -> Option<CheckpointId> {
        match self {
            Self::Start(..) => None,
            Self::Completed(manifest) => Some(manifest.checkpoint),
        }
    }
}

impl Attempt {
    /// Answers the failure of a task: its region restarts.
    ///
    /// # Errors
    /// The failure itself, when that is not enough or no restart is left.
    pub(super) fn on_task_failure(&mut self, task: &SubtaskId, error: Error) -> Result<()> {
        if self.is_restarting(task) {
            return Ok(());
        }
        if self.end == AttemptEnd::Suspended {
            tracing::warn!(%task, %error, "a task failed after the savepoint with which the job stops; nothing is lost");
            return Ok(());
        }
        let tasks = self.regions.around(task);
        let now = Moment::of(&*self.cluster.clock);
        let delay = match self.can_restart_alone(&tasks, &error) {
            true => self.lead.restart_delay(now.monotonic),
            false => return Err(error),
        };
        let Some(delay) = delay else {
            return Err(error);
        };
        self.cluster
            .probe(self.attempt, &JobStep::RestartRegion { task, error: &error });
        tracing::warn!(%task, %error, ?delay, tasks = tasks.len(), "a region of the job failed and restarts");
        self.shared.incident(format!(
            "{} tasks around {task} failed and restart: {error}",
            tasks.len()
        ));
        self.shared.change(|status| status.restarts += 1);
        self.note_failure(&error, FailureAnswer::RestartedRegion { tasks: tasks.len() });
        self.coordinator
            .lock()
            .on_tasks_failed(tasks.iter().cloned(), now, &mut self.actions);
        for task in &tasks {
            if let Some(running) = self.tasks.get(task) {
                let _ = running.control.unbounded_send(TaskControl::Cancel);
            }
        }
        self.restarts.push(RegionRestart {
            tasks,
            due: now.monotonic.saturating_add(delay),
            patience: now.monotonic.saturating_add(STOP_PATIENCE),
            is_building: false,
        });
        Ok(())
    }

    /// Whether it is enough to restart these tasks. A job that is about to end needs all of them.
    fn can_restart_alone(&self, tasks: &BTreeSet<SubtaskId>, error: &Error) -> bool {
        may_pass(error) && tasks.len() < self.tasks.len() && !self.is_finishing && !self.with_data.is_empty()
    }

    pub(super) fn is_restarting(&self, task: &SubtaskId) -> bool {
        self.restarts.iter().any(|restart| restart.tasks.contains(task))
    }

    /// When a restart has something to do if nothing happens before. One that waits for a checkpoint to be
    /// settled has not: it goes on with the outcome, whatever the time is.
    pub(super) fn restart_deadline(&self) -> Option<Duration> {
        let waiting = self.restarts.iter().filter(|restart| !restart.is_building);
        waiting
            .filter_map(|restart| match self.has_running(&restart.tasks) {
                true => Some(restart.patience),
                false => self.is_settled().then_some(restart.due),
            })
            .min()
    }

    /// Goes on with every restart that can; with none when the job stops with a savepoint that is complete.
    ///
    /// # Errors
    /// `Unavailable` when tasks do not stop: then only a new attempt helps, for which they are strangers.
    pub(super) fn advance_restarts(&mut self) -> Result<()> {
        if self.end == AttemptEnd::Suspended {
            self.restarts.clear();
        }
        let now = self.cluster.clock.monotonic();
        for index in 0..self.restarts.len() {
            let restart = &self.restarts[index];
            let is_stopped = !self.has_running(&restart.tasks);
            if !is_stopped && !restart.is_building && now >= restart.patience {
                return Err(Error::unavailable(
                    "tasks of a failed region did not stop in time",
                ));
            }
            let is_due = is_stopped && now >= restart.due;
            if is_due && !restart.is_building && self.is_settled() {
                self.rebuild(restart.tasks.clone());
                self.restarts[index].is_building = true;
            }
        }
        Ok(())
    }

    /// Whether it is known what the newest checkpoint is, and its results are committed.
    fn is_settled(&self) -> bool {
        let coordinator = self.coordinator.lock();
        coordinator.publishing().is_none() && coordinator.uncommitted() == 0
    }

    fn has_running(&self, tasks: &BTreeSet<SubtaskId>) -> bool {
        tasks.iter().any(|task| self.running.contains(task))
    }

    fn rebuild(&self, tasks: BTreeSet<SubtaskId>) {
        let (lead, committers, newest) = (self.lead.clone(), self.committers.clone(), self.newest.clone());
        let (deployment, store) = (self.deployment.clone(), self.store.clone());
        let recoveries = self.recoveries.clone();
        let rebuilt = async move {
            let sinks = sinks_in(&deployment.job, &tasks);
            let recovery = async {
                let attempt = lead.claim().await?;
                let committers = &mut *committers.lock().await;
                recover_some(committers, &sinks, attempt, newest.checkpoint()).await?;
                Ok(attempt)
            };
            let attempt = recoveries.run(recovery).await?;
            let mut deployment = Deployment {
                attempt,
                ..deployment
            };
            let states = match newest {
                Newest::Start(states, _) => states,
                Newest::Completed(manifest) => {
                    deployment.storage = store.storage().clone();
                    let states = states_of_all(
                        &deployment.job,
                        Some(&manifest),
                        &**store.storage(),
                        Some(manifest.checkpoint),
                    );
                    let states = states.boxed().await?;
                    verify_sources(&deployment.job, &states).await?;
                    Arc::new(states)
                }
            };
            let finished = states.finished.tasks(&deployment.job);
            let finished = finished.filter(|task| tasks.contains(task)).collect();
            let tasks = deployment.load_some(states, &tasks).await?;
            let tasks = deployment.open(tasks).await?;
            Ok(Rebuilt {
                deployment,
                tasks,
                finished,
            })
        };
        self.work(rebuilt, Outcome::Rebuilt);
    }

    /// The new tasks of a region take the place of the old ones.
    pub(super) fn on_rebuilt(&mut self, rebuilt: Rebuilt) {
        let ids: BTreeSet<SubtaskId> = rebuilt.tasks.iter().map(|task| task.id.clone()).collect();
        self.restarts.retain(|restart| restart.tasks != ids);
        self.with_data.extend(ids.iter().cloned());
        self.ending.retain(|task, _| !ids.contains(task));
        self.loops.on_restart(&ids);
        self.adopt(&rebuilt.deployment, rebuilt.tasks);
        for (task, addition) in self
            .growing
            .given_since(self.newest.checkpoint_of_attempt(), &ids)
        {
            if let Some(running) = self.tasks.get(&task) {
                let _ = running.control.unbounded_send(TaskControl::AddSplits(addition));
            }
        }
        let now = Moment::of(&*self.cluster.clock);
        for task in &rebuilt.finished {
            self.coordinator
                .lock()
                .on_task_finished(task, now, &mut self.actions);
        }
        self.coordinator
            .lock()
            .on_tasks_running(&ids, now, &mut self.actions);
    }
}

/// The sinks that run in these tasks.
fn sinks_in(job: &JobGraph, tasks: &BTreeSet<SubtaskId>) -> BTreeSet<OperatorUid> {
    let is_in = |vertex: usize| {
        let head = &job.node(job.vertices[vertex].head).uid;
        tasks.iter().any(|task| task.operator == *head)
    };
    let sinks = job
        .nodes
        .iter()
        .filter(|node| matches!(node.node.factory, NodeFactory::Sink(_)) && is_in(node.vertex));
    sinks.map(|node| node.uid.clone()).collect()
}
