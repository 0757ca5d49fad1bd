//! A checkpoint that is not complete yet.

use crate::acknowledgement::Acknowledgement;
use crate::manifest::{Manifest, SubtaskCut};
use crate::request::RequestId;
use crate::retry::Retry;
use crate::statistics::SubtaskReport;
use crate::tasks::Tasks;
use snapline_barrier::TaskCut;
use snapline_core::{
    CheckpointBarrier, CheckpointId, CheckpointKind, Error, OperatorUid, SubtaskId, SubtaskIndex,
};
use snapline_state::{StateHandle, SubtaskState};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Collects acknowledgements, then waits for its manifest to be published.
#[derive(Debug, Clone)]
pub(crate) struct PendingCheckpoint {
    pub(crate) barrier: CheckpointBarrier,
    /// Who has asked for it.
    pub(crate) request: Option<RequestId>,
    pub(crate) started: Duration,
    /// When it expires, or, while it is published, when it counts as stalled.
    pub(crate) deadline: Duration,
    pub(crate) collected: Collected,
    pub(crate) phase: Phase,
}

/// How far a checkpoint is.
///
/// A checkpoint goes from `Collecting` over `Waiting` to `Publishing`. A savepoint goes from
/// `Collecting` to `Storing`, and is complete unless the job stops with it: then it goes on to
/// `Waiting` and `Publishing`.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Not all have acknowledged.
    Collecting,
    /// The manifest of a savepoint is on its way into its target.
    Storing(Claim),
    /// It is another one's turn to be published. The manifest is that of a savepoint which is stored.
    Waiting(Option<Arc<Manifest>>),
    /// The claim of its epoch is under way.
    Publishing(Claim, Option<Arc<Manifest>>),
}

/// What has been acknowledged.
#[derive(Debug, Clone, Default)]
pub(crate) struct Collected {
    missing: BTreeSet<SubtaskId>,
    /// Tasks that had nothing left to acknowledge.
    pub(crate) finished: BTreeSet<SubtaskId>,
    pub(crate) operators: Vec<(OperatorUid, SubtaskIndex, SubtaskState)>,
    pub(crate) cuts: Vec<SubtaskCut>,
    pub(crate) reports: Vec<SubtaskReport>,
    /// When the last one was there, from the start.
    pub(crate) until_acknowledged: Duration,
}

/// A write that makes a manifest count, until its outcome is known.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) retry: Retry,
    /// An earlier try may have succeeded.
    pub(crate) outcome_unknown: bool,
}

impl Claim {
    pub(crate) fn new(manifest: Arc<Manifest>) -> Self {
        Self {
            manifest,
            retry: Retry::default(),
            outcome_unknown: false,
        }
    }

    pub(crate) fn try_again(&mut self, now: Duration, error: &Error) {
        let checkpoint = self.manifest.checkpoint;
        tracing::warn!(%checkpoint, %error, "the checkpoint could not be published; trying again");
        self.retry.on_failure(now);
    }
}

/// What became of an acknowledgement.
#[derive(Debug)]
#[must_use]
pub(crate) enum Counted {
    /// It was the last one.
    Last,
    /// It counts, but others are missing, or it was there already.
    Waiting,
    /// There is no such task.
    UnknownTask(Box<Acknowledgement>),
}

impl PendingCheckpoint {
    pub(crate) fn new(
        barrier: CheckpointBarrier,
        request: Option<RequestId>,
        tasks: &Tasks,
        now: Duration,
        timeout: Duration,
    ) -> Self {
        Self {
            barrier,
            request,
            started: now,
            deadline: now.saturating_add(timeout),
            collected: Collected {
                missing: tasks.required(),
                finished: tasks.finished().clone(),
                reports: tasks.finished().iter().map(SubtaskReport::finished).collect(),
                ..Collected::default()
            },
            phase: Phase::Collecting,
        }
    }

    pub(crate) fn id(&self) -> CheckpointId {
        self.barrier.checkpoint
    }

    pub(crate) fn kind(&self) -> CheckpointKind {
        self.barrier.options.kind
    }

    pub(crate) fn is_collecting(&self) -> bool {
        matches!(self.phase, Phase::Collecting)
    }

    /// Whether nothing was claimed for it, so that it can be given up for sure.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Collecting | Phase::Waiting(_))
    }

    pub(crate) fn is_all_there(&self) -> bool {
        self.collected.missing.is_empty()
    }

    /// The tasks that have not acknowledged.
    pub(crate) fn missing(&self) -> &BTreeSet<SubtaskId> {
        &self.collected.missing
    }

    /// Counts each of the tasks once.
    pub(crate) fn acknowledge(&mut self, ack: Acknowledgement, tasks: &Tasks, now: Duration) -> Counted {
        if !tasks.contains(&ack.task) {
            return Counted::UnknownTask(Box::new(ack));
        }
        let since = now.saturating_sub(self.started);
        if !self.is_collecting() || !self.collected.missing.remove(&ack.task) {
            return Counted::Waiting;
        }
        self.collected.reports.push(SubtaskReport {
            task: ack.task.clone(),
            acknowledged: Some(since),
            statistics: ack.statistics,
        });
        self.collected.operators.extend(ack.operators);
        if ack.cut != TaskCut::default() {
            let (task, cut) = (ack.task, ack.cut);
            self.collected.cuts.push(SubtaskCut { task, cut });
        }
        self.counted()
    }

    /// A task that has finished stands as acknowledged: everything it has ever done is in this
    /// checkpoint, because the end of its outputs stands in for its barrier.
    pub(crate) fn finish(&mut self, task: &SubtaskId) -> Counted {
        if !self.is_collecting() || !self.collected.missing.remove(task) {
            return Counted::Waiting;
        }
        self.collected.finished.insert(task.clone());
        self.collected.reports.push(SubtaskReport::finished(task));
        self.counted()
    }

    fn counted(&self) -> Counted {
        match self.is_all_there() {
            true => Counted::Last,
            false => Counted::Waiting,
        }
    }

    /// All state that was acknowledged.
    pub(crate) fn handles(&self) -> Vec<StateHandle> {
        let states = self.collected.operators.iter().map(|(_, _, state)| state);
        states.flat_map(SubtaskState::handles).cloned().collect()
    }

    /// When something is to be done about it.
    pub(crate) fn next_deadline(&self) -> Duration {
        match &self.phase {
            Phase::Storing(claim) | Phase::Publishing(claim, _) => claim
                .retry
                .deadline()
                .map_or(self.deadline, |retry| retry.min(self.deadline)),
            Phase::Collecting | Phase::Waiting(_) => self.deadline,
        }
    }
}
