//! What others may know of a running job.

use crate::attempt::AttemptEnd;
use crate::observed::Observed;
use async_trait::async_trait;
use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use snapline_coordinator::{CheckpointHistory, CheckpointStatistics, FailureReason};
use snapline_core::{CheckpointId, Error, JobId, Result};
use snapline_dataflow::{
    CheckpointScope, JobControl, JobFailure, JobResult, JobState, JobStatus, SavepointInfo, SavepointRequest,
    TaskCounters,
};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many incidents are remembered.
const INCIDENTS: usize = 100;
/// How many failures are remembered.
const FAILURES: usize = 100;

/// The state of a job that its handle and its master share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    cancel: watch::Sender<bool>,
    /// Where requests go while an attempt runs.
    requests: watch::Sender<Option<mpsc::UnboundedSender<Request>>>,
    ended: watch::Sender<Option<Result<()>>>,
}

/// What somebody wants, and where the answer goes.
pub(crate) enum Request {
    Savepoint(SavepointRequest, oneshot::Sender<Result<SavepointInfo>>),
    Checkpoint(CheckpointScope, oneshot::Sender<Result<CheckpointId>>),
}

struct Inner {
    status: JobStatus,
    /// Of the tasks that run now.
    counters: Vec<Arc<TaskCounters>>,
    /// What earlier attempts have counted.
    earlier_records: u64,
    seen_completed: Option<CheckpointId>,
    /// Of the newest attempt.
    coordinator: Option<Observed>,
}

impl Shared {
    pub(crate) fn new(job: JobId) -> Self {
        let inner = Inner {
            status: JobStatus::starting(job),
            counters: Vec::new(),
            earlier_records: 0,
            seen_completed: None,
            coordinator: None,
        };
        Self {
            inner: Mutex::new(inner),
            cancel: watch::Sender::new(false),
            requests: watch::Sender::new(None),
            ended: watch::Sender::new(None),
        }
    }

    /// Requests go to a new attempt, which takes them from here.
    pub(crate) fn open_requests(&self) -> mpsc::UnboundedReceiver<Request> {
        let (sender, receiver) = mpsc::unbounded();
        self.requests.send_replace(Some(sender));
        receiver
    }

    /// Where requests go, as soon as the job runs; `None` when it has ended.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<Result<T>>) -> Request) -> Result<T> {
        let Some(open) = self.running().await else {
            return Err(Error::unavailable(
                "the job is not running, so it cannot take a savepoint or checkpoint",
            ));
        };
        let (reply, answer) = oneshot::channel();
        let _ = open.unbounded_send(request(reply));
        answer.await.unwrap_or_else(|_| {
            Err(Error::unavailable(
                "the job stopped or restarted before its savepoint or checkpoint was complete; ask again when it runs",
            ))
        })
    }

    async fn running(&self) -> Option<mpsc::UnboundedSender<Request>> {
        let (mut requests, mut ended) = (self.requests.subscribe(), self.ended.subscribe());
        let is_open = |open: &Option<mpsc::UnboundedSender<Request>>| {
            open.as_ref().is_some_and(|open| !open.is_closed())
        };
        let runs = Box::pin(async {
            requests
                .wait_for(is_open)
                .await
                .ok()
                .and_then(|open| open.clone())
        });
        let has_ended = Box::pin(ended.wait_for(Option::is_some));
        match select(has_ended, runs).await {
            Either::Left(_) => None,
            Either::Right((open, _)) => open,
        }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut JobStatus)) {
        change(&mut self.lock().status);
    }

    /// New tasks have started; what the old ones have counted is kept.
    pub(crate) fn set_counters(&self, counters: Vec<Arc<TaskCounters>>) {
        let mut inner = self.lock();
        inner.keep_counts();
        inner.counters = counters;
    }

    pub(crate) fn incident(&self, text: String) {
        let mut inner = self.lock();
        if inner.status.incidents.len() < INCIDENTS {
            inner.status.incidents.push(text);
        }
    }

    /// Keeps a failure, and forgets the oldest one when there are too many.
    pub(crate) fn failure(&self, failure: JobFailure) {
        let failures = &mut self.lock().status.failures;
        if failures.len() == FAILURES {
            failures.remove(0);
        }
        failures.push(failure);
    }

    pub(crate) fn on_checkpoint_failure(
        &self,
        checkpoint: CheckpointId,
        reason: &FailureReason,
        cause: Option<&Error>,
    ) {
        let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
        self.incident(format!("checkpoint {checkpoint} failed: {reason}{cause}"));
    }

    /// From now on this is the coordinator to ask.
    pub(crate) fn observe(&self, coordinator: Observed) {
        self.lock().coordinator = Some(coordinator);
    }

    /// What has become of the checkpoints of earlier attempts.
    pub(crate) fn history(&self) -> CheckpointHistory {
        let last = self.lock().coordinator.clone();
        last.map(|last| last.lock().history().clone()).unwrap_or_default()
    }

    /// Counts the checkpoints that have ended.
    pub(crate) fn on_statistics(&self, statistics: &CheckpointStatistics) {
        let mut inner = self.lock();
        let counts = &mut inner.status.checkpoints;
        let mut seen = None;
        if let Some(latest) = &statistics.latest {
            counts.latest = Some(latest.checkpoint);
            counts.latest_bytes = latest.written_bytes;
            counts.latest_duration = latest.duration;
            seen = Some((latest.checkpoint, latest.written_bytes, latest.duration));
        }
        if let Some((checkpoint, bytes, duration)) = seen
            && inner.seen_completed.is_none_or(|newest| newest < checkpoint)
        {
            inner.seen_completed = Some(checkpoint);
            let counts = &mut inner.status.checkpoints;
            counts.total_bytes += bytes;
            counts.total_duration += duration;
            counts.longest_duration = counts.longest_duration.max(duration);
            metrics::counter!("snapline_checkpoints_completed").increment(1);
            metrics::histogram!("snapline_checkpoint_seconds").record(duration.as_secs_f64());
            metrics::histogram!("snapline_checkpoint_bytes").record(bytes as f64);
        }
        inner.status.checkpoints.completed = statistics.completed;
        inner.status.checkpoints.failed = statistics.aborted;
    }

    /// An attempt has ended; what its tasks have counted is kept.
    pub(crate) fn on_attempt_end(&self) {
        let mut inner = self.lock();
        inner.keep_counts();
    }

    /// Ready when somebody has cancelled the job.
    pub(crate) async fn cancelled(&self) {
        let mut cancel = self.cancel.subscribe();
        let _ = cancel.wait_for(|cancelled| *cancelled).await;
    }

    /// The job has ended.
    pub(crate) fn end(&self, outcome: Result<AttemptEnd>) {
        let state = match &outcome {
            Ok(AttemptEnd::Finished) => JobState::Finished,
            Ok(AttemptEnd::Suspended) => JobState::Suspended,
            Err(error) if error.kind() == snapline_core::ErrorKind::Cancelled => JobState::Cancelled,
            Err(_) => JobState::Failed,
        };
        self.change(|status| status.state = state);
        self.ended.send_replace(Some(outcome.map(|_| ())));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn keep_counts(&mut self) {
        self.earlier_records += sum(&self.counters, |counters| {
            counters.records.load(Ordering::Relaxed)
        });
        self.status.longest_freeze = self.longest_freeze();
        self.counters.clear();
    }

    fn longest_freeze(&self) -> Duration {
        let longest = self
            .counters
            .iter()
            .map(|counters| counters.longest_freeze_nanos.load(Ordering::Relaxed))
            .max();
        self.status
            .longest_freeze
            .max(Duration::from_nanos(longest.unwrap_or(0)))
    }

    fn progress(&self) -> Option<(u64, u64)> {
        let total = sum(&self.counters, |counters| counters.total.load(Ordering::Relaxed));
        (total > 0).then(|| {
            (
                sum(&self.counters, |counters| counters.done.load(Ordering::Relaxed)),
                total,
            )
        })
    }
}

fn sum(counters: &[Arc<TaskCounters>], value: impl Fn(&TaskCounters) -> u64) -> u64 {
    counters.iter().map(|counters| value(counters)).sum()
}

#[async_trait]
impl JobControl for Shared {
    fn status(&self) -> JobStatus {
        let inner = self.lock();
        let mut status = inner.status.clone();
        status.records = inner.earlier_records
            + sum(&inner.counters, |counters| {
                counters.records.load(Ordering::Relaxed)
            });
        status.longest_freeze = inner.longest_freeze();
        status.progress = inner.progress().or(status.progress);
        status
    }

    fn checkpoints(&self) -> CheckpointStatistics {
        let coordinator = self.lock().coordinator.clone();
        coordinator.map_or_else(CheckpointStatistics::default, |coordinator| {
            coordinator.statistics()
        })
    }

    fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    async fn checkpoint(&self, scope: CheckpointScope) -> Result<CheckpointId> {
        self.ask(|reply| Request::Checkpoint(scope, reply)).await
    }

    async fn savepoint(&self, request: SavepointRequest) -> Result<SavepointInfo> {
        self.ask(|reply| Request::Savepoint(request, reply)).await
    }

    async fn wait(&self) -> Result<JobResult> {
        let mut ended = self.ended.subscribe();
        let outcome = match ended.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        match outcome {
            Some(Ok(())) => Ok(JobResult::new(self.status())),
            Some(Err(error)) => Err(error),
            None => Err(Error::cancelled("the cluster was dropped before the job ended")),
        }
    }
}
