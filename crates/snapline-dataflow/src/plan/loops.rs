//! The loops of a job.

use super::JobGraph;
use crate::graph::{NodeId, StreamEdge, StreamNode};
use snapline_core::{Error, Result};
use std::collections::BTreeSet;

/// A loop together with all loops inside it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct JobLoop {
    /// The vertices that records pass on their way round.
    pub vertices: BTreeSet<usize>,
    /// Those of them that get records from outside the loop.
    pub entries: BTreeSet<usize>,
}

impl JobGraph {
    /// The outermost loops.
    pub fn loops(&self) -> BTreeSet<JobLoop> {
        let inputs = |vertex: usize| {
            let edges = self.vertices[vertex].inputs.iter();
            edges
                .map(|edge| self.nodes[edge.from.0].vertex)
                .collect::<Vec<_>>()
        };
        let outputs = |vertex: usize| {
            let edges = self.vertices[vertex].outputs.iter();
            edges.map(|edge| edge.vertex).collect()
        };
        let around = |head| {
            let vertices = &reach(head, outputs) & &reach(head, inputs);
            let is_entered = |vertex: &usize| inputs(*vertex).iter().any(|from| !vertices.contains(from));
            JobLoop {
                entries: vertices.iter().copied().filter(is_entered).collect(),
                vertices,
            }
        };
        let is_head = |vertex: &usize| self.back_edges(*vertex).next().is_some();
        (0..self.vertices.len()).filter(is_head).map(around).collect()
    }

    /// The positions among the inputs of a vertex of those that close a loop.
    pub fn back_edges(&self, vertex: usize) -> impl Iterator<Item = usize> {
        let head = self.vertices[vertex].head;
        let inputs = self.vertices[vertex].inputs.iter().enumerate();
        inputs.filter_map(move |(input, edge)| edge.is_back_edge(head).then_some(input))
    }
}

/// Everything that can be reached from `start`, and that itself.
fn reach(start: usize, next: impl Fn(usize) -> Vec<usize>) -> BTreeSet<usize> {
    let (mut reached, mut open) = (BTreeSet::from([start]), vec![start]);
    while let Some(at) = open.pop() {
        let new = next(at).into_iter().filter(|next| reached.insert(*next));
        open.extend(new);
    }
    reached
}

/// Checks that every record of a loop has come in, or back, through its head.
pub(super) fn require_single_entries(nodes: &[StreamNode]) -> Result<()> {
    let heads = (0..nodes.len()).map(NodeId);
    for head in heads {
        let back: Vec<StreamEdge> = back_edges(nodes, head).collect();
        if back.is_empty() {
            continue;
        }
        let behind = reach(head.0, |node| outputs(nodes, node));
        if let Some(edge) = back.iter().find(|edge| !behind.contains(&edge.from.0)) {
            return Err(not_of_the_loop(&nodes[head.0].name, &nodes[edge.from.0].name));
        }
        // From the back edges against the stream, without leaving the loop.
        let mut body = BTreeSet::from([head.0]);
        let mut open: Vec<usize> = back.iter().map(|edge| edge.from.0).collect();
        while let Some(node) = open.pop() {
            if !body.insert(node) {
                continue;
            }
            for from in nodes[node].inputs.iter().map(|edge| edge.from.0) {
                if !behind.contains(&from) {
                    return Err(second_entry(nodes, head.0, node, from));
                }
                open.push(from);
            }
        }
    }
    Ok(())
}

/// The mistake of sending something round that has not come out of the loop.
pub(crate) fn not_of_the_loop(head: &str, operator: &str) -> Error {
    Error::invalid(
        "the stream that goes back into a loop is not made from the stream of the loop; union it with the stream \
         before .iterate(...) instead",
    )
    .with("loop", head)
    .with("operator", operator)
}

fn back_edges(nodes: &[StreamNode], head: NodeId) -> impl Iterator<Item = StreamEdge> {
    let inputs = nodes[head.0].inputs.iter().copied();
    inputs.filter(move |edge| edge.is_back_edge(head))
}

fn outputs(nodes: &[StreamNode], from: usize) -> Vec<usize> {
    let is_fed = |node: &usize| nodes[*node].inputs.iter().any(|edge| edge.from.0 == from);
    (0..nodes.len()).filter(is_fed).collect()
}

fn second_entry(nodes: &[StreamNode], head: usize, inside: usize, outside: usize) -> Error {
    Error::invalid(
        "a loop has a second entry: an operator inside it takes records from outside; union that stream with the \
         one before .iterate(...), so that its records come in through the head of the loop",
    )
    .with("loop", &nodes[head].name)
    .with("operator", &nodes[inside].name)
    .with("outside", &nodes[outside].name)
}

#[cfg(test)]
mod tests;
