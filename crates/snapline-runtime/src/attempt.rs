//! One attempt of a job: from the restored checkpoint until its end or its first failure.

mod act;
mod commit;
mod growth;
mod loops;
mod recoveries;
mod region;
mod savepoint;
mod start;

pub(crate) use start::{Loaded, Start};

use crate::cluster::{ClusterParts, failure_of};
use crate::deploy::{DeployedTask, Deployment};
use crate::lead::Lead;
use crate::observed::Observed;
use crate::probe::JobStep;
use crate::regions::Regions;
use crate::status::Shared;
use crate::task::{TaskControl, TaskReport};
use commit::Committers;
use futures::channel::mpsc;
use futures::future::{join, select};
use futures::{FutureExt, StreamExt};
use growth::GrowingSources;
use loops::Loops;
use recoveries::Recoveries;
use region::{Newest, Rebuilt, RegionRestart};
use savepoint::{Savepoints, Wanted};
use snapline_coordinator::{
    CheckpointStore, CoordinatorAction, Decline, FailureReason, Manifest, Moment, PublishOutcome,
};
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind, Result, SubtaskId};
use snapline_dataflow::{FailureAnswer, FoundSplits, JobGraph, JobState, NodeId, TaskCounters};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long tasks that were told to stop are waited for. A task that does not come back from user
/// code is left behind; it belongs to an old attempt and nothing it does counts.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What happens to an attempt besides the reports of its tasks.
enum Outcome {
    Published(CheckpointId, Result<PublishOutcome>),
    Committed(CheckpointId, Result<()>),
    Rebuilt(Result<Rebuilt>),
    /// Whether the target of a savepoint is free.
    Looked(Wanted, Result<()>),
    SavepointPublished(CheckpointId, Result<()>),
    /// New splits of a source.
    Found(NodeId, Result<FoundSplits>),
}

/// How an attempt has ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// Everything was read and committed.
    Finished,
    /// The job was stopped with a savepoint.
    Suspended,
}

/// One attempt while it runs.
pub(crate) struct Attempt {
    cluster: ClusterParts,
    job: Arc<JobGraph>,
    attempt: AttemptId,
    store: Arc<CheckpointStore>,
    shared: Arc<Shared>,
    committers: Arc<tokio::sync::Mutex<Committers>>,
    coordinator: Observed,
    lead: Arc<Lead>,
    regions: Regions,
    deployment: Deployment,
    newest: Newest,
    /// Manifests whose claims are under way.
    publishing: BTreeMap<CheckpointId, Arc<Manifest>>,
    savepoints: Savepoints,
    loops: Loops,
    growing: GrowingSources,
    /// The sources whose data has ended, with the newest checkpoint that had started before.
    ending: BTreeMap<SubtaskId, CheckpointId>,
    /// How the job will have ended, once its last checkpoint is complete.
    end: AttemptEnd,
    restarts: Vec<RegionRestart>,
    recoveries: Recoveries,
    tasks: BTreeMap<SubtaskId, RunningTask>,
    /// The tasks that have not reached the end of their data.
    with_data: BTreeSet<SubtaskId>,
    /// The tasks that have not ended.
    running: BTreeSet<SubtaskId>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    is_finishing: bool,
    /// Whether a checkpoint has ended since the status of the job was changed.
    has_checkpoint_ended: bool,
    actions: Vec<CoordinatorAction>,
}

/// What the attempt keeps of a task that was spawned.
struct RunningTask {
    attempt: AttemptId,
    is_source: bool,
    control: mpsc::UnboundedSender<TaskControl>,
    counters: Arc<TaskCounters>,
}

impl Attempt {
    async fn run(
        mut self,
        tasks: Vec<DeployedTask>,
        mut reports: mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
        mut outcomes: mpsc::UnboundedReceiver<Outcome>,
    ) -> Result<AttemptEnd> {
        let deployment = self.deployment.clone();
        self.adopt(&deployment, tasks);
        drop(deployment);
        self.shared.observe(self.coordinator.clone());
        self.shared.change(|status| status.state = JobState::Running);
        let ended = self.watch(&mut reports, &mut outcomes).await;
        let recoveries = self.recoveries.clone();
        let patience = self.cluster.executor.sleep(STOP_PATIENCE);
        let none_recovers = select(Box::pin(recoveries.end()), patience);
        match &ended {
            Ok(_) => _ = none_recovers.await,
            Err(error) => {
                let is_cancelled = error.kind() == ErrorKind::Cancelled;
                join(self.stop(is_cancelled, &mut reports), none_recovers).await;
                self.delete_checkpoints(&mut outcomes).await;
            }
        }
        ended
    }

    /// Takes what happens until all tasks have ended or one has failed.
    async fn watch(
        &mut self,
        reports: &mut mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
        outcomes: &mut mpsc::UnboundedReceiver<Outcome>,
    ) -> Result<AttemptEnd> {
        let shared = self.shared.clone();
        let mut requests = shared.open_requests();
        loop {
            // Not in the array: it would be locked while the others look at it.
            let next = self.coordinator.lock().next_deadline();
            let deadlines = [
                next,
                self.restart_deadline(),
                self.loops.deadline(),
                self.growth_deadline(),
            ];
            let deadline = self.sleep_until(deadlines.into_iter().flatten().min());
            futures::pin_mut!(deadline);
            let cancelled = shared.cancelled();
            futures::pin_mut!(cancelled);
            futures::select_biased! {
                () = cancelled.fuse() => return Err(Error::cancelled("the job was cancelled")),
                report = reports.next() => {
                    if let Some((attempt, report)) = report {
                        self.on_report(attempt, report)?;
                    }
                }
                outcome = outcomes.next() => {
                    if let Some(outcome) = outcome {
                        self.on_outcome(outcome)?;
                    }
                }
                request = requests.next() => {
                    if let Some(request) = request {
                        self.on_request(request);
                    }
                }
                () = deadline.fuse() => self.coordinator.lock().on_time(Moment::of(&*self.cluster.clock), &mut self.actions),
            }
            self.ask_for_proof();
            self.look_for_splits();
            self.carry_out()?;
            self.advance_restarts()?;
            self.on_checkpoints_ended();
            if self.is_finishing && self.running.is_empty() && self.restarts.is_empty() {
                return Ok(self.end);
            }
        }
    }

    /// Reports of tasks whose place was taken by others do not count.
    fn on_report(&mut self, attempt: AttemptId, report: TaskReport) -> Result<()> {
        let is_current = |task: &SubtaskId| self.tasks.get(task).is_some_and(|task| task.attempt == attempt);
        if !is_current(report.task()) {
            return Ok(());
        }
        let now = Moment::of(&*self.cluster.clock);
        match report {
            TaskReport::Acknowledge(ack) => self.coordinator.lock().acknowledge(ack, now, &mut self.actions),
            TaskReport::Decline(decline) => self.on_decline(decline, now),
            TaskReport::EndOfData(task) => {
                self.ending
                    .insert(task.clone(), self.coordinator.lock().last_used());
                self.with_data.remove(&task);
                if self.with_data.is_empty() {
                    self.on_all_data_ended()?;
                }
            }
            TaskReport::LoopInputEnded(task) => self.loops.on_input_ended(&task, now.monotonic),
            TaskReport::Ended(task, outcome) => {
                self.running.remove(&task);
                let outcome = outcome.map_err(|error| error.with("task", &task).with("attempt", attempt));
                let early = || Error::internal("a task ended before the job").with("task", &task);
                match outcome {
                    Err(error) => self.on_task_failure(&task, error)?,
                    Ok(()) if self.is_finishing || self.is_restarting(&task) => {}
                    Ok(()) if !self.with_data.contains(&task) => {
                        self.coordinator
                            .lock()
                            .on_task_finished(&task, now, &mut self.actions);
                    }
                    Ok(()) => self.on_task_failure(&task, early())?,
                }
            }
        }
        Ok(())
    }

    fn on_decline(&mut self, decline: Decline, now: Moment) {
        let (checkpoint, task, reason) = (decline.checkpoint, &decline.task, &decline.reason);
        self.cluster.probe(
            self.attempt,
            &JobStep::Decline {
                checkpoint,
                task,
                reason,
            },
        );
        if decline.reason != FailureReason::CancelMarker && decline.reason != FailureReason::Subsumed {
            self.shared
                .on_checkpoint_failure(decline.checkpoint, &decline.reason, decline.cause.as_ref());
        }
        self.coordinator.lock().decline(decline, now, &mut self.actions);
    }

    fn on_outcome(&mut self, outcome: Outcome) -> Result<()> {
        let now = Moment::of(&*self.cluster.clock);
        match outcome {
            Outcome::Published(checkpoint, published) => {
                let manifest = self.publishing.get(&checkpoint);
                if let (Some(manifest), Ok(PublishOutcome::Published)) = (manifest, &published) {
                    self.newest = Newest::Completed(manifest.clone());
                }
                self.coordinator
                    .lock()
                    .on_published(checkpoint, published, now, &mut self.actions);
            }
            Outcome::Committed(checkpoint, committed) => {
                let error = committed
                    .as_ref()
                    .err()
                    .map(|error| error as &dyn std::fmt::Display);
                self.cluster
                    .probe(self.attempt, &JobStep::Committed { checkpoint, error });
                self.coordinator
                    .lock()
                    .on_committed(checkpoint, committed, now, &mut self.actions);
            }
            Outcome::Rebuilt(rebuilt) => self.on_rebuilt(rebuilt?),
            Outcome::Looked(wanted, outcome) => self.on_looked(wanted, outcome),
            Outcome::Found(source, found) => self.on_found(source, found)?,
            Outcome::SavepointPublished(checkpoint, outcome) => {
                self.coordinator
                    .lock()
                    .on_savepoint_published(checkpoint, outcome, now, &mut self.actions);
            }
        }
        Ok(())
    }

    /// What a checkpoint costs grows with the number of tasks, and it is not looked at after each of
    /// their acknowledgements.
    fn on_checkpoints_ended(&mut self) {
        if std::mem::take(&mut self.has_checkpoint_ended) {
            self.shared.on_statistics(&self.coordinator.statistics());
        }
    }

    /// Runs tasks that were built.
    fn adopt(&mut self, deployment: &Deployment, tasks: Vec<DeployedTask>) {
        for task in tasks {
            let running = RunningTask {
                attempt: deployment.attempt,
                is_source: task.is_source,
                control: task.control.clone(),
                counters: task.counters.clone(),
            };
            self.tasks.insert(task.id.clone(), running);
            self.running.insert(task.id.clone());
            spawn(deployment, task);
        }
        let counters = self.tasks.values().map(|task| task.counters.clone());
        self.shared.set_counters(counters.collect());
    }

    fn note_failure(&self, error: &Error, answer: FailureAnswer) {
        let at = self.cluster.clock.now();
        self.shared
            .failure(failure_of(&self.job, at, self.attempt, error, answer));
    }

    async fn stop(
        &mut self,
        is_cancelled: bool,
        reports: &mut mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
    ) {
        let now = Moment::of(&*self.cluster.clock);
        self.has_checkpoint_ended = true;
        match is_cancelled {
            true => self.coordinator.lock().cancel(now, &mut self.actions),
            false => self.coordinator.lock().stop(now, &mut self.actions),
        }
        self.on_checkpoints_ended();
        self.tell_all(TaskControl::Cancel);
        let running = &mut self.running;
        let all_ended = async {
            while !running.is_empty() {
                match reports.next().await {
                    Some((_, TaskReport::Ended(task, _))) => _ = running.remove(&task),
                    Some(_) => {}
                    None => break,
                }
            }
        };
        select(Box::pin(all_ended), self.cluster.executor.sleep(STOP_PATIENCE)).await;
        if !self.running.is_empty() {
            tracing::warn!(tasks = ?self.running, "tasks did not stop in time and are left behind");
        }
    }

    fn sleep_until(&self, deadline: Option<Duration>) -> futures::future::BoxFuture<'static, ()> {
        match deadline {
            Some(deadline) => {
                let left = deadline.saturating_sub(self.cluster.clock.monotonic());
                self.cluster.executor.sleep(left)
            }
            None => futures::future::pending().boxed(),
        }
    }
}

fn spawn(deployment: &Deployment, task: DeployedTask) {
    let (reports, attempt, id) = (deployment.reports.clone(), deployment.attempt, task.id);
    let run = std::panic::AssertUnwindSafe(task.run)
        .catch_unwind()
        .map(move |outcome| {
            let outcome = outcome.unwrap_or_else(|panic| Err(Error::panicked(&*panic)));
            let _ = reports.unbounded_send((attempt, TaskReport::Ended(id, outcome)));
        });
    deployment.executor.spawn(run.boxed());
}
