//! From the graph that a user wrote to the tasks that run: uids, parallelism, chains.

use crate::environment::Components;
use crate::graph::{NodeFactory, NodeId, StreamEdge, StreamGraph, StreamNode};
use crate::output::Partitioning;
use snapline_core::{Error, JobId, JobSettings, MaxParallelism, OperatorUid, Result};
use std::collections::BTreeMap;

/// A job that is ready to run.
#[derive(Debug)]
pub struct JobGraph {
    /// The name under which its checkpoints are kept.
    pub job: JobId,
    /// Its name for people.
    pub name: String,
    /// Its settings, checked.
    pub settings: JobSettings,
    /// How many key groups it has.
    pub max_parallelism: MaxParallelism,
    /// Its operators; an edge always comes from an earlier node.
    pub nodes: Vec<JobNode>,
    /// Its tasks: every node is in exactly one.
    pub vertices: Vec<JobVertex>,
    /// The parts that it was given.
    pub components: Components,
}

/// An operator of a [`JobGraph`].
#[derive(Debug)]
pub struct JobNode {
    /// What the user described.
    pub node: StreamNode,
    /// The name under which its state is found.
    pub uid: OperatorUid,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// The vertex that runs it.
    pub vertex: usize,
}

/// A chain of operators that run together in one task per subtask.
#[derive(Debug)]
pub struct JobVertex {
    /// The first operator.
    pub head: NodeId,
    /// All operators, each after the one that feeds it.
    pub members: Vec<NodeId>,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// The edges that end here and come from other vertices.
    pub inputs: Vec<StreamEdge>,
    /// The edges that begin here and end in other vertices.
    pub outputs: Vec<OutputEdge>,
}

/// An edge between two vertices, seen from where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputEdge {
    /// The node whose output it carries.
    pub from: NodeId,
    /// The vertex where it ends.
    pub vertex: usize,
    /// Its position among the inputs of that vertex.
    pub input: usize,
    /// How the records are dealt out.
    pub partitioning: Partitioning,
}

impl JobGraph {
    /// Plans a job.
    ///
    /// # Errors
    /// `Invalid` for a mistake in the graph or the settings, saying what to do.
    pub fn plan(
        mut graph: StreamGraph,
        name: &str,
        settings: JobSettings,
        components: Components,
    ) -> Result<Self> {
        graph.check()?;
        settings.validate()?;
        let max_parallelism = settings.key_groups();
        let parallelisms = parallelisms(graph.nodes(), settings.parallelism, max_parallelism)?;
        let uids = uids(graph.nodes())?;
        let mut nodes: Vec<JobNode> = Vec::with_capacity(uids.len());
        let mut vertices: Vec<JobVertex> = Vec::new();
        for (index, (node, uid)) in graph.nodes().iter().zip(uids).enumerate() {
            let (id, parallelism) = (NodeId(index), parallelisms[index]);
            let mut node = node.clone();
            for edge in &mut node.inputs {
                edge.partitioning = resolve(*edge, nodes[edge.from.0].parallelism, parallelism);
            }
            let vertex = match chained_to(&node.inputs, &nodes, parallelism) {
                Some(vertex) => vertex,
                None => begin_vertex(&mut vertices, &nodes, id, &node, parallelism),
            };
            vertices[vertex].members.push(id);
            nodes.push(JobNode {
                node,
                uid,
                parallelism,
                vertex,
            });
        }
        require_ends(&nodes)?;
        require_few_channels(&nodes, &vertices)?;
        let job = JobId::from_text(name);
        Ok(Self {
            job,
            name: name.to_owned(),
            settings,
            max_parallelism,
            nodes,
            vertices,
            components,
        })
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &JobNode {
        &self.nodes[id.0]
    }

    /// The nodes that are chained directly behind this one.
    pub fn chained_behind(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        let vertex = &self.vertices[self.nodes[id.0].vertex];
        let head = vertex.head;
        let feeds = move |next: &&NodeId| {
            **next != head && self.nodes[next.0].node.inputs.iter().any(|edge| edge.from == id)
        };
        vertex.members.iter().filter(feeds).copied()
    }
}

/// What a partitioning means between these parallelisms.
fn resolve(edge: StreamEdge, from: u32, to: u32) -> Partitioning {
    match edge.partitioning {
        Partitioning::Forward if from != to => Partitioning::Rebalance,
        Partitioning::Hash | Partitioning::Rebalance if from == 1 && to == 1 => Partitioning::Forward,
        other => other,
    }
}

/// The vertex that a node joins: that of its only input, when no record has to change its subtask.
fn chained_to(inputs: &[StreamEdge], nodes: &[JobNode], parallelism: u32) -> Option<usize> {
    let [edge] = inputs else { return None };
    let from = &nodes[edge.from.0];
    (edge.partitioning == Partitioning::Forward && from.parallelism == parallelism).then_some(from.vertex)
}

fn begin_vertex(
    vertices: &mut Vec<JobVertex>,
    nodes: &[JobNode],
    head: NodeId,
    node: &StreamNode,
    parallelism: u32,
) -> usize {
    let vertex = vertices.len();
    for (input, edge) in node.inputs.iter().enumerate() {
        let output = OutputEdge {
            from: edge.from,
            vertex,
            input,
            partitioning: edge.partitioning,
        };
        vertices[nodes[edge.from.0].vertex].outputs.push(output);
    }
    let inputs = node.inputs.clone();
    vertices.push(JobVertex {
        head,
        members: Vec::new(),
        parallelism,
        inputs,
        outputs: Vec::new(),
    });
    vertex
}

fn parallelisms(nodes: &[StreamNode], default: u32, max: MaxParallelism) -> Result<Vec<u32>> {
    let mut resolved: Vec<u32> = Vec::with_capacity(nodes.len());
    for node in nodes {
        let inherited = node.inputs.first().map(|edge| resolved[edge.from.0]);
        let parallelism = match node.parallelism {
            Some(INHERIT) => inherited.unwrap_or(default),
            Some(chosen) => chosen,
            None => default,
        };
        if parallelism == 0 || parallelism > max.get() {
            return Err(Error::invalid(
                "the parallelism of an operator must be between 1 and the maximum parallelism",
            )
            .with("operator", &node.name)
            .with("parallelism", parallelism)
            .with("max_parallelism", max.get()));
        }
        resolved.push(parallelism);
    }
    Ok(resolved)
}

/// Marks a node that always runs with the parallelism of its input.
pub(crate) const INHERIT: u32 = u32::MAX;

fn uids(nodes: &[StreamNode]) -> Result<Vec<OperatorUid>> {
    let mut owners: BTreeMap<OperatorUid, &str> = BTreeMap::new();
    let mut uids = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let uid = match &node.uid {
            Some(uid) => OperatorUid::new(uid.clone())?,
            None => OperatorUid::from_text(&format!("{}-{index}", node.name)),
        };
        if let Some(other) = owners.insert(uid.clone(), &node.name) {
            return Err(Error::invalid(
                "two operators have the same uid; give one of them another with .uid(...)",
            )
            .with("uid", uid)
            .with("operators", format!("{other}, {}", node.name)));
        }
        uids.push(uid);
    }
    Ok(uids)
}

fn require_ends(nodes: &[JobNode]) -> Result<()> {
    let is_sink = |node: &JobNode| matches!(node.node.factory, NodeFactory::Sink(_));
    if nodes.iter().any(is_sink) {
        return Ok(());
    }
    Err(Error::invalid(
        "the job has no sink, so nothing would come out; add .print() or .sink_to(...) to a stream",
    ))
}

/// More channels than this exhaust a machine before the first record.
const MOST_CHANNELS: u64 = 1 << 21;

fn require_few_channels(nodes: &[JobNode], vertices: &[JobVertex]) -> Result<()> {
    let channels = |vertex: &JobVertex| {
        let upstream = |edge: &StreamEdge| match edge.partitioning {
            Partitioning::Forward => 1,
            _ => u64::from(nodes[edge.from.0].parallelism),
        };
        u64::from(vertex.parallelism) * vertex.inputs.iter().map(upstream).sum::<u64>()
    };
    let channels: u64 = vertices.iter().map(channels).sum();
    if channels <= MOST_CHANNELS {
        return Ok(());
    }
    Err(
        Error::invalid("the job would have too many channels between its tasks; lower the parallelism")
            .with("channels", channels)
            .with("limit", MOST_CHANNELS),
    )
}

#[cfg(test)]
mod tests;
