//! One attempt of a job: from the restored checkpoint until its end or its first failure.

mod act;
mod commit;
mod start;

pub(crate) use start::Start;

use crate::cluster::ClusterParts;
use crate::deploy::{DeployedTask, Deployment, panicked};
use crate::probe::JobStep;
use crate::status::Shared;
use crate::task::{TaskControl, TaskReport};
use commit::Committers;
use futures::channel::mpsc;
use futures::future::select;
use futures::{FutureExt, StreamExt};
use snapline_coordinator::{
    CheckpointCoordinator, CheckpointStore, CoordinatorAction, Decline, FailureReason, Moment, PublishOutcome,
};
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, Error, Result, SubtaskId};
use snapline_dataflow::{JobGraph, JobState};
use std::collections::BTreeSet;
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

/// One attempt while it runs.
pub(crate) struct Attempt {
    cluster: ClusterParts,
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
                let error = committed
                    .as_ref()
                    .err()
                    .map(|error| error as &dyn std::fmt::Display);
                self.cluster
                    .probe(self.attempt, &JobStep::Committed { checkpoint, error });
                self.coordinator
                    .on_committed(checkpoint, committed, now, &mut self.actions);
            }
        }
        self.on_statistics();
    }

    fn on_statistics(&self) {
        let now = Moment::of(&*self.cluster.clock);
        self.shared.on_statistics(&self.coordinator.statistics(now));
    }

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

impl Shared {
    fn on_running(&self, counters: Vec<Arc<snapline_dataflow::TaskCounters>>) {
        self.set_counters(counters);
        self.change(|status| status.state = JobState::Running);
    }
}
