//! What one task and one channel consist of: production machines and what is around them.

use crate::doubles::{Machine, handler};
use crate::job::{EdgeKind, Job, Role};
use crate::record::{Bag, Record};
use serde::{Deserialize, Serialize};
use snapline_barrier::{
    ChannelClock, ChannelIndex, ChannelReceiver, ChannelSender, ChannelStateRecorder, TaskClock, TaskHistory,
};
use snapline_core::{AttemptId, BarrierAlignment, CheckpointBarrier, CheckpointId, Frame, StreamElement};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

/// What a task keeps over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TaskState {
    /// How many records a source has read.
    pub(crate) read: u8,
    /// What has come, by input.
    pub(crate) seen: Vec<Bag>,
}

/// What a sink has pre-committed at one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) attempt: AttemptId,
    pub(crate) checkpoint: CheckpointId,
    pub(crate) records: Bag,
}

/// What the coordinator has told a task.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) enum Control {
    Trigger(CheckpointBarrier),
    Abort(CheckpointId),
    Complete(CheckpointId),
}

/// A snapshot until all barriers are in.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Taken {
    pub(crate) alignment: BarrierAlignment,
    pub(crate) state: TaskState,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) received: Vec<u64>,
    /// How many batches were sent before the barrier, by input, where that is in.
    pub(crate) sent: Vec<Option<u64>>,
    pub(crate) clock: Option<TaskClock>,
}

#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) state: TaskState,
    /// Of a sink: what came since the last snapshot, and what was pre-committed and is not complete.
    pub(crate) open: Bag,
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) senders: Vec<(ChannelSender, ChannelClock)>,
    pub(crate) history: TaskHistory,
    pub(crate) receivers: Vec<ChannelReceiver>,
    /// How many batches were sent before the newest barrier, by input.
    pub(crate) sent: Vec<u64>,
    pub(crate) handler: Box<dyn Machine>,
    pub(crate) recorder: ChannelStateRecorder<Record>,
    pub(crate) taken: BTreeMap<CheckpointId, Taken>,
    pub(crate) control: VecDeque<Control>,
    /// Up to here all checkpoints are over for the handler. It decides nothing about them any more.
    pub(crate) over: CheckpointId,
}

/// A FIFO with what the gate does around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channel {
    pub(crate) queue: VecDeque<Frame<Record>>,
    pub(crate) blocked: bool,
    /// Whether the receiver was told of the first marker.
    pub(crate) heard: bool,
}

impl Task {
    pub(crate) fn new(job: &Job, task: usize, attempt: AttemptId, mut state: TaskState) -> Self {
        let plan = &job.tasks[task];
        state.seen.resize(plan.inputs.len(), Bag::default());
        let inputs = 0..u32::try_from(plan.inputs.len()).unwrap();
        let (position, tasks) = (
            u32::try_from(task).unwrap(),
            u32::try_from(job.tasks.len()).unwrap(),
        );
        let sender = |_: &usize| (ChannelSender::new(attempt), ChannelClock::default());
        Self {
            state,
            open: Bag::default(),
            transactions: Vec::new(),
            senders: plan.outputs.iter().map(sender).collect(),
            history: TaskHistory::new(job.clocks, position, tasks),
            sent: vec![0; plan.inputs.len()],
            receivers: inputs
                .map(|input| ChannelReceiver::new(ChannelIndex(input), attempt))
                .collect(),
            handler: handler(job, task),
            recorder: ChannelStateRecorder::new(),
            taken: BTreeMap::new(),
            control: VecDeque::new(),
            over: CheckpointId::NONE,
        }
    }

    /// Finds out which checkpoints are over, after each decision of the handler.
    pub(crate) fn look_back(&mut self) {
        self.over = match self.handler.pending().iter().min() {
            Some(oldest) => CheckpointId(oldest.0 - 1),
            None => self.handler.latest(),
        };
    }

    /// A sink promises what has come so far.
    pub(crate) fn pre_commit(&mut self, role: Role, attempt: AttemptId, checkpoint: CheckpointId) {
        if role == Role::Sink && !self.open.is_empty() {
            self.transactions.push(Transaction {
                attempt,
                checkpoint,
                records: std::mem::take(&mut self.open),
            });
        }
    }

    /// Whether a checkpoint that was given up means nothing to it, now and ever.
    pub(crate) fn is_past(&self, checkpoint: CheckpointId) -> bool {
        self.handler.latest() >= checkpoint && !self.handler.pending().contains(&checkpoint)
    }
}

impl Hash for Channel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.blocked, self.heard, self.queue.len()).hash(state);
        for Frame {
            header,
            clock,
            element,
        } in &self.queue
        {
            header.hash(state);
            clock.as_ref().map(|clock| (clock.own, &clock.others)).hash(state);
            match element {
                StreamElement::Batch(record) => record.hash(state),
                StreamElement::Barrier { barrier, sent } => (barrier, sent).hash(state),
                StreamElement::CancelCheckpoint(checkpoint) => (true, checkpoint).hash(state),
                _ => {}
            }
        }
    }
}

impl Channel {
    /// The first marker, and its position.
    pub(crate) fn first_marker(&self) -> Option<(usize, &StreamElement<Record>)> {
        let is_batch = |element: &StreamElement<Record>| matches!(element, StreamElement::Batch(_));
        let elements = self.queue.iter().map(|frame| &frame.element);
        elements.enumerate().find(|(_, element)| !is_batch(element))
    }

    /// The barrier of which the receiver may be told.
    pub(crate) fn announcement(&self) -> Option<CheckpointBarrier> {
        match self.first_marker() {
            Some((_, StreamElement::Barrier { barrier, .. }))
                if !self.heard && barrier.options.alignment.may_record() =>
            {
                Some(*barrier)
            }
            _ => None,
        }
    }

    /// Takes an element out of the queue.
    pub(crate) fn take(&mut self, position: usize) -> Frame<Record> {
        let frame = self.queue.remove(position).unwrap();
        if !matches!(frame.element, StreamElement::Batch(_)) {
            self.heard = false;
        }
        frame
    }

    /// The batches that stand before the first element sent after `sent` batches.
    pub(crate) fn overtaken(&self, sent: u64) -> Vec<(u64, Record)> {
        let before = self.queue.iter().take_while(|frame| frame.header.seq < sent);
        let batches = before.filter_map(|frame| match frame.element {
            StreamElement::Batch(record) => Some((frame.header.seq, record)),
            _ => None,
        });
        batches.collect()
    }

    pub(crate) fn has_room(&self, job: &Job, kind: EdgeKind) -> bool {
        let is_batch = |frame: &&Frame<Record>| matches!(frame.element, StreamElement::Batch(_));
        kind == EdgeKind::Back || self.queue.iter().filter(is_batch).count() < job.room
    }
}
