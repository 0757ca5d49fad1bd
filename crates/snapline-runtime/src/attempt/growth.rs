//! Sources that grow: new splits are looked for while the job runs.
//!
//! What is found goes to the source tasks on the same way as the triggers of checkpoints. So what was given before a
//! trigger is in the snapshot of that checkpoint, in all readers alike, and what was seen, which the first reader keeps,
//! fits it. What was given since then is kept here, for tasks that restart alone from that checkpoint.

use super::{Attempt, AttemptEnd, Outcome};
use crate::finished::Finished;
use crate::restore::of_readers;
use crate::task::TaskControl;
use futures::FutureExt;
use snapline_core::{CheckpointId, Error, ErrorKind, Result, SubtaskId};
use snapline_dataflow::{
    FoundSplits, JobGraph, KnownSplits, NodeFactory, NodeId, RestoredState, SourceFactory,
};
use snapline_state::OperatorState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// How often a source is looked at, at the most, whatever it wants.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// The sources of a job that grow.
#[derive(Default)]
pub(super) struct GrowingSources {
    sources: BTreeMap<NodeId, GrowingSource>,
}

struct GrowingSource {
    /// Its readers.
    tasks: Vec<SubtaskId>,
    interval: Duration,
    known: KnownSplits,
    /// When to look again, by the monotonic clock; `None` while a look is under way.
    due: Option<Duration>,
    given: Given,
}

/// What the readers of a source were given while the job runs, as far as no complete checkpoint has it.
#[derive(Default)]
struct Given {
    /// The oldest first, each what all readers were told at once.
    additions: VecDeque<Vec<Arc<OperatorState>>>,
    /// How many are forgotten.
    forgotten: usize,
    /// How many there had ever been when a checkpoint was triggered.
    before: BTreeMap<CheckpointId, usize>,
}

impl GrowingSources {
    /// Those of a job that begins with these states.
    ///
    /// # Errors
    /// `Corrupted` when the states of a source cannot be decoded.
    pub(super) fn new(
        job: &JobGraph,
        states: &[Vec<RestoredState>],
        finished: &Finished,
        now: Duration,
    ) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for (id, node) in (0..).map(NodeId).zip(&job.nodes) {
            let NodeFactory::Source(source) = &node.node.factory else {
                continue;
            };
            let Some(interval) = source.discovery_interval().filter(|_| !finished.contains(id)) else {
                continue;
            };
            let interval = interval.max(SHORTEST_INTERVAL);
            let known = source.known(&of_readers(&states[id.0]));
            let growing = GrowingSource {
                tasks: job.tasks(&job.vertices[node.vertex]).collect(),
                interval,
                known: known.map_err(|error| error.with("operator", &node.node.name))?,
                due: Some(now.saturating_add(interval)),
                given: Given::default(),
            };
            sources.insert(id, growing);
        }
        Ok(Self { sources })
    }

    /// Whether a task reads a source that grows.
    pub(super) fn contain(&self, task: &SubtaskId) -> bool {
        self.sources.values().any(|source| source.tasks.contains(task))
    }

    /// When to look for new splits if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let growing = self.sources.values().filter(|source| source.known.may_grow());
        growing.filter_map(|source| source.due).min()
    }

    pub(super) fn on_trigger(&mut self, checkpoint: CheckpointId) {
        for source in self.sources.values_mut() {
            source.given.on_trigger(checkpoint);
        }
    }

    /// Tasks that restart alone do so from this checkpoint or a later one.
    pub(super) fn on_newest(&mut self, checkpoint: Option<CheckpointId>) {
        let Some(checkpoint) = checkpoint else { return };
        for source in self.sources.values_mut() {
            source.given.on_newest(checkpoint);
        }
    }

    /// What these tasks were given since a checkpoint was triggered, or since the attempt began, in order.
    pub(super) fn given_since(
        &self,
        checkpoint: Option<CheckpointId>,
        tasks: &BTreeSet<SubtaskId>,
    ) -> Vec<(SubtaskId, Arc<OperatorState>)> {
        let mut given = Vec::new();
        for source in self.sources.values() {
            for addition in source.given.since(checkpoint) {
                let to_tasks = source.tasks.iter().cloned().zip(addition.iter().cloned());
                given.extend(to_tasks.filter(|(task, _)| tasks.contains(task)));
            }
        }
        given
    }

    /// The sources at which to look now.
    fn take_due(&mut self, now: Duration) -> Vec<(NodeId, KnownSplits)> {
        let is_due =
            |source: &GrowingSource| source.known.may_grow() && source.due.is_some_and(|due| due <= now);
        let due = self.sources.iter_mut().filter(|(_, source)| is_due(source));
        due.map(|(id, source)| {
            source.due = None;
            (*id, source.known.clone())
        })
        .collect()
    }
}

impl Given {
    fn on_trigger(&mut self, checkpoint: CheckpointId) {
        let ever = self.forgotten + self.additions.len();
        self.before.insert(checkpoint, ever);
    }

    fn on_newest(&mut self, checkpoint: CheckpointId) {
        let in_checkpoint = self.in_checkpoint(Some(checkpoint));
        self.additions.drain(..in_checkpoint);
        self.forgotten += in_checkpoint;
        self.before.retain(|other, _| *other >= checkpoint);
    }

    fn since(&self, checkpoint: Option<CheckpointId>) -> impl Iterator<Item = &Vec<Arc<OperatorState>>> {
        self.additions.iter().skip(self.in_checkpoint(checkpoint))
    }

    /// How many of those that are kept the checkpoint has.
    fn in_checkpoint(&self, checkpoint: Option<CheckpointId>) -> usize {
        let ever = checkpoint.and_then(|checkpoint| self.before.get(&checkpoint));
        ever.map_or(0, |ever| ever.saturating_sub(self.forgotten))
    }
}

impl Attempt {
    /// When to look for new splits, unless the job is about to end.
    pub(super) fn growth_deadline(&self) -> Option<Duration> {
        self.growing.deadline().filter(|_| !self.is_ending())
    }

    /// Looks for new splits where it is time.
    pub(super) fn look_for_splits(&mut self) {
        if self.growing.sources.is_empty() || self.is_ending() {
            return;
        }
        for (id, known) in self.growing.take_due(self.cluster.clock.monotonic()) {
            let Some(source) = source_of(&self.job, id) else {
                continue;
            };
            let look = AssertUnwindSafe(async move { source.discover_more(known).await });
            let look = look.catch_unwind();
            let look = look.map(|found| found.unwrap_or_else(|panic| Err(Error::panicked(&*panic))));
            self.work(look, move |found| Outcome::Found(id, found));
        }
    }

    /// Gives what was found to the readers.
    ///
    /// # Errors
    /// What keeps the source from being looked at, unless it may pass.
    pub(super) fn on_found(&mut self, id: NodeId, found: Result<FoundSplits>) -> Result<()> {
        let now = self.cluster.clock.monotonic();
        let is_ending = self.is_ending();
        let Some(source) = self.growing.sources.get_mut(&id) else {
            return Ok(());
        };
        source.due = Some(now.saturating_add(source.interval));
        let FoundSplits { known, additions } = match found {
            Ok(found) if !is_ending => found,
            Err(error) if error.kind() != ErrorKind::Unavailable => return Err(self.named(id, error)),
            Err(error) => {
                self.on_failed_look(id, &error);
                return Ok(());
            }
            Ok(_) => return Ok(()),
        };
        source.known = known;
        if additions.is_empty() {
            return Ok(());
        }
        let additions: Vec<_> = additions.into_iter().map(Arc::new).collect();
        for (task, addition) in source.tasks.iter().zip(&additions) {
            if let Some(running) = self.tasks.get(task) {
                let _ = running
                    .control
                    .unbounded_send(TaskControl::AddSplits(addition.clone()));
            }
        }
        source.given.additions.push_back(additions);
        Ok(())
    }

    fn on_failed_look(&self, id: NodeId, error: &Error) {
        let name = &self.job.node(id).node.name;
        tracing::warn!(operator = name, %error, "a source could not be looked at for new splits; it will be tried again");
        self.shared
            .incident(format!("{name} could not be looked at for new splits: {error}"));
    }

    fn named(&self, id: NodeId, error: Error) -> Error {
        error.with("operator", &self.job.node(id).node.name)
    }

    /// Whether what is found now is read by nobody: after a restart it is found again.
    fn is_ending(&self) -> bool {
        let has_stopped = self.is_finishing || self.end == AttemptEnd::Suspended;
        has_stopped || self.savepoints.ends_data() || self.with_data.is_empty()
    }
}

fn source_of(job: &JobGraph, id: NodeId) -> Option<Arc<dyn SourceFactory>> {
    match &job.node(id).node.factory {
        NodeFactory::Source(source) => Some(source.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addition(number: u32) -> Vec<Arc<OperatorState>> {
        let mut state = OperatorState::new();
        state.push("splits", &number).unwrap();
        vec![Arc::new(state)]
    }

    fn numbers(given: &Given, checkpoint: Option<u64>) -> Vec<u32> {
        let since = given.since(checkpoint.map(CheckpointId));
        since
            .flat_map(|addition| addition[0].items("splits").unwrap())
            .collect()
    }

    #[test]
    fn what_was_given_is_kept_until_a_checkpoint_that_has_it_is_complete() {
        let mut given = Given::default();
        given.additions.push_back(addition(1));
        given.on_trigger(CheckpointId(1));
        given.additions.push_back(addition(2));
        given.on_trigger(CheckpointId(2));
        given.on_trigger(CheckpointId(3));
        given.additions.push_back(addition(3));
        assert_eq!(numbers(&given, None), [1, 2, 3]);
        assert_eq!(numbers(&given, Some(1)), [2, 3]);
        given.on_newest(CheckpointId(1));
        assert_eq!(numbers(&given, Some(1)), [2, 3]);
        // The second was given up.
        given.on_newest(CheckpointId(3));
        assert_eq!(numbers(&given, Some(3)), [3]);
        assert_eq!((given.additions.len(), given.before.len()), (1, 1));
    }
}
