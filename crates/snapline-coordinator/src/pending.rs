//! A checkpoint that is not complete yet.

use crate::acknowledgement::Acknowledgement;
use crate::manifest::{Manifest, SubtaskCut};
use crate::retry::Retry;
use snapline_barrier::{ChannelCut, TaskCut};
use snapline_core::{
    BarrierAlignment, CheckpointBarrier, CheckpointId, Error, ErrorKind, OperatorUid, Result, SubtaskId,
    SubtaskIndex,
};
use snapline_state::{StateHandle, SubtaskState};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Collects acknowledgements, then waits for its manifest to be published.
#[derive(Debug)]
pub(crate) struct PendingCheckpoint {
    pub(crate) barrier: CheckpointBarrier,
    pub(crate) started: Duration,
    /// When it expires, or, while it is published, when it counts as stalled.
    pub(crate) deadline: Duration,
    pub(crate) phase: Phase,
}

#[derive(Debug)]
pub(crate) enum Phase {
    Collecting(Collected),
    Publishing(Publishing),
}

/// What has been acknowledged.
#[derive(Debug)]
pub(crate) struct Collected {
    missing: BTreeSet<SubtaskId>,
    pub(crate) operators: Vec<(OperatorUid, SubtaskIndex, SubtaskState)>,
    pub(crate) cuts: Vec<SubtaskCut>,
}

/// A claim that is under way.
#[derive(Debug)]
pub(crate) struct Publishing {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) until_acknowledged: Duration,
    pub(crate) retry: Retry,
    /// An earlier try may have succeeded.
    pub(crate) outcome_unknown: bool,
}

impl Publishing {
    /// Whether the claim may have succeeded although this error was reported.
    pub(crate) fn leaves_open(&self, error: &Error) -> bool {
        self.outcome_unknown || matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Cancelled)
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
    UnknownTask(Acknowledgement),
}

impl PendingCheckpoint {
    pub(crate) fn new(
        barrier: CheckpointBarrier,
        tasks: &BTreeSet<SubtaskId>,
        now: Duration,
        timeout: Duration,
    ) -> Self {
        Self {
            barrier,
            started: now,
            deadline: now.saturating_add(timeout),
            phase: Phase::Collecting(Collected {
                missing: tasks.clone(),
                operators: Vec::new(),
                cuts: Vec::new(),
            }),
        }
    }

    pub(crate) fn id(&self) -> CheckpointId {
        self.barrier.checkpoint
    }

    /// How many tasks have not acknowledged.
    pub(crate) fn missing(&self) -> usize {
        match &self.phase {
            Phase::Collecting(collected) => collected.missing.len(),
            Phase::Publishing(_) => 0,
        }
    }

    /// Counts each of the tasks once.
    pub(crate) fn acknowledge(&mut self, ack: Acknowledgement, tasks: &BTreeSet<SubtaskId>) -> Counted {
        if !tasks.contains(&ack.task) {
            return Counted::UnknownTask(ack);
        }
        let Phase::Collecting(collected) = &mut self.phase else {
            return Counted::Waiting;
        };
        if !collected.missing.remove(&ack.task) {
            return Counted::Waiting;
        }
        collected.operators.extend(ack.operators);
        if ack.cut != TaskCut::default() {
            let (task, cut) = (ack.task, ack.cut);
            collected.cuts.push(SubtaskCut { task, cut });
        }
        if collected.missing.is_empty() {
            Counted::Last
        } else {
            Counted::Waiting
        }
    }

    /// All state that was acknowledged.
    pub(crate) fn handles(&self) -> Vec<StateHandle> {
        match &self.phase {
            Phase::Collecting(collected) => {
                let states = collected.operators.iter().map(|(_, _, state)| state);
                states.flat_map(SubtaskState::handles).cloned().collect()
            }
            Phase::Publishing(publishing) => publishing.manifest.handles().cloned().collect(),
        }
    }
}

/// Checks that no channel has lost or repeated a batch up to the cut.
///
/// With aligned barriers a task has then processed exactly what was sent before the barrier; without
/// alignment at least that.
///
/// # Errors
/// `Internal` naming the first channel that contradicts.
pub(crate) fn verify_channels(cuts: &[SubtaskCut], alignment: BarrierAlignment) -> Result<()> {
    let holds = |cut: &ChannelCut| match alignment {
        BarrierAlignment::AtLeastOnce => cut.received >= cut.sent,
        _ => cut.received == cut.sent,
    };
    for SubtaskCut { task, cut } in cuts {
        if let Some((index, cut)) = cut.channels.iter().enumerate().find(|(_, cut)| !holds(cut)) {
            return Err(
                Error::internal("a channel has lost or repeated batches: the cut is not consistent")
                    .with("task", task)
                    .with("channel", index)
                    .with("received", cut.received)
                    .with("sent", cut.sent),
            );
        }
    }
    Ok(())
}
