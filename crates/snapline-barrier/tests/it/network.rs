//! A job in one value: sources, mappers and sinks with real channel ends, aligners, recorders and clocks,
//! whose steps are drawn from a seed, and in which one thing can go wrong.

mod mutation;
mod task;

pub(crate) use mutation::Mutation;
pub(crate) use task::{Caught, LocalChecks};

use snapline_barrier::{BarrierHandler, ChannelClock, ChannelIndex, ChannelSender, ConsistentCut, TaskCut};
use snapline_core::{
    AttemptId, BarrierAlignment, BarrierOptions, BatchHeader, CheckpointBarrier, CheckpointId, ClockDelta,
    ConsistencyProof, OperatorUid, SubtaskId, SubtaskIndex, Timestamp,
};
use std::collections::VecDeque;
use task::Task;

const ATTEMPT: AttemptId = AttemptId(5);

/// SplitMix64.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

#[derive(Debug, Clone)]
enum Item {
    Batch(BatchHeader, Option<ClockDelta>),
    Barrier(CheckpointBarrier, u64),
}

/// The one queue that both ends of a channel share.
#[derive(Debug)]
struct Channel {
    from: usize,
    to: usize,
    /// Its position among the inputs of the receiver.
    input: usize,
    sender: ChannelSender,
    told: ChannelClock,
    queue: VecDeque<Item>,
    announced: CheckpointId,
}

impl Channel {
    /// A barrier that is queued behind batches and was not announced.
    fn unannounced(&self) -> Option<CheckpointBarrier> {
        let mut barriers = self.queue.iter().skip(1).filter_map(|item| match item {
            Item::Barrier(barrier, _) => Some(*barrier),
            Item::Batch(..) => None,
        });
        barriers.rfind(|barrier| barrier.checkpoint > self.announced)
    }
}

pub(crate) struct Settings {
    pub(crate) seed: u64,
    /// Subtasks of each stage. Each sends to all of the next.
    pub(crate) stages: Vec<usize>,
    pub(crate) alignment: BarrierAlignment,
    pub(crate) proof: ConsistencyProof,
    pub(crate) checks: LocalChecks,
    pub(crate) mutation: Option<Mutation>,
}

/// What became of a job.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) caught: Option<Caught>,
    /// Whether the mutation found its place.
    pub(crate) is_mutated: bool,
    pub(crate) proofs: Vec<ConsistentCut>,
}

pub(crate) struct Network {
    random: Random,
    now: Timestamp,
    alignment: BarrierAlignment,
    checks: LocalChecks,
    mutation: mutation::Pending,
    tasks: Vec<Task>,
    channels: Vec<Channel>,
    /// The newest checkpoint that was triggered.
    current: CheckpointId,
    proofs: Vec<ConsistentCut>,
}

impl Network {
    pub(crate) fn new(settings: Settings) -> Self {
        let mut random = Random(settings.seed);
        let count = settings.stages.iter().sum::<usize>();
        let mut tasks: Vec<Task> = (0..count)
            .map(|task| Task::new(task as u32, count as u32, settings.proof))
            .collect();
        let mut channels = Vec::new();
        let mut first = 0;
        for pair in settings.stages.windows(2) {
            let next = first + pair[0];
            for (from, to) in (first..next).flat_map(|from| (next..next + pair[1]).map(move |to| (from, to)))
            {
                tasks[from].outputs.push(channels.len());
                channels.push(Channel {
                    from,
                    to,
                    input: tasks[to].add_input(channels.len()),
                    sender: ChannelSender::new(ATTEMPT),
                    told: ChannelClock::default(),
                    queue: VecDeque::new(),
                    announced: CheckpointId::NONE,
                });
            }
            first = next;
        }
        Self {
            mutation: mutation::Pending::new(settings.mutation, random.below(150)),
            random,
            now: Timestamp(0),
            alignment: settings.alignment,
            checks: settings.checks,
            tasks,
            channels,
            current: CheckpointId::NONE,
            proofs: Vec::new(),
        }
    }

    /// Runs four checkpoints, and two more when something went wrong in the last of them.
    pub(crate) fn run(mut self) -> Outcome {
        let mut last = 4;
        let mut caught = None;
        let mut steps = 0;
        while caught.is_none() && self.proofs.len() < last {
            caught = self.step().and_then(|()| self.verify()).err();
            steps += 1;
            assert!(steps < 100_000, "checkpoint {} never completes", self.current);
            if self.mutation.is_done() {
                last = last.max(self.proofs.len().min(5) + 2);
            }
        }
        Outcome {
            caught,
            is_mutated: self.mutation.is_done(),
            proofs: self.proofs,
        }
    }

    fn step(&mut self) -> Result<(), Caught> {
        self.mutate_queue();
        match self.random.below(12) {
            0..4 => self.source_acts(),
            4 => self.announce(),
            5 => self.pass_time(),
            _ => self.receive(),
        }
    }

    fn verify(&mut self) -> Result<(), Caught> {
        if self.tasks.iter().all(|task| task.acknowledged.is_some()) {
            let cuts: Vec<TaskCut> = self
                .tasks
                .iter_mut()
                .filter_map(|task| task.acknowledged.take())
                .collect();
            let ids: Vec<SubtaskId> = (0..cuts.len()).map(id).collect();
            let proof = ConsistentCut::verify(ids.iter().zip(&cuts), self.alignment)?;
            self.proofs.push(proof);
            self.current = self.current.next();
        }
        if self.current == CheckpointId::NONE {
            self.current = self.current.next();
        }
        Ok(())
    }

    fn source_acts(&mut self) -> Result<(), Caught> {
        let sources = self.tasks.iter().filter(|task| task.is_source()).count();
        let source = self.random.below(sources);
        let checkpoint = self.current;
        if self.tasks[source].latest < checkpoint && self.random.below(8) == 0 {
            let alignment = self.alignment;
            let barrier = CheckpointBarrier {
                checkpoint,
                created: self.now,
                options: BarrierOptions {
                    alignment,
                    ..BarrierOptions::default()
                },
            };
            let task = &mut self.tasks[source];
            task.latest = checkpoint;
            task.acknowledged = Some(TaskCut {
                clock: task.history.on_snapshot(),
                channels: Vec::new(),
            });
            self.forward(source, barrier);
        } else {
            let output = self.random.below(self.tasks[source].outputs.len());
            self.send(source, output);
        }
        Ok(())
    }

    fn send(&mut self, task: usize, output: usize) {
        let task = &mut self.tasks[task];
        let channel = &mut self.channels[task.outputs[output]];
        let delta = task.history.on_send(&mut channel.told);
        let header = channel.sender.next_header();
        channel.queue.push_back(Item::Batch(header, delta));
    }

    fn forward(&mut self, task: usize, barrier: CheckpointBarrier) {
        for output in &self.tasks[task].outputs {
            let channel = &mut self.channels[*output];
            let sent = channel.sender.on_barrier(barrier.checkpoint);
            channel.queue.push_back(Item::Barrier(barrier, sent));
        }
    }

    fn announce(&mut self) -> Result<(), Caught> {
        let at = self.random.below(self.channels.len());
        let channel = &mut self.channels[at];
        match channel.unannounced() {
            Some(barrier) if barrier.options.alignment.may_record() => {
                channel.announced = barrier.checkpoint;
                let (task, input) = (channel.to, ChannelIndex(channel.input as u32));
                let mut actions = Vec::new();
                let handler = &mut self.tasks[task].handler;
                handler.on_announcement(input, barrier, self.now, &mut actions);
                self.carry_out(task, actions)
            }
            _ => Ok(()),
        }
    }

    fn pass_time(&mut self) -> Result<(), Caught> {
        self.now = self.now.plus_millis(1);
        for task in 0..self.tasks.len() {
            let handler = &mut self.tasks[task].handler;
            if handler.deadline().is_some_and(|deadline| deadline <= self.now) {
                let mut actions = Vec::new();
                handler.on_time(self.now, &mut actions);
                self.carry_out(task, actions)?;
            }
        }
        Ok(())
    }

    /// Takes an element from any channel that is not blocked.
    fn receive(&mut self) -> Result<(), Caught> {
        let at = self.random.below(self.channels.len());
        let (task, input) = (self.channels[at].to, self.channels[at].input);
        if self.tasks[task].blocked[input] {
            return Ok(());
        }
        match self.channels[at].queue.pop_front() {
            None => Ok(()),
            Some(Item::Batch(header, delta)) => {
                self.process(at, header, delta)?;
                self.emit(task);
                Ok(())
            }
            Some(Item::Barrier(barrier, sent)) => {
                self.tasks[task].receivers[input].on_barrier(barrier.checkpoint, sent)?;
                self.tasks[task].sent[input] = sent;
                self.on_barrier(at, barrier)
            }
        }
    }

    fn process(&mut self, at: usize, header: BatchHeader, delta: Option<ClockDelta>) -> Result<(), Caught> {
        let Channel { from, to, input, .. } = self.channels[at];
        let task = &mut self.tasks[to];
        task.receivers[input].on_batch(header)?;
        self.mutation.on_batch(to, input);
        task.recorder
            .on_batch(ChannelIndex(input as u32), header.seq, || ());
        if let Some(delta) = &delta {
            task.history.on_receive(from as u32, delta);
        }
        Ok(())
    }

    /// What a task makes of a batch: at most two.
    fn emit(&mut self, task: usize) {
        let outputs = self.tasks[task].outputs.len();
        if self.mutation.floods(task) {
            (0..outputs).for_each(|output| self.send(task, output));
        } else if outputs > 0 {
            for _ in 0..self.random.below(3) {
                let output = self.random.below(outputs);
                self.send(task, output);
            }
        }
    }

    fn on_barrier(&mut self, at: usize, barrier: CheckpointBarrier) -> Result<(), Caught> {
        let (task, input) = (self.channels[at].to, self.channels[at].input);
        self.snapshot_early(task, input, barrier.checkpoint)?;
        let mut actions = Vec::new();
        let handler = &mut self.tasks[task].handler;
        handler.on_barrier(ChannelIndex(input as u32), barrier, self.now, &mut actions);
        self.carry_out(task, actions)
    }

    /// Takes the barrier out of the middle of the queue.
    fn overtake(&mut self, task: usize, input: usize) -> Result<(), Caught> {
        let at = self.tasks[task].inputs[input];
        let channel = &mut self.channels[at];
        let is_barrier = |item: &Item| matches!(item, Item::Barrier(..));
        let place = channel.queue.iter().rposition(is_barrier);
        let Some(Item::Barrier(barrier, sent)) = place.and_then(|place| channel.queue.remove(place)) else {
            panic!("a barrier that was announced is not queued");
        };
        let task = &mut self.tasks[task];
        task.receivers[input].on_overtaking_barrier(barrier.checkpoint, sent)?;
        task.sent[input] = sent;
        self.on_barrier(at, barrier)
    }
}

pub(crate) fn id(task: usize) -> SubtaskId {
    SubtaskId {
        operator: OperatorUid::new("op").unwrap(),
        index: SubtaskIndex(task as u32),
    }
}
