//! What had finished at the checkpoint that a job restores (FLIP-147).

use snapline_connector::ReaderStatus;
use snapline_coordinator::{Manifest, OperatorManifest};
use snapline_core::{Error, Result, SubtaskId};
use snapline_dataflow::{JobGraph, NodeId, Partitioning, Signal, SourceHead, TaskHead};
use snapline_state::OperatorState;
use std::collections::BTreeSet;
use std::task::{Context, Poll};

/// The operators all of whose subtasks had finished. They are not run again, at any parallelism: in
/// place of their tasks there are some that have nothing but the end of their data to tell.
///
/// An operator of which only some subtasks had finished runs with what the others have left. The
/// finished ones have left nothing, because they had nothing left to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finished {
    operators: BTreeSet<NodeId>,
}

/// How much of an operator had finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    Nothing,
    Some,
    All,
}

impl Finished {
    /// What of a job had finished in a checkpoint.
    ///
    /// # Errors
    /// `Invalid` when the program has changed in a way that lets records come to operators that had
    /// finished, or has put some of them into one task with others that have not.
    pub(crate) fn of(job: &JobGraph, manifest: &Manifest) -> Result<Self> {
        let extent = |id: NodeId| Extent::of(manifest.operators.get(&job.node(id).uid));
        for (id, node) in (0..).map(NodeId).zip(&job.nodes) {
            for (edge, described) in node.node.inputs.iter().zip(&node.described) {
                if edge.is_back_edge(id) {
                    continue;
                }
                let from = job.node(edge.from);
                let has_finished = [extent(edge.from), extent(id)];
                let fault = behind_unfinished(has_finished, *described).or_else(|| {
                    (from.vertex == node.vertex)
                        .then(|| mixed(has_finished))
                        .flatten()
                });
                if let Some(fault) = fault {
                    return Err(fault
                        .with("operator", &node.uid)
                        .with("behind", &from.uid)
                        .with("checkpoint", manifest.checkpoint));
                }
            }
        }
        let nodes = (0..job.nodes.len()).map(NodeId);
        Ok(Self {
            operators: nodes.filter(|id| extent(*id) == Extent::All).collect(),
        })
    }

    pub(crate) fn contains(&self, operator: NodeId) -> bool {
        self.operators.contains(&operator)
    }

    /// The tasks of the chains of these operators.
    pub(crate) fn tasks<'a>(&'a self, job: &'a JobGraph) -> impl Iterator<Item = SubtaskId> + 'a {
        let vertices = job.vertices.iter();
        let finished = vertices.filter(|vertex| self.contains(vertex.head));
        finished.flat_map(|vertex| job.tasks(vertex))
    }
}

impl Extent {
    fn of(stored: Option<&OperatorManifest>) -> Self {
        let subtasks = stored.map_or(&[][..], |stored| &stored.subtasks);
        let finished = subtasks.iter().filter(|subtask| subtask.finished).count();
        match finished {
            0 => Self::Nothing,
            all if all == subtasks.len() => Self::All,
            _ => Self::Some,
        }
    }
}

/// A subtask finishes after all from which records come to it: that is how the plan must still be.
fn behind_unfinished([from, to]: [Extent; 2], described: Partitioning) -> Option<Error> {
    let needed = match (to, described) {
        (Extent::Nothing, _) => Extent::Nothing,
        (Extent::Some, described) if described.is_pointwise() => Extent::Some,
        (Extent::Some | Extent::All, _) => Extent::All,
    };
    (from < needed).then(|| {
        Error::invalid(
            "an operator had finished at the checkpoint, and the program now feeds it from one that had not; feed it \
             as before, or give it another .uid(...) so that it starts anew",
        )
    })
}

/// The operators of one task run or do not run together.
fn mixed([from, to]: [Extent; 2]) -> Option<Error> {
    (from != to && from.max(to) == Extent::All).then(|| {
        Error::invalid(
            "the operators of one task have a mixed state: one had finished at the checkpoint and one behind it had \
             not; separate them, for example with .rebalance()",
        )
    })
}

/// In place of a chain that had finished: no data, and the end of it.
pub(crate) struct FinishedHead {
    outputs: Vec<Box<dyn TaskHead>>,
}

impl FinishedHead {
    /// Ends these outputs.
    pub(crate) fn new(outputs: Vec<Box<dyn TaskHead>>) -> Self {
        Self { outputs }
    }
}

impl SourceHead for FinishedHead {
    fn poll_batch(&mut self, _cx: &mut Context<'_>) -> Poll<Result<ReaderStatus>> {
        Poll::Ready(Ok(ReaderStatus::EndOfData))
    }

    fn add_splits(&mut self, _state: &OperatorState) -> Result<()> {
        Err(Error::internal("a source that had finished was given splits"))
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        let mut outputs = self.outputs.iter_mut();
        outputs.try_for_each(|output| output.on_signal(signal))
    }

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_advance(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
