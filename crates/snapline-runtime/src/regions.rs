//! Which tasks have to restart together.

use crate::deploy::channel_sources;
use snapline_connector::RecoveryScope;
use snapline_core::{SubtaskId, SubtaskIndex};
use snapline_dataflow::{JobGraph, NodeFactory};
use std::collections::{BTreeMap, BTreeSet};

/// The tasks of a job, divided into regions: connected components over channels, so that no record
/// ever leaves a region. A failure concerns the region of the failed task alone.
///
/// The subtasks of a sink that recovers as a whole belong to one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Regions {
    of: BTreeMap<SubtaskId, usize>,
}

impl Regions {
    pub(crate) fn of(job: &JobGraph) -> Self {
        let mut forest = Forest::default();
        for (index, vertex) in job.vertices.iter().enumerate() {
            for subtask in 0..vertex.parallelism {
                forest.add((index, subtask));
            }
            if has_undivided_sink(job, index) {
                (1..vertex.parallelism).for_each(|subtask| forest.join((index, 0), (index, subtask)));
            }
        }
        for (index, vertex) in job.vertices.iter().enumerate() {
            for subtask in 0..vertex.parallelism {
                for (input, upstream) in channel_sources(job, vertex, subtask) {
                    let from = job.node(vertex.inputs[input].from).vertex;
                    forest.join((index, subtask), (from, upstream));
                }
            }
        }
        let id = |(vertex, subtask): Position| job.task(&job.vertices[vertex], SubtaskIndex(subtask));
        Self {
            of: forest
                .roots()
                .map(|(position, root)| (id(position), root))
                .collect(),
        }
    }

    /// These tasks, by their regions.
    pub(crate) fn divide(
        &self,
        tasks: impl IntoIterator<Item = SubtaskId>,
    ) -> BTreeMap<usize, BTreeSet<SubtaskId>> {
        let mut divided: BTreeMap<usize, BTreeSet<SubtaskId>> = BTreeMap::new();
        for task in tasks {
            if let Some(region) = self.of.get(&task) {
                divided.entry(*region).or_default().insert(task);
            }
        }
        divided
    }

    /// The region of a task, and the tasks in it.
    pub(crate) fn around(&self, task: &SubtaskId) -> BTreeSet<SubtaskId> {
        let region = self.of.get(task);
        let same = self.of.iter().filter(|(_, of)| Some(*of) == region);
        same.map(|(task, _)| task.clone()).collect()
    }
}

/// A task, as vertex and subtask.
type Position = (usize, u32);

fn has_undivided_sink(job: &JobGraph, vertex: usize) -> bool {
    job.vertices[vertex]
        .members
        .iter()
        .any(|id| match &job.node(*id).node.factory {
            NodeFactory::Sink(sink) => sink.recovery_scope() != RecoveryScope::Subtask,
            _ => false,
        })
}

/// Disjoint sets of tasks (Galler & Fischer 1964).
#[derive(Default)]
struct Forest {
    numbers: BTreeMap<Position, usize>,
    parents: Vec<usize>,
}

impl Forest {
    fn add(&mut self, position: Position) {
        self.numbers.insert(position, self.parents.len());
        self.parents.push(self.parents.len());
    }

    fn join(&mut self, one: Position, other: Position) {
        let (one, other) = (self.root(self.numbers[&one]), self.root(self.numbers[&other]));
        self.parents[one.max(other)] = one.min(other);
    }

    fn root(&self, mut number: usize) -> usize {
        while self.parents[number] != number {
            number = self.parents[number];
        }
        number
    }

    fn roots(&self) -> impl Iterator<Item = (Position, usize)> {
        let root = |(position, number): (&Position, &usize)| (*position, self.root(*number));
        self.numbers.iter().map(root)
    }
}
