//! What a job will run, for people and programs: its tasks, their operators, the edges between them.

mod diagram;
#[cfg(test)]
mod tests;

use crate::graph::NodeId;
use crate::plan::JobGraph;
use serde::Serialize;
use snapline_core::{Error, Result};
use std::fmt;

/// How a job was planned: which operators run together in a task, and how records get from task to task.
///
/// As text (`Display`), as JSON, or as a diagram for [Mermaid](Self::to_mermaid) or [Graphviz](Self::to_dot).
/// Tasks come in the order in which records pass them; an edge that leads back closes a loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedJob {
    /// The name for people.
    pub name: String,
    /// How many key groups there are: the most subtasks that an operator can ever have.
    pub max_parallelism: u32,
    /// Its tasks.
    pub tasks: Vec<ExplainedTask>,
    /// How they are connected.
    pub edges: Vec<ExplainedEdge>,
}

/// A chain of operators that run together, once per subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedTask {
    /// How many subtasks it has.
    pub parallelism: u32,
    /// Its operators, each after the one that feeds it.
    pub operators: Vec<ExplainedOperator>,
}

/// An operator of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedOperator {
    /// What it is called in messages.
    pub name: String,
    /// The name under which its state is found.
    pub uid: String,
    /// Whether the program gave it that uid. Otherwise it was made from the position of the operator, and another
    /// one in front of it changes it.
    pub has_own_uid: bool,
    /// The uids of operators of the same task that it gets its records from; none at the head of the task.
    pub chained_to: Vec<String>,
}

/// Records that go from one task to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExplainedEdge {
    /// The position of the task that it leaves.
    pub from: usize,
    /// The uid of the operator in there whose output it carries.
    pub output_of: String,
    /// The position of the task where it ends.
    pub to: usize,
    /// How the records are dealt out: `forward`, `rebalance`, `rescale`, `shuffle`, `hash`, `broadcast`, `global` or `custom`.
    pub partitioning: &'static str,
    /// Whether it closes a loop.
    pub is_back_edge: bool,
}

impl JobGraph {
    /// What will run.
    pub fn explain(&self) -> ExplainedJob {
        let task = |vertex: usize| ExplainedTask {
            parallelism: self.vertices[vertex].parallelism,
            operators: self.operators(vertex),
        };
        ExplainedJob {
            name: self.name.clone(),
            max_parallelism: self.max_parallelism.get(),
            tasks: (0..self.vertices.len()).map(task).collect(),
            edges: self.explained_edges(),
        }
    }

    fn operators(&self, vertex: usize) -> Vec<ExplainedOperator> {
        let uid = |id: NodeId| self.node(id).uid.to_string();
        let members = &self.vertices[vertex].members;
        let operator = |id: &NodeId| {
            let node = &self.node(*id).node;
            let feeds = node.inputs.iter().map(|edge| edge.from);
            let chained = feeds.filter(|from| *id != self.vertices[vertex].head && members.contains(from));
            ExplainedOperator {
                name: node.name.clone(),
                uid: uid(*id),
                has_own_uid: node.uid.is_some(),
                chained_to: chained.map(uid).collect(),
            }
        };
        members.iter().map(operator).collect()
    }

    fn explained_edges(&self) -> Vec<ExplainedEdge> {
        let mut edges = Vec::new();
        for (to, vertex) in self.vertices.iter().enumerate() {
            for edge in &vertex.inputs {
                edges.push(ExplainedEdge {
                    from: self.node(edge.from).vertex,
                    output_of: self.node(edge.from).uid.to_string(),
                    to,
                    partitioning: edge.partitioning.name(),
                    is_back_edge: edge.is_back_edge(vertex.head),
                });
            }
        }
        edges
    }
}

impl ExplainedJob {
    /// All of it as JSON.
    ///
    /// # Errors
    /// `Internal`, which cannot happen: there is nothing in it that JSON does not have.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|error| Error::internal("a plan cannot be written as JSON").because(error))
    }
}

impl fmt::Display for ExplainedJob {
    /// A paragraph per task: its operators, those without a uid of their own marked, and where its records go.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} (at most {} subtasks per operator)",
            self.name, self.max_parallelism
        )?;
        for (position, task) in self.tasks.iter().enumerate() {
            writeln!(f, "\n[{position}] {task}")?;
            for operator in &task.operators {
                writeln!(f, "    {operator}")?;
            }
            for edge in self.edges.iter().filter(|edge| edge.from == position) {
                writeln!(f, "    --> [{}] {edge}", edge.to)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ExplainedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.operators.iter().map(|operator| &*operator.name).collect();
        write!(f, "{} x{}", names.join(" > "), self.parallelism)
    }
}

impl fmt::Display for ExplainedOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_position = if self.has_own_uid { "" } else { " (by position)" };
        write!(f, "uid {}{by_position}", self.uid)
    }
}

impl fmt::Display for ExplainedEdge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = if self.is_back_edge {
            ", back into the loop"
        } else {
            ""
        };
        write!(f, "{}{back}", self.partitioning)
    }
}
