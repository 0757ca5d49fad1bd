//! One attempt of a job: from the restored checkpoint until its end or its first failure.

use crate::cluster::Cluster;
use crate::deploy::{DeployedTask, Deployment, panicked};
use crate::restore::{check_fits, states_of_all};
use crate::status::Shared;
use crate::task::{TaskControl, TaskReport};
use futures::channel::mpsc;
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use snapline_coordinator::{
    CheckpointCoordinator, CheckpointStore, CoordinatorAction, CoordinatorContext, Decline, FailureReason,
    Manifest, Moment, OperatorPlan, PublishOutcome, Restored, SubtaskCommit,
};
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, Error, OperatorUid, Result, SubtaskId};
use snapline_dataflow::{ErasedCommitter, JobGraph, JobState, NodeFactory};
use snapline_state::Committable;
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
}

type Committers = BTreeMap<OperatorUid, Box<dyn ErasedCommitter>>;

/// One attempt while it runs.
pub(crate) struct Attempt {
    cluster: Cluster,
    job: Arc<JobGraph>,
    attempt: AttemptId,
    store: Arc<CheckpointStore>,
    shared: Arc<Shared>,
    committers: Arc<tokio::sync::Mutex<Committers>>,
    coordinator: CheckpointCoordinator,
    tasks: Vec<(SubtaskId, bool, mpsc::UnboundedSender<TaskControl>)>,
    with_data: usize,
    running: BTreeSet<SubtaskId>,
    outcomes: mpsc::UnboundedSender<Outcome>,
    is_finishing: bool,
    actions: Vec<CoordinatorAction>,
}

/// What an attempt is started with.
pub(crate) struct Start {
    pub(crate) cluster: Cluster,
    pub(crate) job: Arc<JobGraph>,
    pub(crate) attempt: AttemptId,
    pub(crate) store: Arc<CheckpointStore>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) restored: Restored,
}

/// An attempt whose tasks are built.
struct Prepared {
    attempt: Attempt,
    deployment: Deployment,
    tasks: Vec<DeployedTask>,
    reports: mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
}

impl Start {
    /// Runs the attempt to its end.
    ///
    /// # Errors
    /// What made it fail; `Cancelled` when it was cancelled.
    pub(crate) async fn run(self) -> Result<()> {
        let shared = self.shared.clone();
        let prepared = match select(Box::pin(shared.cancelled()), self.prepare().boxed()).await {
            Either::Left(_) => return Err(Error::cancelled("the job was cancelled")),
            Either::Right((prepared, _)) => prepared?,
        };
        match prepared {
            Some(prepared) => {
                let Prepared {
                    attempt,
                    deployment,
                    tasks,
                    reports,
                    outcomes,
                } = prepared;
                attempt.run(deployment, tasks, reports, outcomes).await
            }
            None => Ok(()),
        }
    }

    /// Everything before the first task runs; `None` when the job had ended already.
    async fn prepare(&self) -> Result<Option<Prepared>> {
        if let Some(manifest) = &self.restored.manifest {
            check_fits(&self.job, manifest)?;
        }
        let committers = self.recover_sinks().await?;
        let has_ended = |manifest: &Manifest| manifest.finished;
        if self.restored.manifest.as_ref().is_some_and(has_ended) {
            return Ok(None);
        }
        let (sender, reports) = mpsc::unbounded();
        let deployment = Deployment {
            job: self.job.clone(),
            attempt: self.attempt,
            executor: self.cluster.executor.clone(),
            clock: self.cluster.clock.clone(),
            store: self.store.clone(),
            reports: sender,
        };
        let states = states_of_all(&self.job, self.restored.manifest.as_ref())
            .boxed()
            .await?;
        let tasks = deployment.build(states).await?;
        let (attempt, outcomes) = self.attempt(committers, &tasks);
        Ok(Some(Prepared {
            attempt,
            deployment,
            tasks,
            reports,
            outcomes,
        }))
    }

    /// Commits what the restored checkpoint has promised, then lets each sink clean up: before
    /// anything else runs.
    async fn recover_sinks(&self) -> Result<Committers> {
        let mut committers = Committers::new();
        for node in &self.job.nodes {
            if let NodeFactory::Sink(sink) = &node.node.factory {
                let committer = sink.committer(&self.job.job, &node.uid, self.attempt);
                let committer = committer.map_err(|error| error.with("operator", &node.node.name))?;
                committers.insert(node.uid.clone(), committer);
            }
        }
        let commits = self.restored.unfinished_commits();
        let newest = commits.iter().map(|commit| commit.checkpoint).max();
        commit_all(&mut committers, &commits).await?;
        if let Some(newest) = newest {
            self.store.mark_committed(newest).await?;
        }
        for (uid, committer) in &mut committers {
            let recovered = committer.recover(self.restored.checkpoint()).await;
            recovered.map_err(|error| error.with("operator", uid))?;
        }
        Ok(committers)
    }

    fn attempt(
        &self,
        committers: Committers,
        tasks: &[DeployedTask],
    ) -> (Attempt, mpsc::UnboundedReceiver<Outcome>) {
        let plan = |node: &snapline_dataflow::JobNode| OperatorPlan {
            uid: node.uid.clone(),
            name: node.node.name.clone(),
            parallelism: node.parallelism,
        };
        let context = CoordinatorContext {
            job: self.job.job.clone(),
            attempt: self.attempt,
            max_parallelism: self.job.max_parallelism,
            settings: self.job.settings.checkpoints.clone(),
            tasks: tasks.iter().map(|task| task.id.clone()).collect(),
            operators: self.job.nodes.iter().map(plan).collect(),
            last_used: self.restored.last_used,
            latest_completed: self.restored.checkpoint(),
        };
        let (sender, outcomes) = mpsc::unbounded();
        let attempt = Attempt {
            coordinator: CheckpointCoordinator::new(context, Moment::of(&*self.cluster.clock)),
            cluster: self.cluster.clone(),
            job: self.job.clone(),
            attempt: self.attempt,
            store: self.store.clone(),
            shared: self.shared.clone(),
            committers: Arc::new(tokio::sync::Mutex::new(committers)),
            tasks: tasks
                .iter()
                .map(|task| (task.id.clone(), task.is_source, task.control.clone()))
                .collect(),
            with_data: tasks.len(),
            running: tasks.iter().map(|task| task.id.clone()).collect(),
            outcomes: sender,
            is_finishing: false,
            actions: Vec::new(),
        };
        (attempt, outcomes)
    }
}

impl Attempt {
    async fn run(
        mut self,
        deployment: Deployment,
        tasks: Vec<DeployedTask>,
        mut reports: mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
        mut outcomes: mpsc::UnboundedReceiver<Outcome>,
    ) -> Result<()> {
        self.shared
            .on_running(tasks.iter().map(|task| task.counters.clone()).collect());
        tasks.into_iter().for_each(|task| spawn(&deployment, task));
        drop(deployment);
        let ended = self.watch(&mut reports, &mut outcomes).await;
        if ended.is_err() {
            self.stop(&mut reports).await;
        }
        ended
    }

    /// Takes what happens until all tasks have ended or one has failed.
    async fn watch(
        &mut self,
        reports: &mut mpsc::UnboundedReceiver<(AttemptId, TaskReport)>,
        outcomes: &mut mpsc::UnboundedReceiver<Outcome>,
    ) -> Result<()> {
        let shared = self.shared.clone();
        loop {
            let deadline = self.sleep_until(self.coordinator.next_deadline());
            futures::pin_mut!(deadline);
            let cancelled = shared.cancelled();
            futures::pin_mut!(cancelled);
            futures::select_biased! {
                () = cancelled.fuse() => return Err(Error::cancelled("the job was cancelled")),
                report = reports.next() => {
                    if let Some((attempt, report)) = report
                        && attempt == self.attempt
                    {
                        self.on_report(report)?;
                    }
                }
                outcome = outcomes.next() => {
                    if let Some(outcome) = outcome {
                        self.on_outcome(outcome);
                    }
                }
                () = deadline.fuse() => self.coordinator.on_time(Moment::of(&*self.cluster.clock), &mut self.actions),
            }
            self.carry_out()?;
            if self.running.is_empty() {
                return Ok(());
            }
        }
    }

    fn on_report(&mut self, report: TaskReport) -> Result<()> {
        let now = Moment::of(&*self.cluster.clock);
        match report {
            TaskReport::Acknowledge(ack) => self.coordinator.acknowledge(ack, now, &mut self.actions),
            TaskReport::Decline(decline) => self.on_decline(decline, now),
            TaskReport::EndOfData => {
                self.with_data -= 1;
                if self.with_data == 0 {
                    self.coordinator
                        .trigger(CheckpointKind::Final, now, &mut self.actions)?;
                }
            }
            TaskReport::Ended(task, outcome) => {
                self.running.remove(&task);
                outcome.map_err(|error| error.with("task", &task).with("attempt", self.attempt))?;
                if !self.is_finishing {
                    return Err(Error::internal("a task ended before the job").with("task", task));
                }
            }
        }
        Ok(())
    }

    fn on_decline(&mut self, decline: Decline, now: Moment) {
        if decline.reason != FailureReason::CancelMarker && decline.reason != FailureReason::Subsumed {
            self.shared
                .on_checkpoint_failure(decline.checkpoint, &decline.reason, decline.cause.as_ref());
        }
        self.coordinator.decline(decline, now, &mut self.actions);
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        let now = Moment::of(&*self.cluster.clock);
        match outcome {
            Outcome::Published(checkpoint, published) => {
                self.coordinator
                    .on_published(checkpoint, published, now, &mut self.actions);
            }
            Outcome::Committed(checkpoint, committed) => {
                self.coordinator
                    .on_committed(checkpoint, committed, now, &mut self.actions);
            }
        }
        self.shared.on_statistics(&self.coordinator.statistics());
    }

    fn carry_out(&mut self) -> Result<()> {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                CoordinatorAction::TriggerSources(barrier) => {
                    self.tell_sources(TaskControl::Trigger(barrier))
                }
                CoordinatorAction::Publish(manifest) => self.publish(manifest),
                CoordinatorAction::NotifyComplete { checkpoint } => {
                    self.tell_all(TaskControl::Complete(checkpoint))
                }
                CoordinatorAction::NotifyAborted { checkpoint, .. } => {
                    self.tell_all(TaskControl::Abort(checkpoint));
                    self.shared.on_statistics(&self.coordinator.statistics());
                }
                CoordinatorAction::Commit { checkpoint, commits } => self.commit(checkpoint, commits),
                CoordinatorAction::Discard(handles) => {
                    let store = self.store.clone();
                    self.in_background(async move { store.discard(&handles).await });
                }
                CoordinatorAction::CollectGarbage => {
                    let store = self.store.clone();
                    let retained = self
                        .job
                        .settings
                        .checkpoints
                        .as_ref()
                        .map_or(1, |settings| settings.retained);
                    self.in_background(async move { store.collect_garbage(retained).await.map(|_| ()) });
                }
                CoordinatorAction::FailJob(error) => return Err(error),
            }
        }
        self.actions = actions;
        if self.coordinator.is_finished() && !self.is_finishing {
            self.is_finishing = true;
            self.tell_sources(TaskControl::Finish);
        }
        Ok(())
    }

    fn publish(&self, manifest: Arc<Manifest>) {
        let (store, outcomes) = (self.store.clone(), self.outcomes.clone());
        let checkpoint = manifest.checkpoint;
        let publish = self.bounded(async move { store.publish(&manifest).await });
        let publish = publish.map(move |outcome| {
            let _ = outcomes.unbounded_send(Outcome::Published(checkpoint, outcome));
        });
        self.cluster.executor.spawn_io(publish.boxed());
    }

    fn commit(&self, checkpoint: CheckpointId, commits: Arc<[SubtaskCommit]>) {
        let (store, outcomes, committers) =
            (self.store.clone(), self.outcomes.clone(), self.committers.clone());
        let commit = self.bounded(async move {
            commit_all(&mut *committers.lock().await, &commits).await?;
            store.mark_committed(checkpoint).await
        });
        let commit = commit.map(move |outcome| {
            let _ = outcomes.unbounded_send(Outcome::Committed(checkpoint, outcome));
        });
        self.cluster.executor.spawn_io(commit.boxed());
    }

    /// Gives up waiting after the checkpoint timeout; the outcome is then unknown.
    fn bounded<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> impl Future<Output = Result<T>> + Send + 'static {
        let settings = self.job.settings.checkpoints.clone().unwrap_or_default();
        let patience = self
            .cluster
            .executor
            .sleep(Duration::from_millis(settings.timeout_ms));
        async move {
            match select(Box::pin(work), patience).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(((), _)) => Err(Error::unavailable("no answer within the checkpoint timeout")),
            }
        }
    }

    fn in_background(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let work = work.map(|outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%error, "old checkpoints could not be cleaned up; it will be tried again");
            }
        });
        self.cluster.executor.spawn_io(work.boxed());
    }

    fn tell_all(&self, message: TaskControl) {
        self.tasks
            .iter()
            .for_each(|(_, _, control)| _ = control.unbounded_send(message));
    }

    fn tell_sources(&self, message: TaskControl) {
        let sources = self.tasks.iter().filter(|(_, is_source, _)| *is_source);
        sources.for_each(|(_, _, control)| _ = control.unbounded_send(message));
    }

    /// Stops all tasks and waits for them, but not for ever.
    async fn stop(&mut self, reports: &mut mpsc::UnboundedReceiver<(AttemptId, TaskReport)>) {
        self.coordinator
            .stop(Moment::of(&*self.cluster.clock), &mut self.actions);
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
            let outcome = outcome.unwrap_or_else(|panic| Err(panicked(&*panic)));
            let _ = reports.unbounded_send((attempt, TaskReport::Ended(id, outcome)));
        });
    deployment.executor.spawn(run.boxed());
}

/// Commits in order: a checkpoint completely before the next.
async fn commit_all(committers: &mut Committers, commits: &[SubtaskCommit]) -> Result<()> {
    let mut by_checkpoint: BTreeMap<(CheckpointId, OperatorUid), Vec<Committable>> = BTreeMap::new();
    for commit in commits {
        let of_sink = by_checkpoint
            .entry((commit.checkpoint, commit.operator.clone()))
            .or_default();
        of_sink.extend(commit.committables.iter().cloned());
    }
    for ((checkpoint, operator), committables) in by_checkpoint {
        let Some(committer) = committers.get_mut(&operator) else {
            tracing::warn!(%operator, %checkpoint, "a sink that no longer exists had output to commit; it is dropped");
            continue;
        };
        let committed = committer.commit(committables).await;
        committed.map_err(|error| error.with("operator", operator).with("checkpoint", checkpoint))?;
    }
    Ok(())
}

impl Shared {
    fn on_running(&self, counters: Vec<Arc<snapline_dataflow::TaskCounters>>) {
        self.set_counters(counters);
        self.change(|status| status.state = JobState::Running);
    }
}
