//! What outlives a crash: the storage, the outputs of the sinks, and how much may still happen.

use crate::desk::Desk;
use crate::flaw::Flaw;
use crate::job::{Budget, Job};
use crate::part::Part;
use crate::promise::{Outcome, Promise};
use crate::record::{Bag, Record};
use crate::task::{Channel, Task, TaskState, Transaction};
use crate::world::World;
use snapline_coordinator::{Manifest, SubtaskCommit};
use snapline_core::{AttemptId, CheckpointId, Frame, StreamElement, Timestamp};
use snapline_state::{Committable, StateHandle, StateLocation};
use std::collections::BTreeSet;
use std::rc::Rc;

#[derive(Debug, Clone, Hash)]
pub(crate) struct Outside {
    /// The newest completed checkpoint.
    newest: Option<Image>,
    /// Up to where all commits are known to be done.
    pub(crate) committed: Option<CheckpointId>,
    /// Transactions that were committed. Doing it again changes nothing.
    done: BTreeSet<(AttemptId, CheckpointId)>,
    /// What everybody can see.
    pub(crate) output: Bag,
    pub(crate) triggers: u8,
    pub(crate) aborts: u8,
    pub(crate) crashes: u8,
    pub(crate) faults: u8,
}

/// What a restart takes from a manifest.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Image {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) tasks: Vec<TaskImage>,
    /// What was promised by when.
    commits: Vec<(CheckpointId, Transaction)>,
}

#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct TaskImage {
    pub(crate) state: TaskState,
    /// What was in flight, by input.
    pub(crate) recorded: Vec<(usize, Vec<Record>)>,
}

impl Outside {
    pub(crate) fn newest_checkpoint(&self) -> Option<CheckpointId> {
        self.newest.as_ref().map(|image| image.checkpoint)
    }

    pub(crate) fn is_committed(&self, transaction: &Transaction) -> bool {
        self.done.contains(&(transaction.attempt, transaction.checkpoint))
    }
}

impl Image {
    pub(crate) fn of(job: &Job, manifest: &Manifest) -> Self {
        let task = |task| {
            let id = job.id(task);
            let operator = manifest.operators.get(&id.operator);
            let state = operator.map(|operator| &operator.subtasks[id.index.as_usize()]);
            TaskImage {
                state: decoded(state.and_then(|state| state.operator.as_ref())),
                recorded: decoded(state.and_then(|state| state.channels.as_ref())),
            }
        };
        Self {
            checkpoint: manifest.checkpoint,
            tasks: (0..job.tasks.len()).map(task).collect(),
            commits: transactions(&manifest.commits_after(None)),
        }
    }
}

impl World {
    /// The beginning of everything.
    pub(crate) fn new(job: Rc<Job>) -> Self {
        let Budget {
            triggers,
            aborts,
            crashes,
            faults,
        } = job.budget;
        let outside = Outside {
            newest: None,
            committed: None,
            done: BTreeSet::new(),
            output: Bag::default(),
            triggers,
            aborts,
            crashes,
            faults,
        };
        Self::start(job, AttemptId(1), outside)
    }

    /// An attempt whose tasks begin with what the newest checkpoint has.
    fn start(job: Rc<Job>, attempt: AttemptId, outside: Outside) -> Self {
        let newest = outside.newest.as_ref();
        let image = |task: usize| newest.map_or_else(TaskImage::default, |image| image.tasks[task].clone());
        let images: Vec<TaskImage> = (0..job.tasks.len()).map(image).collect();
        let task = |(index, image): (usize, &TaskImage)| Task::new(&job, index, attempt, image.state.clone());
        let mut tasks: Vec<Task> = images.iter().enumerate().map(task).collect();
        let mut channels = vec![Channel::default(); job.channels.len()];
        for (to, image) in images.iter().enumerate() {
            let is_forgotten = job.flaw == Some(Flaw::ForgetInFlight);
            for (input, records) in image.recorded.iter().filter(|_| !is_forgotten) {
                let position = job.tasks[to].inputs[*input];
                let from = job.channels[position].from;
                let output = job.tasks[from]
                    .outputs
                    .iter()
                    .position(|output| *output == position);
                let (sender, _) = &mut tasks[from].senders[output.unwrap()];
                channels[position]
                    .queue
                    .extend(records.iter().map(|record| Frame {
                        header: sender.next_header(),
                        clock: None,
                        element: StreamElement::Batch(*record),
                    }));
            }
        }
        let now = Timestamp(0);
        let desk = Desk::new(&job, attempt, outside.newest_checkpoint(), now);
        Self {
            attempt,
            now,
            tasks: tasks.into_iter().map(Part::new).collect(),
            channels: channels.into_iter().map(Part::new).collect(),
            desk: Part::new(desk),
            outside: Part::new(outside),
            log: None,
            job,
        }
    }

    /// Everything else is gone. Before the tasks begin again, what was promised is committed.
    pub(crate) fn crash(&mut self) -> Outcome {
        self.note(|_| "CRASH".to_owned());
        self.outside.crashes -= 1;
        let newest = self.outside.newest.clone();
        if let Some(image) = newest {
            let committed = self.outside.committed;
            let open = image.commits.into_iter().filter(|(by, _)| Some(*by) > committed);
            let open: Vec<(CheckpointId, Transaction)> = open.collect();
            self.note(|_| {
                format!(
                    "    restarts from {}, commits {}",
                    image.checkpoint,
                    committed_by(&open)
                )
            });
            self.commit_all(&open)?;
            self.outside.committed = Some(image.checkpoint);
        }
        let attempt = AttemptId(self.attempt.0 + 1);
        let log = self.log.take();
        *self = Self::start(self.job.clone(), attempt, (*self.outside).clone());
        self.log = log;
        Ok(())
    }

    /// What a crash would leave, as a fingerprint.
    pub(crate) fn crash_print(&self) -> (u64, u128) {
        (self.attempt.0, self.outside.print())
    }

    pub(crate) fn store(&mut self, manifest: &Manifest) -> Outcome {
        let newest = self.outside.newest_checkpoint();
        if newest > Some(manifest.checkpoint) {
            return Err(
                Promise::Protocol.broken(format!("{} is published after {newest:?}", manifest.checkpoint))
            );
        }
        let mut image = Image::of(&self.job, manifest);
        if self.outside.crashes == 0 {
            // Nobody will ever read it.
            image.tasks.clear();
            image.commits.clear();
        }
        self.outside.newest = Some(image);
        Ok(())
    }

    pub(crate) fn commit_all(&mut self, commits: &[(CheckpointId, Transaction)]) -> Outcome {
        for (_, transaction) in commits {
            let outside = &mut *self.outside;
            if outside.done.insert((transaction.attempt, transaction.checkpoint)) {
                outside.output.extend(transaction.records.0.iter().copied());
            }
        }
        self.check_output()
    }
}

pub(crate) fn committable(transaction: &Transaction) -> Committable {
    Committable(serde_json::to_vec(transaction).unwrap().into())
}

/// What these commits bring, in words.
pub(crate) fn committed_by(commits: &[(CheckpointId, Transaction)]) -> String {
    let mut all = Bag::default();
    let records = commits.iter().flat_map(|(_, transaction)| &transaction.records.0);
    all.extend(records.copied());
    all.to_string()
}

pub(crate) fn transactions(commits: &[SubtaskCommit]) -> Vec<(CheckpointId, Transaction)> {
    let decoded = |commit: &SubtaskCommit| {
        let by = commit.checkpoint;
        let transaction = |Committable(bytes): &Committable| serde_json::from_slice(bytes).unwrap();
        commit
            .committables
            .iter()
            .map(move |committable| (by, transaction(committable)))
            .collect::<Vec<_>>()
    };
    commits.iter().flat_map(decoded).collect()
}

fn decoded<T: Default + serde::de::DeserializeOwned>(handle: Option<&StateHandle>) -> T {
    match handle.map(|handle| &handle.location) {
        Some(StateLocation::Inline(bytes)) => serde_json::from_slice(bytes).unwrap(),
        _ => T::default(),
    }
}
