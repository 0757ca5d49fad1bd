//! The jobs that are explored: who is connected with whom, and how much may happen.

use crate::flaw::Flaw;
use crate::record::{Bag, Record};
use snapline_core::{BarrierAlignment, ConsistencyProof, OperatorUid, SubtaskId, SubtaskIndex};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Reads a few records and sends them to its outputs in turn.
    Source,
    /// Sends everything on.
    Pass,
    /// Sends some records back on its first output, and on the second one when they have been round.
    Turn,
    /// Commits what it gets.
    Sink,
}

#[derive(Debug, Clone)]
pub(crate) struct TaskPlan {
    operator: &'static str,
    index: u32,
    pub(crate) role: Role,
    /// Positions of channels, in channel order. A back edge is the last one.
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Which input of its receiver it is.
    pub(crate) input: usize,
    pub(crate) kind: EdgeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdgeKind {
    Plain,
    /// Aligned even by an unaligned checkpoint.
    StaysAligned,
    /// From the end of a loop to its head. It has room for everything.
    Back,
}

/// How often the outside world interferes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) triggers: u8,
    pub(crate) aborts: u8,
    pub(crate) crashes: u8,
    /// Calls of the storage that do not end well.
    pub(crate) faults: u8,
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            triggers,
            aborts,
            crashes,
            faults,
        } = self;
        write!(
            f,
            "checkpoints {triggers}, aborts {aborts}, crashes {crashes}, faults {faults}"
        )
    }
}

/// Who hears that the coordinator has given a checkpoint up. The markers alone have to do for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Everybody,
    Only(usize),
}

/// When the acknowledgements of a checkpoint reach the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    /// All at once, some time after the last one was sent. Those before the last one change nothing
    /// that anybody can see, so that it does not matter when they come: `OneByOne` tries that.
    Together,
    OneByOne,
}

/// When a task is told of a barrier that is queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hearing {
    /// Before it takes the next element, unless that is the barrier itself. So does the runtime.
    First,
    /// At any time, or never.
    AnyTime,
}

/// Which of the checks are on. Those before the named one are off, to show that each is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Net {
    /// What a task checks at its snapshot and before it acknowledges.
    Task,
    /// What the coordinator verifies before it publishes.
    Cut,
    /// The oracle of this model, which follows records.
    Oracle,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) tasks: Vec<TaskPlan>,
    pub(crate) channels: Vec<Edge>,
    pub(crate) alignment: BarrierAlignment,
    pub(crate) concurrent: u32,
    /// Records per source.
    pub(crate) reads: u8,
    /// Batches per channel.
    pub(crate) room: usize,
    pub(crate) budget: Budget,
    pub(crate) clocks: ConsistencyProof,
    pub(crate) told: Told,
    pub(crate) acks: Acks,
    pub(crate) hearing: Hearing,
    pub(crate) net: Net,
    pub(crate) flaw: Option<Flaw>,
}

impl Job {
    /// Two sources, shuffled to two mappers, and a sink. Positions: sources 0 and 1, mappers 2 and 3, sink 4.
    pub(crate) fn shuffle(alignment: BarrierAlignment) -> Self {
        let tasks = [
            ("source", 0, Role::Source),
            ("source", 1, Role::Source),
            ("mapper", 0, Role::Pass),
            ("mapper", 1, Role::Pass),
            ("sink", 0, Role::Sink),
        ];
        let plain = EdgeKind::Plain;
        let edges = [(0, 2), (0, 3), (1, 2), (1, 3), (2, 4), (3, 4)];
        Self::new(&tasks, edges.map(|(from, to)| (from, to, plain)), alignment)
    }

    /// Two sources, a mapper and a sink. Positions: sources 0 and 1, mapper 2, sink 3.
    pub(crate) fn funnel(alignment: BarrierAlignment) -> Self {
        let tasks = [
            ("source", 0, Role::Source),
            ("source", 1, Role::Source),
            ("mapper", 0, Role::Pass),
            ("sink", 0, Role::Sink),
        ];
        let plain = EdgeKind::Plain;
        let edges = [(0, 2), (1, 2), (2, 3)];
        Self::new(&tasks, edges.map(|(from, to)| (from, to, plain)), alignment)
    }

    /// Two sources, a loop of a head and a body, and a sink. Positions: sources 0 and 1, head 2, body 3,
    /// sink 4.
    pub(crate) fn with_loop(alignment: BarrierAlignment) -> Self {
        let tasks = [
            ("source", 0, Role::Source),
            ("source", 1, Role::Source),
            ("head", 0, Role::Pass),
            ("body", 0, Role::Turn),
            ("sink", 0, Role::Sink),
        ];
        use EdgeKind::{Back, Plain};
        let edges = [
            (0, 2, Plain),
            (1, 2, Plain),
            (3, 2, Back),
            (2, 3, Plain),
            (3, 4, Plain),
        ];
        Self::new(&tasks, edges, alignment)
    }

    fn new(
        tasks: &[(&'static str, u32, Role)],
        edges: impl IntoIterator<Item = (usize, usize, EdgeKind)>,
        alignment: BarrierAlignment,
    ) -> Self {
        let task = |&(operator, index, role)| TaskPlan {
            operator,
            index,
            role,
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let mut tasks: Vec<TaskPlan> = tasks.iter().map(task).collect();
        let mut channels = Vec::new();
        for (position, (from, to, kind)) in edges.into_iter().enumerate() {
            let input = tasks[to].inputs.len();
            tasks[from].outputs.push(position);
            tasks[to].inputs.push(position);
            channels.push(Edge {
                from,
                to,
                input,
                kind,
            });
        }
        Self {
            tasks,
            channels,
            alignment,
            concurrent: 1,
            reads: 1,
            room: 1,
            budget: Budget {
                triggers: 2,
                aborts: 1,
                crashes: 1,
                faults: 1,
            },
            clocks: ConsistencyProof::Off,
            told: Told::Everybody,
            acks: Acks::Together,
            hearing: Hearing::First,
            net: Net::Task,
            flaw: None,
        }
    }

    /// What a source reads.
    pub(crate) fn record(task: usize, read: u8) -> Record {
        let source = u8::try_from(task).unwrap();
        Record {
            id: 10 * source + read,
            rounds: 0,
        }
    }

    /// Where a task sends a record that it has read or got, and as what.
    pub(crate) fn route(&self, task: usize, record: Record) -> Option<(usize, Record)> {
        let TaskPlan { role, outputs, .. } = &self.tasks[task];
        let once_more = Record {
            rounds: record.rounds + 1,
            ..record
        };
        match role {
            Role::Source => {
                let turn = task + usize::from(record.id % 10);
                Some((outputs[turn % outputs.len()], record))
            }
            Role::Pass => Some((outputs[0], record)),
            // The first record of each source goes round once.
            Role::Turn if record.rounds == 0 && record.id.is_multiple_of(10) => Some((outputs[0], once_more)),
            Role::Turn => Some((outputs[1], record)),
            Role::Sink => None,
        }
    }

    /// What all tasks get when nothing is lost and nothing comes twice, by channel.
    pub(crate) fn expected(&self) -> Vec<Bag> {
        let mut bags = vec![Bag::default(); self.channels.len()];
        for source in self.sources() {
            for read in 0..self.reads {
                let (mut task, mut record) = (source, Self::record(source, read));
                while let Some((channel, next)) = self.route(task, record) {
                    bags[channel].insert(next);
                    (task, record) = (self.channels[channel].to, next);
                }
            }
        }
        bags
    }

    /// A task and all that get something of what it gets.
    pub(crate) fn reach(&self, task: usize) -> impl Iterator<Item = usize> {
        let mut reached = vec![task];
        let mut next = 0;
        std::iter::from_fn(move || {
            let task = *reached.get(next)?;
            next += 1;
            for channel in &self.tasks[task].outputs {
                let to = self.channels[*channel].to;
                if !reached.contains(&to) {
                    reached.push(to);
                }
            }
            Some(task)
        })
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = usize> {
        (0..self.tasks.len()).filter(|task| self.tasks[*task].role == Role::Source)
    }

    pub(crate) fn is_head(&self, task: usize) -> bool {
        let mut inputs = self.tasks[task].inputs.iter();
        inputs.any(|channel| self.channels[*channel].kind == EdgeKind::Back)
    }

    pub(crate) fn id(&self, task: usize) -> SubtaskId {
        SubtaskId {
            operator: OperatorUid::new(self.tasks[task].operator).unwrap(),
            index: SubtaskIndex(self.tasks[task].index),
        }
    }

    pub(crate) fn channel_name(&self, channel: usize) -> String {
        let Edge { from, to, .. } = self.channels[channel];
        format!("{} → {}", self.id(from), self.id(to))
    }
}
