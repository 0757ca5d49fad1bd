//! One state of everything, and what can happen next.

use crate::desk::Desk;
use crate::job::{Acks, Hearing, Job, Role};
use crate::outside::Outside;
use crate::part::{Part, print_of};
use crate::promise::{Outcome, Promise};
use crate::task::{Channel, Control, Task};
use snapline_core::{AttemptId, BarrierAlignment, CheckpointId, Timestamp};
use std::rc::Rc;

/// A state. Copies share what they have in common.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) job: Rc<Job>,
    pub(crate) attempt: AttemptId,
    /// The clock of all.
    pub(crate) now: Timestamp,
    pub(crate) tasks: Vec<Part<Task>>,
    pub(crate) channels: Vec<Part<Channel>>,
    pub(crate) desk: Part<Desk>,
    pub(crate) outside: Part<Outside>,
    /// What has happened, when somebody wants to read it.
    pub(crate) log: Option<Vec<String>>,
}

/// What can happen. A step is atomic: what a task does without a pause, one message to the coordinator, one
/// call of the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Somebody asks for a checkpoint.
    Trigger,
    /// The coordinator gives up what it waits for.
    Abort,
    /// Everything but the storage and the outputs is gone.
    Crash,
    /// The time after which barriers may overtake has passed.
    Tick,
    Read(usize),
    /// A task takes the next message of the coordinator.
    Control(usize),
    /// The head of a channel is taken by its receiver.
    Deliver(usize),
    /// A receiver is told of a barrier that is queued.
    Hear(usize),
    /// A task finds that its time has come.
    Timer(usize),
    /// Acknowledgements reach the coordinator: of one task, or of all.
    Acknowledge(CheckpointId, Option<usize>),
    Decline(usize),
    Publish(Storage),
    Commit,
    /// The coordinator makes a claim again.
    Retry,
}

/// How a call of the storage ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Done,
    /// No answer, but it was done.
    LostAnswer,
    /// No answer, and it was not done.
    LostCall,
    /// It was refused before anything was claimed.
    Refused,
}

impl Step {
    /// Whether it happens sooner or later, if nothing else does.
    pub(crate) fn must_come(self) -> bool {
        match self {
            Self::Trigger | Self::Abort | Self::Crash | Self::Tick => false,
            Self::Publish(storage) => storage == Storage::Done,
            _ => true,
        }
    }
}

impl World {
    /// The fingerprint: equal for states that are the same.
    pub(crate) fn print(&self) -> u128 {
        print_of(&(
            &self.tasks,
            &self.channels,
            &self.desk,
            &self.outside,
            self.attempt,
            self.now,
        ))
    }

    pub(crate) fn note(&mut self, text: impl FnOnce(&Job) -> String) {
        if let Some(log) = &mut self.log {
            log.push(text(&self.job));
        }
    }

    /// Everything that can happen.
    pub(crate) fn all_possible(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        self.outside_steps(&mut steps);
        for (index, task) in self.tasks.iter().enumerate() {
            if !task.control.is_empty() {
                steps.push(Step::Control(index));
            }
            let is_source = self.job.tasks[index].role == Role::Source;
            if is_source && task.state.read < self.job.reads && self.has_room(index) {
                steps.push(Step::Read(index));
            }
            if task
                .handler
                .deadline()
                .is_some_and(|deadline| deadline <= self.now)
            {
                steps.push(Step::Timer(index));
            }
        }
        for (index, channel) in self.channels.iter().enumerate() {
            let receiver = self.job.channels[index].to;
            let is_free = !channel.blocked && !channel.queue.is_empty();
            if is_free && self.has_room(receiver) && !self.hears_first(index) {
                steps.push(Step::Deliver(index));
            }
            if channel.announcement().is_some() {
                steps.push(Step::Hear(index));
            }
        }
        self.desk_steps(&mut steps);
        steps
    }

    fn outside_steps(&self, steps: &mut Vec<Step>) {
        let (outside, desk) = (&self.outside, &self.desk);
        if outside.triggers > 0 && desk.live.len() < self.job.concurrent as usize {
            steps.push(Step::Trigger);
        }
        if outside.aborts > 0 && !desk.live.is_empty() {
            steps.push(Step::Abort);
        }
        if outside.crashes > 0 {
            steps.push(Step::Crash);
        }
        if let BarrierAlignment::AlignedWithTimeout { timeout_ms } = self.job.alignment
            && desk
                .triggered
                .is_some_and(|triggered| self.now < triggered.plus_millis(timeout_ms))
        {
            steps.push(Step::Tick);
        }
    }

    fn desk_steps(&self, steps: &mut Vec<Step>) {
        let desk = &self.desk;
        for (checkpoint, acks) in &desk.wire {
            match self.job.acks {
                Acks::Together if acks.len() == self.tasks.len() => {
                    steps.push(Step::Acknowledge(*checkpoint, None));
                }
                Acks::Together => {}
                Acks::OneByOne => {
                    let each = acks
                        .keys()
                        .map(|task| Step::Acknowledge(*checkpoint, Some(*task)));
                    steps.extend(each);
                }
            }
        }
        steps.extend((0..desk.declines.len()).map(Step::Decline));
        if desk.publish.is_some() {
            steps.push(Step::Publish(Storage::Done));
            if self.outside.faults > 0 {
                let faults = [Storage::LostAnswer, Storage::LostCall, Storage::Refused];
                steps.extend(faults.map(Step::Publish));
            }
        }
        if desk.commit.is_some() {
            steps.push(Step::Commit);
        }
        if desk.retry.is_some() {
            steps.push(Step::Retry);
        }
    }

    /// Whether the receiver of a channel first hears of a barrier.
    fn hears_first(&self, channel: usize) -> bool {
        let is_itself = |announced: &&usize| {
            let first = self.channels[channel].first_marker();
            **announced == channel && first.is_some_and(|(position, _)| position == 0)
        };
        let receiver = &self.job.tasks[self.job.channels[channel].to];
        let announced = receiver
            .inputs
            .iter()
            .filter(|input| self.channels[**input].announcement().is_some());
        self.job.hearing == Hearing::First && announced.filter(|announced| !is_itself(announced)).count() > 0
    }

    fn has_room(&self, task: usize) -> bool {
        let mut outputs = self.job.tasks[task].outputs.iter();
        outputs.all(|channel| self.channels[*channel].has_room(&self.job, self.job.channels[*channel].kind))
    }

    /// Lets one thing happen.
    pub(crate) fn take(&mut self, step: Step) -> Outcome {
        match step {
            Step::Trigger => self.trigger(),
            Step::Abort => self.abort(),
            Step::Crash => self.crash(),
            Step::Tick => self.tick(),
            Step::Read(task) => self.read(task),
            Step::Control(task) => self.control(task),
            Step::Deliver(channel) => self.deliver(channel),
            Step::Hear(channel) => self.hear(channel),
            Step::Timer(task) => self.timer(task),
            Step::Acknowledge(checkpoint, task) => self.acknowledge(checkpoint, task),
            Step::Decline(position) => self.decline(position),
            Step::Publish(storage) => self.publish(storage),
            Step::Commit => self.commit(),
            Step::Retry => self.retry(),
        }?;
        self.settle()
    }

    /// What is left over when nothing more has to come is the end of a run: nothing may be missing.
    pub(crate) fn check_end(&self) -> Outcome {
        if let Some(channel) = self.channels.iter().position(|channel| !channel.queue.is_empty()) {
            let name = self.job.channel_name(channel);
            return Err(Promise::NoDeadlock.broken(format!("something is queued for ever on {name}")));
        }
        for (index, task) in self.tasks.iter().enumerate() {
            let id = self.job.id(index);
            if self.job.tasks[index].role == Role::Source && task.state.read < self.job.reads {
                return Err(Promise::NoDeadlock.broken(format!("{id} cannot go on")));
            }
            if let [pending, ..] = task.handler.pending()[..] {
                return Err(
                    Promise::EveryTriggerEnds.broken(format!("{id} waits for ever for barrier {pending}"))
                );
            }
            if let Some(checkpoint) = task.taken.keys().next() {
                return Err(Promise::EveryTriggerEnds.broken(format!(
                    "{id} keeps its snapshot of checkpoint {checkpoint} for ever"
                )));
            }
        }
        self.desk.check_end()?;
        self.check_effects()
    }

    fn tick(&mut self) -> Outcome {
        if let BarrierAlignment::AlignedWithTimeout { timeout_ms } = self.job.alignment {
            self.now = self.now.plus_millis(timeout_ms);
        }
        self.note(|_| "the time has come to let barriers overtake".to_owned());
        Ok(())
    }

    /// What makes no difference when it happens happens at once.
    fn settle(&mut self) -> Outcome {
        for index in 0..self.tasks.len() {
            while let Some(Control::Abort(checkpoint)) = self.tasks[index].control.front().copied()
                && self.tasks[index].is_past(checkpoint)
            {
                let (now, mut actions) = (self.now, Vec::new());
                let task = &mut *self.tasks[index];
                task.control.pop_front();
                task.handler.on_abort(checkpoint, now, &mut actions);
                task.look_back();
                if !actions.is_empty() {
                    return Err(Promise::Protocol
                        .broken(format!("an abort that comes too late leads to {actions:?}")));
                }
            }
        }
        self.drop_late()
    }
}
