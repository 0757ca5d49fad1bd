//! What a task tells the job.

use crate::executor::Executor;
use crate::probe::{Probe, TaskStep};
use futures::FutureExt;
use futures::channel::mpsc;
use futures::future::{AbortHandle, abortable};
use snapline_barrier::{ChannelCut, TaskCut};
use snapline_coordinator::{Acknowledgement, CheckpointStore, Decline, FailureReason, SubtaskStatistics};
use snapline_core::{AttemptId, CheckpointId, Clock, Error, ErrorKind, Result, SubtaskId, SubtaskIndex};
use snapline_dataflow::{OperatorSnapshot, TaskCounters, TaskSnapshot};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
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
    /// It has ended.
    Ended(SubtaskId, Result<()>),
}

impl TaskReport {
    /// The task that it is of.
    pub(crate) fn task(&self) -> &SubtaskId {
        match self {
            Self::Acknowledge(ack) => &ack.task,
            Self::Decline(decline) => &decline.task,
            Self::EndOfData(task) | Self::Ended(task, _) => task,
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
    pub(crate) running: BTreeMap<CheckpointId, AbortHandle>,
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

    /// Notes how long the task was kept from its records.
    pub(crate) fn froze(&self, since: Duration) {
        let nanos = (self.clock.monotonic().saturating_sub(since)).as_nanos();
        self.counters.froze(u64::try_from(nanos).unwrap_or(u64::MAX));
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

    pub(crate) fn report(&self, report: TaskReport) {
        let _ = self.reports.unbounded_send((self.attempt, report));
    }

    /// Stores a snapshot away from the task, then acknowledges it.
    pub(crate) fn store(&mut self, snapshot: TaskSnapshot, channels: Vec<ChannelCut>) {
        let checkpoint = snapshot.barrier.checkpoint;
        let (task, attempt, leading) = (self.task.clone(), self.attempt, self.leading);
        let (store, reports) = (self.store.clone(), self.reports.clone());
        let probe = self.probe.clone();
        let stored = async move {
            let report = match persist_all(&store, leading, task.index, snapshot).await {
                Ok(operators) => TaskReport::Acknowledge(Acknowledgement {
                    task,
                    attempt: leading,
                    checkpoint,
                    operators,
                    cut: TaskCut {
                        clock: None,
                        channels,
                    },
                    statistics: SubtaskStatistics::default(),
                }),
                Err(error) => TaskReport::Decline(decline(task, leading, checkpoint, error)),
            };
            if let (Some(probe), TaskReport::Acknowledge(ack)) = (probe, &report) {
                probe.on_task(&ack.task, attempt, TaskStep::Acknowledge(checkpoint));
            }
            let _ = reports.unbounded_send((attempt, report));
        };
        let (stored, handle) = abortable(stored);
        self.running.insert(checkpoint, handle);
        self.executor.spawn_io(stored.map(|_| ()).boxed());
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
        if let Some(handle) = self.running.remove(&checkpoint) {
            handle.abort();
        }
    }

    /// A checkpoint is complete: nothing of it or an older one is running.
    pub(crate) fn on_complete(&mut self, checkpoint: CheckpointId) {
        self.running.retain(|running, _| *running > checkpoint);
    }
}

type Acknowledged = Vec<(
    snapline_core::OperatorUid,
    SubtaskIndex,
    snapline_state::SubtaskState,
)>;

async fn persist_all(
    store: &CheckpointStore,
    attempt: AttemptId,
    subtask: SubtaskIndex,
    snapshot: TaskSnapshot,
) -> Result<Acknowledged> {
    let checkpoint = snapshot.barrier.checkpoint;
    let parts = snapshot
        .operators
        .into_iter()
        .map(|part| persist(store, attempt, checkpoint, subtask, part));
    let stored = futures::future::try_join_all(parts).await?;
    Ok(stored.into_iter().flatten().collect())
}

async fn persist(
    store: &CheckpointStore,
    attempt: AttemptId,
    checkpoint: CheckpointId,
    subtask: SubtaskIndex,
    part: OperatorSnapshot,
) -> Result<
    Option<(
        snapline_core::OperatorUid,
        SubtaskIndex,
        snapline_state::SubtaskState,
    )>,
> {
    let Some(operator) = part.operator().cloned() else {
        return Ok(None);
    };
    let target = store.snapshot_target(attempt, checkpoint, &operator, subtask)?;
    let state = part.persist(&target).await?;
    Ok((!state.is_empty()).then_some((operator, subtask, state)))
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
