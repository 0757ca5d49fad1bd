//! What the program has described: nodes and edges.

use crate::factory::{OperatorFactory, OutputFactory, SinkFactory, SourceFactory};
use crate::output::Partitioning;
use snapline_core::{Error, Result};
use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The position of a node in a [`StreamGraph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// The operators of a program and how records flow between them, as the user wrote it.
#[derive(Clone, Default, Debug)]
pub struct StreamGraph {
    nodes: Vec<StreamNode>,
    /// Nodes that are the beginning of a side output of another, and which that is.
    parts: BTreeMap<NodeId, NodeId>,
    side_outputs: Vec<SideOutput>,
    mistakes: Vec<Error>,
}

/// A stream beside the one that a node makes.
#[derive(Clone, Debug)]
struct SideOutput {
    of: NodeId,
    name: String,
    records: TypeId,
    from: NodeId,
}

/// One operator.
#[derive(Clone)]
pub struct StreamNode {
    /// What it is called in messages.
    pub name: String,
    /// The uid that the user gave it.
    pub uid: Option<String>,
    /// How many subtasks the user wants.
    pub parallelism: Option<u32>,
    /// Where its records come from. Back edges, those from this node or a later one, are the last.
    pub inputs: Vec<StreamEdge>,
    /// How to make its links.
    pub factory: NodeFactory,
    /// What can be done with its output; `None` for a sink.
    pub output: Option<Arc<dyn OutputFactory>>,
}

/// How to make the links of a node.
#[derive(Clone)]
#[non_exhaustive]
pub enum NodeFactory {
    /// A source.
    Source(Arc<dyn SourceFactory>),
    /// An operator with an input and an output.
    Operator(Arc<dyn OperatorFactory>),
    /// A sink.
    Sink(Arc<dyn SinkFactory>),
}

/// Where an input of a node comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamEdge {
    /// The node whose output it is.
    pub from: NodeId,
    /// How the records are dealt out.
    pub partitioning: Partitioning,
}

impl StreamEdge {
    /// Whether it closes a loop, seen from the node where it ends.
    pub fn is_back_edge(&self, to: NodeId) -> bool {
        self.from >= to
    }
}

impl From<NodeId> for StreamEdge {
    /// The output of a node, as it comes.
    fn from(from: NodeId) -> Self {
        let partitioning = Partitioning::Unspecified;
        Self { from, partitioning }
    }
}

impl StreamGraph {
    /// The nodes; an edge comes from an earlier node, or it closes a loop.
    pub fn nodes(&self) -> &[StreamNode] {
        &self.nodes
    }

    /// The first mistake that the user made while describing the graph.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check(&mut self) -> Result<()> {
        if self.mistakes.is_empty() {
            Ok(())
        } else {
            Err(self.mistakes.swap_remove(0))
        }
    }

    pub(crate) fn add(&mut self, node: StreamNode) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut StreamNode {
        &mut self.nodes[id.0]
    }

    /// The operator that a name, a uid or a parallelism for the stream of this node is meant for.
    pub(crate) fn operator_of(&self, id: NodeId) -> NodeId {
        self.parts.get(&id).copied().unwrap_or(id)
    }

    /// A node is the beginning of a side output of another, and no operator of its own for the user.
    pub(crate) fn add_part(&mut self, part: NodeId, whole: NodeId) {
        self.parts.insert(part, whole);
    }

    pub(crate) fn add_side_output(&mut self, of: NodeId, name: &str, records: TypeId, from: NodeId) {
        self.side_outputs.push(SideOutput {
            of,
            name: name.to_owned(),
            records,
            from,
        });
    }

    /// The node that makes a side output of another.
    pub(crate) fn side_output(&self, of: NodeId, name: &str, records: TypeId) -> Option<NodeId> {
        let is_it = |side: &&SideOutput| side.of == of && side.name == name && side.records == records;
        self.side_outputs.iter().find(is_it).map(|side| side.from)
    }

    pub(crate) fn mistake(&mut self, error: Error) {
        self.mistakes.push(error);
    }
}

impl std::fmt::Debug for StreamNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamNode")
            .field("name", &self.name)
            .field("uid", &self.uid)
            .field("parallelism", &self.parallelism)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}
