//! Loops that are over.

use super::Attempt;
use crate::finished::Finished;
use crate::regions::Regions;
use crate::task::TaskControl;
use snapline_barrier::{LoopState, LoopTermination, TaskActivity};
use snapline_coordinator::{Manifest, Moment, RequestId};
use snapline_core::{CheckpointId, CheckpointKind, OperatorUid, Result, SubtaskId, SubtaskIndex};
use snapline_dataflow::{JobGraph, JobLoop, JobVertex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait at first, and at most, when a checkpoint has found records in a loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Watches the loops of a job. When the input of a loop has ended, it asks for checkpoints until one
/// proves the loop empty.
pub(super) struct Loops {
    watched: Vec<Watched>,
    /// Of each operator, the one at the head of its chain.
    heads: BTreeMap<OperatorUid, OperatorUid>,
    /// The newest checkpoint that was triggered.
    newest: CheckpointId,
    /// The checkpoint that was asked for.
    asked: Option<RequestId>,
    /// When to ask for one.
    due: Option<Duration>,
    pause: Duration,
}

/// The tasks of a loop in one region: no record goes round through two of them, so that each part is over
/// for itself, and only as a whole it ever starts again.
struct Watched {
    entries: BTreeSet<SubtaskId>,
    /// The tasks from which records may come into it, and its own.
    feeding: BTreeSet<SubtaskId>,
    termination: LoopTermination,
}

impl Loops {
    /// Those that have not finished.
    pub(super) fn new(job: &JobGraph, regions: &Regions, finished: &Finished) -> Self {
        let has_finished = |found: &JobLoop| {
            let mut vertices = found.vertices.iter();
            vertices.all(|vertex| finished.contains(job.vertices[*vertex].head))
        };
        let found = job.loops().into_iter().filter(|found| !has_finished(found));
        Self {
            watched: found.flat_map(|found| watch(job, regions, &found)).collect(),
            heads: heads(job),
            newest: CheckpointId::NONE,
            asked: None,
            due: None,
            pause: SHORTEST_PAUSE,
        }
    }

    /// The entries of the loops that barriers reach only through this source.
    pub(super) fn entries_behind<'a>(&'a self, source: &SubtaskId) -> impl Iterator<Item = &'a SubtaskId> {
        let behind = self
            .watched
            .iter()
            .filter(|watched| watched.feeding.contains(source));
        behind.flat_map(|watched| &watched.entries)
    }

    /// These tasks start again from a checkpoint.
    pub(super) fn on_restart(&mut self, tasks: &BTreeSet<SubtaskId>) {
        for watched in &mut self.watched {
            watched.termination.on_restore(tasks);
        }
    }

    pub(super) fn on_trigger(&mut self, checkpoint: CheckpointId) {
        self.newest = checkpoint;
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.due
    }

    pub(super) fn on_input_ended(&mut self, task: &SubtaskId, now: Duration) {
        for watched in &mut self.watched {
            watched.termination.on_input_ended(task, self.newest);
        }
        if self.is_turning() {
            self.pause = SHORTEST_PAUSE;
            self.ask_at(now);
        }
    }

    /// The tasks whose loops are over according to the checkpoint that was asked for.
    pub(super) fn on_done(&mut self, outcome: &Result<Arc<Manifest>>, now: Duration) -> Vec<SubtaskId> {
        self.asked = None;
        let mut over = Vec::new();
        if let Ok(manifest) = outcome {
            let busy = self.busy(manifest);
            for watched in &mut self.watched {
                over.extend(watched.on_completed(manifest, &busy));
            }
        }
        if self.is_turning() {
            self.ask_at(now + self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
        over
    }

    /// The tasks that had more to emit, although no record came.
    fn busy(&self, manifest: &Manifest) -> BTreeSet<SubtaskId> {
        let mut busy = BTreeSet::new();
        for (operator, of_all) in &manifest.operators {
            let Some(head) = self.heads.get(operator) else {
                continue;
            };
            let states = (0..).map(SubtaskIndex).zip(&of_all.subtasks);
            let unfinished = states.filter(|(_, state)| state.has_unfinished_work);
            busy.extend(unfinished.map(|(index, _)| SubtaskId {
                operator: head.clone(),
                index,
            }));
        }
        busy
    }

    fn ask_at(&mut self, time: Duration) {
        if self.asked.is_none() {
            self.due = Some(self.due.map_or(time, |due| due.min(time)));
        }
    }

    fn is_turning(&self) -> bool {
        let turning = |watched: &Watched| watched.termination.state() == LoopState::Turning;
        self.watched.iter().any(turning)
    }
}

impl Watched {
    fn on_completed(&mut self, manifest: &Manifest, busy: &BTreeSet<SubtaskId>) -> Vec<SubtaskId> {
        let was = self.termination.state();
        let activity = |task| match busy.contains(task) {
            true => TaskActivity::Busy,
            false => TaskActivity::Idle,
        };
        let cuts = manifest.cuts.iter();
        let cuts = cuts.map(|cut| (&cut.task, &cut.cut, activity(&cut.task)));
        match (was, self.termination.on_completed(manifest.checkpoint, cuts)) {
            (LoopState::Turning, LoopState::Over) => self.entries.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

impl Attempt {
    /// Asks for a checkpoint, if it is time to, that may prove a loop empty.
    pub(super) fn ask_for_proof(&mut self) {
        let now = Moment::of(&*self.cluster.clock);
        if self.loops.due.take_if(|due| *due <= now.monotonic).is_none() {
            return;
        }
        let mut coordinator = self.coordinator.lock();
        match coordinator.trigger(CheckpointKind::Checkpoint, now, &mut self.actions) {
            Ok(request) => self.loops.asked = Some(request),
            // Not while tasks restart, and not when the job is stopping.
            Err(_) => self.loops.ask_at(now.monotonic + LONGEST_PAUSE),
        }
    }

    /// Tells the tasks of a loop that it is over, if that is what was asked for.
    pub(super) fn on_proof(&mut self, request: RequestId, outcome: &Result<Arc<Manifest>>) {
        if self.loops.asked != Some(request) {
            return;
        }
        for over in self.loops.on_done(outcome, self.cluster.clock.monotonic()) {
            if let Some(entry) = self.tasks.get(&over) {
                let _ = entry.control.unbounded_send(TaskControl::EndLoop);
            }
        }
    }
}

fn watch(job: &JobGraph, regions: &Regions, found: &JobLoop) -> Vec<Watched> {
    let mut others = regions.divide(tasks(job, found.vertices.difference(&found.entries)));
    let mut feeding = regions.divide(tasks(job, &feeding(job, &found.entries)));
    let parts = regions.divide(tasks(job, &found.entries)).into_iter();
    let watch = |(region, entries): (usize, BTreeSet<SubtaskId>)| Watched {
        termination: LoopTermination::new(
            entries.iter().cloned(),
            others.remove(&region).unwrap_or_default(),
        ),
        feeding: feeding.remove(&region).unwrap_or_default(),
        entries,
    };
    parts.map(watch).collect()
}

fn heads(job: &JobGraph) -> BTreeMap<OperatorUid, OperatorUid> {
    let uid = |node| job.node(node).uid.clone();
    let of_vertex = |vertex: &JobVertex| {
        let head = uid(vertex.head);
        let members: Vec<_> = vertex
            .members
            .iter()
            .map(|member| (uid(*member), head.clone()))
            .collect();
        members
    };
    job.vertices.iter().flat_map(of_vertex).collect()
}

/// These vertices and all from which there is a way to them.
fn feeding(job: &JobGraph, entries: &BTreeSet<usize>) -> BTreeSet<usize> {
    let (mut found, mut open) = (entries.clone(), Vec::from_iter(entries.iter().copied()));
    while let Some(vertex) = open.pop() {
        let from = job.vertices[vertex].inputs.iter();
        let from = from.map(|edge| job.node(edge.from).vertex);
        open.extend(from.filter(|from| found.insert(*from)));
    }
    found
}

fn tasks<'a>(
    job: &'a JobGraph,
    vertices: impl IntoIterator<Item = &'a usize>,
) -> impl Iterator<Item = SubtaskId> {
    let vertices = vertices.into_iter().map(|vertex| &job.vertices[*vertex]);
    vertices.flat_map(|vertex| job.tasks(vertex))
}
