//! What a task tells the job.

mod persist;

use crate::executor::Executor;
use crate::probe::{Probe, TaskStep};
use crate::storing::Storing;
use futures::channel::{mpsc, oneshot};
use futures::future::{AbortHandle, BoxFuture, abortable};
use futures::{FutureExt, StreamExt};
use persist::{Stored, persist_all, persist_channels};
use snapline_barrier::TaskCut;
use snapline_coordinator::{Acknowledgement, CheckpointStore, Decline, FailureReason, SubtaskStatistics};
use snapline_core::{AttemptId, CheckpointId, Clock, Error, ErrorKind, Result, SubtaskId};
use snapline_dataflow::{TaskCounters, TaskSnapshot};
use snapline_state::ChannelState;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Something that happened in a task.
#[derive(Debug)]
pub(crate) enum TaskReport {
    /// Its part of a checkpoint is stored.
    Acknowledge(Acknowledgement),
    /// It does not take part in a checkpoint.
    Decline(Decline),
    /// All records of its inputs are processed.
    EndOfData(SubtaskId),
    /// All records that will ever come into its loop from outside have come.
    LoopInputEnded(SubtaskId),
    /// It has ended.
    Ended(SubtaskId, Result<()>),
}

impl TaskReport {
    /// The task that it is of.
    pub(crate) fn task(&self) -> &SubtaskId {
        match self {
            Self::Acknowledge(ack) => &ack.task,
            Self::Decline(decline) => &decline.task,
            Self::EndOfData(task) | Self::LoopInputEnded(task) | Self::Ended(task, _) => task,
        }
    }
}

/// Stores the snapshots of a task beside it and reports to the job.
pub(crate) struct Reporter {
    pub(crate) task: SubtaskId,
    pub(crate) attempt: AttemptId,
    /// The attempt that leads the job and whose checkpoints these are; regions that restarted alone
    /// have a newer one of their own.
    pub(crate) leading: AttemptId,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
    pub(crate) store: Arc<CheckpointStore>,
    pub(crate) counters: Arc<TaskCounters>,
    pub(crate) reports: mpsc::UnboundedSender<(AttemptId, TaskReport)>,
    pub(crate) storing: Storing,
    /// Snapshots that are not complete yet, being stored.
    pub(crate) begun: BTreeMap<CheckpointId, oneshot::Receiver<Result<Stored>>>,
    /// What gives up the work for a checkpoint.
    pub(crate) running: BTreeMap<CheckpointId, Vec<AbortHandle>>,
    pub(crate) work: Work,
}

/// Knows whether any work for checkpoints is left. Whoever does some has a sender, which is never used.
pub(crate) struct Work {
    sender: Option<mpsc::Sender<Infallible>>,
    receiver: mpsc::Receiver<Infallible>,
}

impl Default for Work {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(0);
        let sender = Some(sender);
        Self { sender, receiver }
    }
}

/// What a task knows of its part of a checkpoint when all barriers are in.
#[derive(Debug)]
pub(crate) struct Completed {
    /// Where it stood.
    pub(crate) cut: TaskCut,
    /// What was in flight towards it.
    pub(crate) channels: Result<ChannelState>,
    /// What taking part has cost so far.
    pub(crate) statistics: SubtaskStatistics,
    /// When it went on after the freeze.
    pub(crate) frozen: Duration,
}

impl Reporter {
    /// The time since some fixed point.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Tells the probe, if there is one, of a step.
    pub(crate) fn probe(&self, step: TaskStep) {
        if let Some(probe) = &self.probe {
            probe.on_task(&self.task, self.attempt, step);
        }
    }

    /// Notes how long the task was kept from its records, and returns the time.
    pub(crate) fn froze(&self, since: Duration) -> Duration {
        let now = self.clock.monotonic();
        let nanos = now.saturating_sub(since).as_nanos();
        self.counters.froze(u64::try_from(nanos).unwrap_or(u64::MAX));
        now
    }

    /// Logs that a snapshot failed while it was drained. The coordinator learns of it from the
    /// snapshot itself.
    pub(crate) fn note(&self, advanced: Poll<Result<()>>) {
        if let Poll::Ready(Err(error)) = advanced {
            tracing::warn!(task = %self.task, %error, "a snapshot failed");
        }
    }

    pub(crate) fn end_of_data(&self) {
        self.report(TaskReport::EndOfData(self.task.clone()));
    }

    /// Tells the job that no record will come into the loop at this task from outside.
    pub(crate) fn loop_input_ended(&self) {
        self.report(TaskReport::LoopInputEnded(self.task.clone()));
    }

    pub(crate) fn report(&self, report: TaskReport) {
        let _ = self.reports.unbounded_send((self.attempt, report));
    }

    /// Begins to store a snapshot away from the task. It is acknowledged when it is
    /// [completed](Reporter::complete).
    pub(crate) fn begin(&mut self, snapshot: TaskSnapshot) {
        let checkpoint = snapshot.barrier.checkpoint;
        let (sender, stored) = oneshot::channel();
        let (store, leading, subtask) = (self.store.clone(), self.leading, self.task.index);
        let work = async move {
            let stored = caught(persist_all(&store, leading, subtask, snapshot)).await;
            let _ = sender.send(stored);
        };
        self.run(checkpoint, work);
        self.begun.insert(checkpoint, stored);
    }

    /// Acknowledges a checkpoint as soon as its snapshot, which was begun before, and its channel state
    /// are stored.
    pub(crate) fn complete(&mut self, checkpoint: CheckpointId, completed: Completed) {
        if let Some(stored) = self.begun.remove(&checkpoint) {
            let stored = stored.map(|stored| match stored {
                Ok(stored) => stored,
                Err(_) => Err(Error::cancelled("the checkpoint was given up")),
            });
            self.acknowledge_when(checkpoint, stored, completed);
        }
    }

    /// Stores a snapshot that is complete away from the task, then acknowledges it.
    pub(crate) fn store(&mut self, snapshot: TaskSnapshot, completed: Completed) {
        let checkpoint = snapshot.barrier.checkpoint;
        let (store, leading, subtask) = (self.store.clone(), self.leading, self.task.index);
        let stored = async move { persist_all(&store, leading, subtask, snapshot).await };
        self.acknowledge_when(checkpoint, stored, completed);
    }

    fn acknowledge_when(
        &mut self,
        checkpoint: CheckpointId,
        stored: impl Future<Output = Result<Stored>> + Send + 'static,
        completed: Completed,
    ) {
        let (task, attempt, leading) = (self.task.clone(), self.attempt, self.leading);
        let clock = self.clock.clone();
        let (store, reports, probe) = (self.store.clone(), self.reports.clone(), self.probe.clone());
        let Completed {
            cut,
            channels,
            mut statistics,
            frozen,
        } = completed;
        let acknowledged = async move {
            let stored = async {
                let mut stored = stored.await?;
                statistics.state_bytes = stored.iter().map(|(.., state)| state.len()).sum();
                statistics.in_flight_bytes =
                    persist_channels(&store, leading, checkpoint, &task, &channels?, &mut stored).await?;
                statistics.asynchronous = clock.monotonic().saturating_sub(frozen);
                Ok((stored, statistics))
            };
            let report = match caught(stored).await {
                Ok((operators, statistics)) => TaskReport::Acknowledge(Acknowledgement {
                    task,
                    attempt: leading,
                    checkpoint,
                    operators,
                    cut,
                    statistics,
                }),
                Err(error) => TaskReport::Decline(decline(task, leading, checkpoint, error)),
            };
            if let (Some(probe), TaskReport::Acknowledge(ack)) = (probe, &report) {
                probe.on_task(&ack.task, attempt, TaskStep::Acknowledge(checkpoint));
            }
            let _ = reports.unbounded_send((attempt, report));
        };
        self.run(checkpoint, acknowledged);
    }

    /// Runs work for a checkpoint until it is given up.
    fn run(&mut self, checkpoint: CheckpointId, work: impl Future<Output = ()> + Send + 'static) {
        let sender = self.work.sender.clone();
        let (work, handle) = abortable(work.map(|()| drop(sender)));
        self.running.entry(checkpoint).or_default().push(handle);
        let work = work.map(|_| ()).boxed();
        match self.storing.turn() {
            Some(turn) => self.executor.spawn_io(work.map(|()| drop(turn)).boxed()),
            None => self.executor.spawn(self.in_turn(work).boxed()),
        }
    }

    /// Waits until others have stored theirs.
    fn in_turn(&self, work: BoxFuture<'static, ()>) -> impl Future<Output = ()> + use<> {
        let (executor, next) = (self.executor.clone(), self.storing.next_turn());
        async move {
            let turn = next.await;
            executor.spawn_io(work.map(|()| drop(turn)).boxed());
        }
    }

    /// Ready when all that the task has snapshotted is acknowledged or given up. It snapshots nothing
    /// any more: whoever hears of its end knows that no acknowledgement comes after it.
    pub(crate) fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.work.sender = None;
        self.work.receiver.poll_next_unpin(cx).map(|_| ())
    }

    pub(crate) fn declined(&self, checkpoint: CheckpointId, reason: FailureReason) {
        let (task, attempt) = (self.task.clone(), self.leading);
        self.report(TaskReport::Decline(Decline {
            task,
            attempt,
            checkpoint,
            reason,
            cause: None,
        }));
    }

    /// A checkpoint was given up: its snapshot need not be stored.
    pub(crate) fn on_abort(&mut self, checkpoint: CheckpointId) {
        self.begun.remove(&checkpoint);
        let running = self.running.remove(&checkpoint).unwrap_or_default();
        running.iter().for_each(AbortHandle::abort);
    }

    /// A checkpoint is complete: nothing of it or an older one is running.
    pub(crate) fn on_complete(&mut self, checkpoint: CheckpointId) {
        self.begun.retain(|begun, _| *begun > checkpoint);
        self.running.retain(|running, _| *running > checkpoint);
    }
}

/// A panic of user code that stores state is an error like any other.
async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(Error::panicked(&*panic)))
}

fn decline(task: SubtaskId, attempt: AttemptId, checkpoint: CheckpointId, cause: Error) -> Decline {
    let reason = match cause.kind() {
        ErrorKind::Unavailable => FailureReason::StorageFailed,
        _ => FailureReason::SnapshotFailed,
    };
    Decline {
        task,
        attempt,
        checkpoint,
        reason,
        cause: Some(cause),
    }
}
