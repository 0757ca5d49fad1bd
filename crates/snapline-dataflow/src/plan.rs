//! From the graph that a user wrote to the tasks that run: uids, parallelism, chains.

pub(crate) mod loops;

pub use loops::JobLoop;

use crate::environment::Components;
use crate::graph::{NodeFactory, NodeId, StreamEdge, StreamGraph, StreamNode};
use crate::output::Partitioning;
use snapline_core::{
    Error, JobId, JobSettings, MaxParallelism, OperatorUid, Result, SubtaskId, SubtaskIndex,
};
use std::collections::{BTreeMap, BTreeSet};

/// A job that is ready to run.
#[derive(Debug, Clone)]
pub struct JobGraph {
    /// The name under which its checkpoints are kept.
    pub job: JobId,
    /// Its name for people.
    pub name: String,
    /// Its settings, checked.
    pub settings: JobSettings,
    /// How many key groups it has.
    pub max_parallelism: MaxParallelism,
    /// Its operators; an edge comes from an earlier node, or it closes a loop.
    pub nodes: Vec<JobNode>,
    /// Its tasks: every node is in exactly one.
    pub vertices: Vec<JobVertex>,
    /// The parts that it was given.
    pub components: Components,
}

/// An operator of a [`JobGraph`].
#[derive(Debug, Clone)]
pub struct JobNode {
    /// What the user described; its inputs say what their partitioning means at this parallelism.
    pub node: StreamNode,
    /// For each input the partitioning that the user described.
    pub described: Vec<Partitioning>,
    /// The name under which its state is found.
    pub uid: OperatorUid,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// The vertex that runs it.
    pub vertex: usize,
}

/// A chain of operators that run together in one task per subtask.
#[derive(Debug, Clone)]
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
        for (index, (node, uid)) in graph.nodes().iter().zip(uids).enumerate() {
            nodes.push(JobNode {
                node: node.clone(),
                described: node.inputs.iter().map(|edge| edge.partitioning).collect(),
                uid,
                parallelism: parallelisms[index],
                vertex: 0,
            });
        }
        loops::require_single_entries(graph.nodes())?;
        require_equal_ends(&nodes)?;
        let vertices = chain(&mut nodes, &BTreeSet::new());
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

    /// The same job with channels on these edges, even where their ends would be chained: they have
    /// records in flight. An edge is named by the node where it ends and its position there.
    ///
    /// # Errors
    /// `Invalid` when that makes too many channels.
    pub fn with_channels(&self, edges: &BTreeSet<(NodeId, usize)>) -> Result<Self> {
        let mut job = self.clone();
        job.vertices = chain(&mut job.nodes, edges);
        require_few_channels(&job.nodes, &job.vertices)?;
        Ok(job)
    }

    /// Whether the channels of an input of a node stay aligned in unaligned checkpoints, because what
    /// is in flight there could not be dealt out again (FLIP-76).
    pub fn stays_aligned(&self, node: NodeId, input: usize) -> bool {
        let node = self.node(node);
        match node.described[input] {
            Partitioning::Unspecified => node.node.inputs[input].partitioning.is_pointwise(),
            described => described.is_pointwise() || described == Partitioning::Broadcast,
        }
    }

    /// A node.
    pub fn node(&self, id: NodeId) -> &JobNode {
        &self.nodes[id.0]
    }

    /// The name of the task that runs one subtask of a vertex: that of the first operator of its chain.
    pub fn task(&self, vertex: &JobVertex, subtask: SubtaskIndex) -> SubtaskId {
        SubtaskId {
            operator: self.node(vertex.head).uid.clone(),
            index: subtask,
        }
    }

    /// The tasks of a vertex, in subtask order.
    pub fn tasks<'a>(&'a self, vertex: &'a JobVertex) -> impl Iterator<Item = SubtaskId> + 'a {
        (0..vertex.parallelism).map(|subtask| self.task(vertex, SubtaskIndex(subtask)))
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

/// Puts every node into a vertex. `kept` are edges that must be channels.
fn chain(nodes: &mut [JobNode], kept: &BTreeSet<(NodeId, usize)>) -> Vec<JobVertex> {
    let mut vertices: Vec<JobVertex> = Vec::new();
    let parallelisms: Vec<u32> = nodes.iter().map(|node| node.parallelism).collect();
    for index in 0..nodes.len() {
        let (earlier, rest) = nodes.split_at_mut(index);
        let Some(node) = rest.first_mut() else { break };
        let id = NodeId(index);
        let is_kept = |input| kept.contains(&(id, input));
        for (input, edge) in node.node.inputs.iter_mut().enumerate() {
            let from = parallelisms[edge.from.0];
            edge.partitioning = match node.described[input] {
                Partitioning::Unspecified if from != node.parallelism => Partitioning::Rebalance,
                Partitioning::Unspecified => Partitioning::Forward,
                described if is_kept(input) => described,
                _ if from == 1 && node.parallelism == 1 => Partitioning::Forward,
                Partitioning::Rescale if from == node.parallelism => Partitioning::Forward,
                described => described,
            };
        }
        node.vertex = match chained_to(&node.node.inputs, earlier, node.parallelism) {
            Some(vertex) if !is_kept(0) => vertex,
            _ => {
                vertices.push(JobVertex {
                    head: id,
                    members: Vec::new(),
                    parallelism: node.parallelism,
                    inputs: node.node.inputs.clone(),
                    outputs: Vec::new(),
                });
                vertices.len() - 1
            }
        };
        vertices[node.vertex].members.push(id);
    }
    connect(&mut vertices, nodes);
    vertices
}

/// The vertex that a node joins: that of its only input, when no record has to change its subtask.
fn chained_to(inputs: &[StreamEdge], nodes: &[JobNode], parallelism: u32) -> Option<usize> {
    let [edge] = inputs else { return None };
    let from = &nodes[edge.from.0];
    (edge.partitioning == Partitioning::Forward && from.parallelism == parallelism).then_some(from.vertex)
}

/// Gives every input of a vertex an output where it comes from.
fn connect(vertices: &mut [JobVertex], nodes: &[JobNode]) {
    for vertex in 0..vertices.len() {
        for input in 0..vertices[vertex].inputs.len() {
            let StreamEdge { from, partitioning } = vertices[vertex].inputs[input];
            vertices[nodes[from.0].vertex].outputs.push(OutputEdge {
                from,
                vertex,
                input,
                partitioning,
            });
        }
    }
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

/// Checks that records which are to stay in the subtask of their number find one.
fn require_equal_ends(nodes: &[JobNode]) -> Result<()> {
    for node in nodes {
        for edge in &node.node.inputs {
            let from = &nodes[edge.from.0];
            if edge.partitioning == Partitioning::Forward && from.parallelism != node.parallelism {
                return Err(Error::invalid(
                    "records cannot go forward to an operator of another parallelism; use .rescale() or .rebalance()",
                )
                .with("operator", &node.node.name)
                .with("behind", &from.node.name)
                .with("parallelism", node.parallelism)
                .with("parallelism_behind", from.parallelism));
            }
        }
    }
    Ok(())
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
        let upstream = |edge: &StreamEdge| {
            let from = nodes[edge.from.0].parallelism;
            match edge.partitioning.is_pointwise() {
                true => u64::from(from.div_ceil(vertex.parallelism)),
                false => u64::from(from),
            }
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
