//! A whole job with loops in one thread: tasks, channels, coordinator, and who is next by chance.

use super::dataflow::{Dataflow, Effects, Random, Record};
use crate::gate::barrier;
use snapline_barrier::{
    AlignmentAction, BarrierAligner, BarrierHandler, ChannelCut, ChannelIndex, ChannelReceiver,
    ChannelSender, ConsistentCut, EndOfInputRule, LoopHead, LoopState, LoopTermination, RecordedRun,
    TaskActivity, TaskCut,
};
use snapline_core::{
    AttemptId, BarrierAlignment, BatchHeader, CheckpointId, OperatorUid, SubtaskId, SubtaskIndex, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many elements a channel takes, unless it is a back edge.
const ROOM: usize = 2;

/// How many checkpoints may run at a time, and in one run of a job.
const CONCURRENT: usize = 2;
const CHECKPOINTS: u64 = 12;

/// Makes the handler of a task with a back edge.
pub(crate) type MakeHead = fn(LoopHead<BarrierAligner>) -> Box<dyn BarrierHandler>;

#[derive(Debug, Clone, Copy)]
enum Element {
    Batch(BatchHeader, Record),
    Barrier(u64, u64),
    Cancel(u64),
    EndOfData,
}

struct Channel {
    queue: VecDeque<Element>,
    sender: ChannelSender,
    receiver: ChannelReceiver,
    blocked: bool,
    data_ended: bool,
}

#[derive(Debug, Clone, Copy)]
enum Message {
    Trigger(u64),
    Abort(u64),
}

struct Task {
    handler: Box<dyn BarrierHandler>,
    inputs: Vec<usize>,
    state: TaskState,
    /// Taken and not acknowledged.
    snapshots: BTreeMap<u64, Snapshot>,
    messages: VecDeque<Message>,
    data_ended: bool,
}

#[derive(Debug, Clone, Default)]
struct TaskState {
    effects: BTreeMap<u64, u32>,
    read: u64,
}

#[derive(Debug, Clone)]
struct Snapshot {
    state: TaskState,
    channels: BTreeMap<usize, ChannelSnapshot>,
}

#[derive(Debug, Clone, Default)]
struct ChannelSnapshot {
    received: u64,
    /// Known from the barrier.
    sent: Option<u64>,
    recording: bool,
    log: Vec<(u64, Record)>,
}

type Snapshots = BTreeMap<usize, Snapshot>;

#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(usize),
    Read(usize),
    Message(usize),
    Trigger,
    Abort,
}

/// A job, until it is over.
pub(crate) struct Job<'a> {
    dataflow: &'a Dataflow,
    make: MakeHead,
    random: Random,
    tasks: Vec<Task>,
    channels: Vec<Channel>,
    newest: u64,
    pending: BTreeMap<u64, Snapshots>,
    completed: Option<Snapshots>,
    loops: Vec<(Vec<usize>, LoopTermination)>,
    attempt: u32,
    pub(crate) steps: usize,
    pub(crate) completions: usize,
    /// Batches that were in a loop at a cut.
    pub(crate) logged: usize,
}

impl<'a> Job<'a> {
    pub(crate) fn new(dataflow: &'a Dataflow, make: MakeHead, seed: u64) -> Self {
        let mut job = Self {
            dataflow,
            make,
            random: Random(seed),
            tasks: Vec::new(),
            channels: Vec::new(),
            newest: 0,
            pending: BTreeMap::new(),
            completed: None,
            loops: Vec::new(),
            attempt: 0,
            steps: 0,
            completions: 0,
            logged: 0,
        };
        job.restore();
        job
    }

    /// Runs until the job is over, with a crash before each of these steps.
    pub(crate) fn run(&mut self, crashes: &[usize]) -> Result<(), String> {
        while !self.is_over() {
            if crashes.contains(&self.steps) {
                self.restore();
            }
            let steps = self.possible();
            if steps.is_empty() {
                return Err(format!("stuck after {} steps", self.steps));
            }
            let step = steps[self.random.below(steps.len())];
            self.step(step)
                .map_err(|error| format!("{error}, at step {} {step:?}", self.steps))?;
            self.steps += 1;
            if self.steps > 20_000 {
                return Err("the job does not end".to_owned());
            }
        }
        self.verdict()
    }

    fn verdict(&self) -> Result<(), String> {
        let effects: Effects = self.tasks.iter().map(|task| task.state.effects.clone()).collect();
        let kept = self.tasks.iter().flat_map(|task| task.snapshots.keys());
        match kept.copied().find(|id| !self.pending.contains_key(id)) {
            Some(id) => Err(format!("checkpoint {id} is over, but its snapshot is still kept")),
            None if effects == self.dataflow.effects() => Ok(()),
            None => Err("the effects are not exactly once".to_owned()),
        }
    }

    fn is_over(&self) -> bool {
        let idle = |task: &Task| task.data_ended && task.messages.is_empty();
        self.tasks.iter().all(idle) && self.channels.iter().all(|channel| channel.queue.is_empty())
    }

    /// Starts all tasks from the completed checkpoint, or from nothing.
    fn restore(&mut self) {
        self.attempt += 1;
        self.pending.clear();
        let attempt = AttemptId(self.attempt.into());
        let mut snapshots = self.completed.clone().unwrap_or_default();
        let channel = |_| Channel {
            queue: VecDeque::new(),
            sender: ChannelSender::new(attempt),
            receiver: ChannelReceiver::new(ChannelIndex(0), attempt),
            blocked: false,
            data_ended: false,
        };
        self.channels = (0..self.dataflow.edges.len()).map(channel).collect();
        self.tasks.clear();
        for task in 0..self.dataflow.tasks {
            let (mut state, mut logs) = Default::default();
            if let Some(snapshot) = snapshots.remove(&task) {
                (state, logs) = (snapshot.state, snapshot.channels);
            }
            for (edge, snapshot) in logs {
                let channel = &mut self.channels[edge];
                let preload = |(_, record)| Element::Batch(channel.sender.next_header(), record);
                channel.queue = snapshot.log.into_iter().map(preload).collect();
            }
            let task = self.task(task, state);
            self.tasks.push(task);
        }
        self.loops = self
            .dataflow
            .loops()
            .into_iter()
            .map(|tasks| (tasks.clone(), self.watch(tasks)))
            .collect();
    }

    fn task(&self, task: usize, state: TaskState) -> Task {
        let inputs: Vec<usize> = self.dataflow.inputs(task).collect();
        let back = inputs
            .iter()
            .enumerate()
            .filter(|(_, edge)| self.dataflow.edges[**edge].back);
        let back: Vec<ChannelIndex> = back.map(|(k, _)| ChannelIndex(k.try_into().unwrap())).collect();
        let aligner = BarrierAligner::new(inputs.len().try_into().unwrap(), EndOfInputRule::StandsIn);
        let handler: Box<dyn BarrierHandler> = if back.is_empty() {
            Box::new(aligner)
        } else {
            (self.make)(LoopHead::new(aligner, back))
        };
        Task {
            handler,
            inputs,
            state,
            snapshots: BTreeMap::new(),
            messages: VecDeque::new(),
            data_ended: false,
        }
    }

    fn watch(&self, tasks: Vec<usize>) -> LoopTermination {
        let (entries, others): (Vec<usize>, Vec<usize>) = tasks
            .iter()
            .partition(|task| !self.external(&tasks, **task).is_empty());
        LoopTermination::new(entries.into_iter().map(id), others.into_iter().map(id))
    }

    /// The edges from outside a loop to one of its tasks.
    fn external(&self, tasks: &[usize], task: usize) -> Vec<usize> {
        let edges = &self.dataflow.edges;
        let inputs = self.dataflow.inputs(task);
        inputs
            .filter(|edge| !tasks.contains(&edges[*edge].from))
            .collect()
    }

    fn possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (edge, channel) in self.channels.iter().enumerate() {
            let ready = !channel.blocked && !channel.queue.is_empty();
            if ready && self.has_room(self.dataflow.edges[edge].to) {
                steps.extend([Step::Deliver(edge); 4]);
            }
        }
        for (index, task) in self.tasks.iter().enumerate() {
            if !task.messages.is_empty() {
                steps.extend([Step::Message(index); 4]);
            }
            if self.dataflow.is_source(index) && !task.data_ended && self.has_room(index) {
                steps.push(Step::Read(index));
            }
        }
        // At the end of the data there are as many checkpoints as it takes.
        let mut sources = (0..self.tasks.len()).filter(|task| self.dataflow.is_source(*task));
        let ended = sources.all(|source| self.tasks[source].data_ended);
        if self.pending.len() < CONCURRENT && (self.newest < CHECKPOINTS || ended) {
            steps.push(Step::Trigger);
        }
        if !self.pending.is_empty() && self.newest < CHECKPOINTS && self.random.0.is_multiple_of(3) {
            steps.push(Step::Abort);
        }
        steps
    }

    fn has_room(&self, task: usize) -> bool {
        let full = |edge: usize| !self.dataflow.edges[edge].back && self.channels[edge].queue.len() >= ROOM;
        !self.dataflow.outputs(task).any(full)
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Deliver(edge) => self.deliver(edge),
            Step::Read(source) => self.read(source),
            Step::Message(task) => self.message(task),
            Step::Trigger => {
                self.newest += 1;
                self.pending.insert(self.newest, BTreeMap::new());
                self.tell(|task, newest| {
                    task.handler
                        .open_channels()
                        .eq(&0)
                        .then_some(Message::Trigger(newest))
                });
                Ok(())
            }
            Step::Abort => {
                let which = self.random.below(self.pending.len());
                let id = *self.pending.keys().nth(which).unwrap();
                self.give_up(id);
                Ok(())
            }
        }
    }

    fn give_up(&mut self, id: u64) {
        if self.pending.remove(&id).is_some() {
            self.tell(|task, _| (!task.inputs.is_empty()).then_some(Message::Abort(id)));
        }
    }

    fn tell(&mut self, message: impl Fn(&Task, u64) -> Option<Message>) {
        for task in &mut self.tasks {
            let message = message(task, self.newest);
            task.messages.extend(message);
        }
    }

    fn read(&mut self, source: usize) -> Result<(), String> {
        let read = self.tasks[source].state.read;
        if read == self.dataflow.records {
            self.end_data(source);
            return Ok(());
        }
        self.tasks[source].state.read += 1;
        self.process(source, Dataflow::record(source, read));
        Ok(())
    }

    fn process(&mut self, task: usize, record: Record) {
        *self.tasks[task].state.effects.entry(record.id).or_insert(0) += 1;
        for (edge, child) in self.dataflow.process(task, record) {
            let channel = &mut self.channels[edge];
            let header = channel.sender.next_header();
            channel.queue.push_back(Element::Batch(header, child));
        }
    }

    fn end_data(&mut self, task: usize) {
        self.tasks[task].data_ended = true;
        self.send(task, |_| Element::EndOfData);
    }

    fn send(&mut self, task: usize, mut element: impl FnMut(&mut ChannelSender) -> Element) {
        for edge in self.dataflow.outputs(task) {
            let channel = &mut self.channels[edge];
            let element = element(&mut channel.sender);
            channel.queue.push_back(element);
        }
    }

    fn message(&mut self, index: usize) -> Result<(), String> {
        let mut out = Vec::new();
        match self.tasks[index].messages.pop_front().unwrap() {
            // What a source does at once is what other tasks are told by their handler.
            Message::Trigger(id) if self.pending.contains_key(&id) => {
                let (barrier, alignment) = (barrier(id), std::time::Duration::ZERO);
                let checkpoint = barrier.checkpoint;
                out = vec![
                    AlignmentAction::Snapshot { barrier, alignment },
                    AlignmentAction::Complete { checkpoint },
                ];
            }
            Message::Trigger(id) => out = vec![AlignmentAction::ForwardCancel(CheckpointId(id))],
            Message::Abort(id) => {
                self.tasks[index]
                    .handler
                    .on_abort(CheckpointId(id), Timestamp(0), &mut out);
            }
        }
        self.carry_out(index, out)
    }

    fn deliver(&mut self, edge: usize) -> Result<(), String> {
        let task = self.dataflow.edges[edge].to;
        let k = self.tasks[task]
            .inputs
            .iter()
            .position(|input| *input == edge)
            .unwrap();
        let (k, now, mut out) = (ChannelIndex(k.try_into().unwrap()), Timestamp(0), Vec::new());
        let channel = &mut self.channels[edge];
        match channel.queue.pop_front().unwrap() {
            Element::Batch(header, record) => {
                channel
                    .receiver
                    .on_batch(header)
                    .map_err(|error| error.to_string())?;
                if self.tasks[task].data_ended {
                    return Err("a record came after the end of the data".to_owned());
                }
                for snapshot in self.tasks[task].snapshots.values_mut() {
                    let channel = snapshot.channels.get_mut(&edge).unwrap();
                    if channel.recording {
                        channel.log.push((header.seq, record));
                    }
                }
                self.process(task, record);
            }
            Element::Barrier(id, sent) => {
                let received = channel.receiver.on_barrier(CheckpointId(id), sent);
                received.map_err(|error| error.to_string())?;
                if let Some(snapshot) = self.tasks[task].snapshots.get_mut(&id) {
                    snapshot.channels.get_mut(&edge).unwrap().sent = Some(sent);
                }
                self.tasks[task].handler.on_barrier(k, barrier(id), now, &mut out);
            }
            Element::Cancel(id) => {
                let cancelled = channel.receiver.on_cancel(CheckpointId(id));
                cancelled.map_err(|error| error.to_string())?;
                self.tasks[task]
                    .handler
                    .on_cancel(k, CheckpointId(id), now, &mut out);
            }
            Element::EndOfData => {
                channel.data_ended = true;
                self.on_end_of_data(task);
            }
        }
        self.carry_out(task, out)
    }

    /// The data of an input of a task has ended, or its loop is over.
    fn on_end_of_data(&mut self, task: usize) {
        let (edges, channels) = (&self.dataflow.edges, &self.channels);
        let ended = |edge: &usize| channels[*edge].data_ended;
        let mut regular = self.dataflow.inputs(task).filter(|edge| !edges[*edge].back);
        let all_ended = regular.all(|edge| ended(&edge));
        let mut may_end = true;
        for index in 0..self.loops.len() {
            let external = self.external(&self.loops[index].0, task);
            let (tasks, watch) = &mut self.loops[index];
            if tasks.contains(&task) && !external.is_empty() {
                if external.iter().all(ended) {
                    watch.on_input_ended(&id(task), CheckpointId(self.newest));
                }
                may_end = watch.state() == LoopState::Over;
            }
        }
        if all_ended && may_end && !self.tasks[task].data_ended {
            self.end_data(task);
        }
    }

    fn carry_out(&mut self, index: usize, actions: Vec<AlignmentAction>) -> Result<(), String> {
        for action in actions {
            match action {
                AlignmentAction::Block(k) => self.channel(index, k).blocked = true,
                AlignmentAction::Unblock(k) => self.channel(index, k).blocked = false,
                AlignmentAction::Snapshot { barrier, .. } => self.snapshot(index, barrier.checkpoint.0),
                AlignmentAction::Record { checkpoint, channel } => {
                    self.recording(index, checkpoint, channel, true)?;
                }
                AlignmentAction::StopRecording { checkpoint, channel } => {
                    self.recording(index, checkpoint, channel, false)?;
                }
                AlignmentAction::Complete { checkpoint } => {
                    let snapshot = self.tasks[index].snapshots.remove(&checkpoint.0);
                    self.acknowledge(index, checkpoint.0, snapshot.ok_or("nothing to complete")?)?;
                }
                AlignmentAction::DropRecording { checkpoint } => {
                    self.tasks[index].snapshots.remove(&checkpoint.0);
                }
                AlignmentAction::Decline { checkpoint, .. } => self.give_up(checkpoint.0),
                AlignmentAction::ForwardCancel(checkpoint) => self.send(index, |sender| {
                    sender.on_cancel(checkpoint);
                    Element::Cancel(checkpoint.0)
                }),
                AlignmentAction::Prioritize(_) => return Err("nothing was announced".to_owned()),
            }
        }
        Ok(())
    }

    fn channel(&mut self, task: usize, k: ChannelIndex) -> &mut Channel {
        &mut self.channels[self.tasks[task].inputs[k.as_usize()]]
    }

    fn recording(
        &mut self,
        task: usize,
        checkpoint: CheckpointId,
        k: ChannelIndex,
        recording: bool,
    ) -> Result<(), String> {
        let edge = self.tasks[task].inputs[k.as_usize()];
        let snapshot = self.tasks[task].snapshots.get_mut(&checkpoint.0);
        let snapshot = snapshot.ok_or("a log without a snapshot")?;
        snapshot.channels.get_mut(&edge).unwrap().recording = recording;
        Ok(())
    }

    fn snapshot(&mut self, task: usize, checkpoint: u64) {
        let channel = |edge: &usize| {
            let receiver = &self.channels[*edge].receiver;
            // A back edge has not delivered the barrier yet, the others have.
            let at_barrier = receiver.check_cut(CheckpointId(checkpoint)).is_ok();
            let snapshot = ChannelSnapshot {
                received: receiver.received(),
                sent: at_barrier.then_some(receiver.received()),
                ..ChannelSnapshot::default()
            };
            (*edge, snapshot)
        };
        let snapshot = Snapshot {
            state: self.tasks[task].state.clone(),
            channels: self.tasks[task].inputs.iter().map(channel).collect(),
        };
        self.tasks[task].snapshots.insert(checkpoint, snapshot);
        self.send(task, |sender| {
            Element::Barrier(checkpoint, sender.on_barrier(CheckpointId(checkpoint)))
        });
    }

    fn acknowledge(&mut self, task: usize, checkpoint: u64, snapshot: Snapshot) -> Result<(), String> {
        if snapshot.channels.values().any(|channel| channel.sent.is_none()) {
            return Err("acknowledged before all barriers".to_owned());
        }
        let Some(snapshots) = self.pending.get_mut(&checkpoint) else {
            return Ok(());
        };
        if snapshots.insert(task, snapshot).is_some() {
            return Err("acknowledged twice".to_owned());
        }
        if snapshots.len() < self.tasks.len() {
            return Ok(());
        }
        let snapshots = self.pending.remove(&checkpoint).unwrap();
        self.complete(checkpoint, snapshots)
    }

    fn complete(&mut self, checkpoint: u64, snapshots: Snapshots) -> Result<(), String> {
        let cuts: Vec<(SubtaskId, TaskCut)> = snapshots
            .iter()
            .map(|(task, snapshot)| (id(*task), snapshot.cut()))
            .collect();
        let verified =
            ConsistentCut::verify(cuts.iter().map(|(id, cut)| (id, cut)), BarrierAlignment::Aligned);
        verified.map_err(|violation| violation.to_string())?;
        let logs = snapshots.values().flat_map(|snapshot| snapshot.channels.values());
        self.logged += logs.map(|channel| channel.log.len()).sum::<usize>();
        self.completions += 1;
        self.completed = Some(snapshots);
        let subsumed: BTreeSet<u64> = self.pending.range(..checkpoint).map(|(id, _)| *id).collect();
        subsumed.into_iter().for_each(|id| self.give_up(id));
        for index in 0..self.loops.len() {
            let (tasks, watch) = &mut self.loops[index];
            let was = watch.state();
            let idle = cuts.iter().map(|(id, cut)| (id, cut, TaskActivity::Idle));
            if watch.on_completed(CheckpointId(checkpoint), idle) != was {
                let inside: Vec<usize> = tasks.clone();
                self.check_empty(&inside)?;
                inside.into_iter().for_each(|task| self.on_end_of_data(task));
            }
        }
        Ok(())
    }

    fn check_empty(&self, tasks: &[usize]) -> Result<(), String> {
        let edges = self.dataflow.edges.iter().zip(&self.channels);
        let inside = edges.filter(|(edge, _)| tasks.contains(&edge.from) && tasks.contains(&edge.to));
        let is_batch = |element: &Element| matches!(element, Element::Batch(..));
        if inside.flat_map(|(_, channel)| &channel.queue).any(is_batch) {
            return Err("a loop is over, but a record is inside".to_owned());
        }
        Ok(())
    }
}

impl Snapshot {
    fn cut(&self) -> TaskCut {
        let run = |(seq, _): &(u64, Record)| RecordedRun {
            from: *seq,
            to: seq + 1,
        };
        let channel = |channel: &ChannelSnapshot| ChannelCut {
            received: channel.received,
            sent: channel.sent.unwrap_or(0),
            recorded: channel.log.iter().map(run).collect(),
        };
        TaskCut {
            clock: None,
            channels: self.channels.values().map(channel).collect(),
        }
    }
}

fn id(task: usize) -> SubtaskId {
    SubtaskId {
        operator: OperatorUid::new(format!("task-{task}")).unwrap(),
        index: SubtaskIndex(0),
    }
}
