//! What a task does, as the tasks of the runtime do it: take, decide, carry out.

use crate::flaw::Flaw;
use crate::job::Job;
use crate::promise::{Outcome, Promise, Violation};
use crate::task::Control;
use crate::world::World;
use snapline_barrier::{AlignmentAction, ChannelIndex, ProtocolViolation};
use snapline_core::{CheckpointBarrier, Frame, StreamElement};
use std::collections::VecDeque;

/// Barriers that were taken out of their queues and are delivered next.
type Overtaking = VecDeque<(usize, CheckpointBarrier, u64)>;

impl World {
    pub(crate) fn read(&mut self, index: usize) -> Outcome {
        let task = &mut *self.tasks[index];
        let record = Job::record(index, task.state.read);
        task.state.read += 1;
        self.note(|job| format!("{} reads {record:?}", job.id(index)));
        self.send_on(index, record)
    }

    pub(crate) fn control(&mut self, index: usize) -> Outcome {
        let (now, mut actions) = (self.now, Vec::new());
        let task = &mut *self.tasks[index];
        let Some(control) = task.control.pop_front() else {
            return Ok(());
        };
        match control {
            Control::Trigger(barrier) => {
                let (checkpoint, alignment) = (barrier.checkpoint, Default::default());
                actions.push(AlignmentAction::Snapshot { barrier, alignment });
                actions.push(AlignmentAction::Complete { checkpoint });
            }
            Control::Abort(checkpoint) => task.handler.on_abort(checkpoint, now, &mut actions),
            Control::Complete(checkpoint) => task
                .transactions
                .retain(|transaction| transaction.checkpoint > checkpoint),
        }
        self.note(|job| match control {
            Control::Trigger(barrier) => {
                format!("{} is asked for checkpoint {}", job.id(index), barrier.checkpoint)
            }
            Control::Abort(checkpoint) => {
                format!("{} hears that {checkpoint} was given up", job.id(index))
            }
            Control::Complete(checkpoint) => {
                format!("{} hears that {checkpoint} is complete", job.id(index))
            }
        });
        self.carry_out(index, actions)
    }

    pub(crate) fn timer(&mut self, index: usize) -> Outcome {
        let (now, mut actions) = (self.now, Vec::new());
        let task = &mut *self.tasks[index];
        task.handler.on_time(now, &mut actions);
        self.note(|job| format!("{} finds that its time has come", job.id(index)));
        self.carry_out(index, actions)
    }

    pub(crate) fn hear(&mut self, channel: usize) -> Outcome {
        let Some(barrier) = self.channels[channel].announcement() else {
            return Ok(());
        };
        self.channels[channel].heard = true;
        let (index, input, now) = (self.receiver(channel), self.input(channel), self.now);
        let mut actions = Vec::new();
        let task = &mut *self.tasks[index];
        task.handler.on_announcement(input, barrier, now, &mut actions);
        self.note(|job| {
            let name = job.channel_name(channel);
            format!("{name}: barrier {} is announced", barrier.checkpoint)
        });
        self.carry_out(index, actions)
    }

    pub(crate) fn deliver(&mut self, channel: usize) -> Outcome {
        let (index, input, now) = (self.receiver(channel), self.input(channel), self.now);
        let Frame {
            header,
            clock,
            element,
        } = self.channels[channel].take(0);
        self.note(|job| {
            let name = job.channel_name(channel);
            match element {
                StreamElement::Batch(record) => format!("{name}: {record:?} arrives"),
                StreamElement::Barrier { barrier, sent } => {
                    format!("{name}: barrier {} arrives, sent {sent}", barrier.checkpoint)
                }
                _ => format!("{name}: {element:?} arrives"),
            }
        });
        let sender = u32::try_from(self.job.channels[channel].from).unwrap();
        let mut actions = Vec::new();
        let task = &mut *self.tasks[index];
        let receiver = &mut task.receivers[input.as_usize()];
        match element {
            StreamElement::Batch(record) => {
                receiver
                    .on_batch(header)
                    .map_err(|violation| self.broken(index, violation))?;
                let task = &mut *self.tasks[index];
                if let Some(delta) = clock {
                    task.history.on_receive(sender, &delta);
                }
                task.recorder.on_batch(input, header.seq, || record);
                task.state.seen[input.as_usize()].insert(record);
                if self.job.tasks[index].outputs.is_empty() {
                    task.open.insert(record);
                }
                self.send_on(index, record)?;
            }
            StreamElement::Barrier { barrier, sent } => {
                let received = receiver.on_barrier(barrier.checkpoint, sent);
                received.map_err(|violation| self.broken(index, violation))?;
                self.on_barrier(index, input.as_usize(), barrier, sent, &mut actions);
            }
            StreamElement::CancelCheckpoint(checkpoint) => {
                let cancelled = receiver.on_cancel(checkpoint);
                cancelled.map_err(|violation| self.broken(index, violation))?;
                let task = &mut *self.tasks[index];
                task.handler.on_cancel(input, checkpoint, now, &mut actions);
            }
            _ => return Err(Promise::Protocol.broken("an element that nobody sends")),
        }
        self.carry_out(index, actions)
    }

    fn on_barrier(
        &mut self,
        index: usize,
        input: usize,
        barrier: CheckpointBarrier,
        sent: u64,
        actions: &mut Vec<AlignmentAction>,
    ) {
        let now = self.now;
        let task = &mut *self.tasks[index];
        task.sent[input] = sent;
        task.handler
            .on_barrier(ChannelIndex(u32::try_from(input).unwrap()), barrier, now, actions);
    }

    /// Carries out what the handler has decided, and delivers the barriers that it lets overtake.
    fn carry_out(&mut self, index: usize, mut actions: Vec<AlignmentAction>) -> Outcome {
        let mut overtaking = Overtaking::new();
        loop {
            for action in std::mem::take(&mut actions) {
                self.tasks[index].check_not_over(&action)?;
                self.note(|_| format!("    {}", in_words(action)));
                self.act(index, action, &mut overtaking)?;
            }
            let Some((input, barrier, sent)) = overtaking.pop_front() else {
                self.tasks[index].look_back();
                return Ok(());
            };
            let receiver = &mut self.tasks[index].receivers[input];
            let overtaken = receiver.on_overtaking_barrier(barrier.checkpoint, sent);
            overtaken.map_err(|violation| self.broken(index, violation))?;
            self.note(|_| {
                format!(
                    "    barrier {} overtakes on channel {input}, sent {sent}",
                    barrier.checkpoint
                )
            });
            self.on_barrier(index, input, barrier, sent, &mut actions);
        }
    }

    fn act(&mut self, index: usize, action: AlignmentAction, overtaking: &mut Overtaking) -> Outcome {
        let position = |input: ChannelIndex| self.job.tasks[index].inputs[input.as_usize()];
        match action {
            AlignmentAction::Block(input) => self.channels[position(input)].blocked = true,
            AlignmentAction::Unblock(input) => self.channels[position(input)].blocked = false,
            AlignmentAction::Snapshot { barrier, .. } => self.snapshot(index, barrier)?,
            AlignmentAction::Prioritize(input) => {
                let channel = &mut self.channels[position(input)];
                match channel.first_marker() {
                    Some((place, &StreamElement::Barrier { barrier, sent })) => {
                        channel.take(place);
                        overtaking.push_back((input.as_usize(), barrier, sent));
                    }
                    _ => return Err(Promise::Protocol.broken("a barrier that was announced is not there")),
                }
            }
            AlignmentAction::Record { checkpoint, channel } => {
                let started = self.tasks[index].recorder.start(checkpoint, channel);
                started
                    .map_err(|late| Promise::Protocol.broken(format!("{}: {late}", self.job.id(index))))?;
            }
            AlignmentAction::StopRecording { checkpoint, channel } => {
                let sent = self.tasks[index].sent[channel.as_usize()];
                let mut overtaken = self.channels[position(channel)].overtaken(sent);
                if self.job.flaw == Some(Flaw::ForgetOvertaken(index)) {
                    overtaken.clear();
                }
                let task = &mut *self.tasks[index];
                for (seq, record) in overtaken {
                    task.recorder.on_overtaken(checkpoint, channel, seq, record);
                }
                task.recorder.stop(checkpoint, channel);
                if let Some(taken) = task.taken.get_mut(&checkpoint) {
                    taken.sent[channel.as_usize()] = Some(sent);
                }
            }
            AlignmentAction::Complete { checkpoint } => self.complete(index, checkpoint)?,
            AlignmentAction::DropRecording { checkpoint } => {
                let task = &mut *self.tasks[index];
                task.recorder.drop(checkpoint);
                task.taken.remove(&checkpoint);
            }
            AlignmentAction::Decline { checkpoint, reason } => {
                self.desk.declines.push((index, checkpoint, reason));
            }
            AlignmentAction::ForwardCancel(checkpoint) => {
                self.put_marker(index, checkpoint, |sender| {
                    sender.on_cancel(checkpoint);
                    StreamElement::CancelCheckpoint(checkpoint)
                })?;
            }
        }
        Ok(())
    }

    fn receiver(&self, channel: usize) -> usize {
        self.job.channels[channel].to
    }

    fn input(&self, channel: usize) -> ChannelIndex {
        ChannelIndex(u32::try_from(self.job.channels[channel].input).unwrap())
    }

    pub(crate) fn broken(&self, index: usize, violation: ProtocolViolation) -> Violation {
        let ProtocolViolation { channel, breach } = violation;
        Promise::Protocol.broken(format!("{}, channel {channel}: {breach}", self.job.id(index)))
    }
}

fn in_words(action: AlignmentAction) -> String {
    match action {
        AlignmentAction::Block(channel) => format!("blocks channel {channel}"),
        AlignmentAction::Unblock(channel) => format!("unblocks channel {channel}"),
        AlignmentAction::Snapshot { barrier, .. } => {
            let CheckpointBarrier {
                checkpoint, options, ..
            } = barrier;
            format!(
                "takes snapshot {checkpoint}, forwards its barrier as {:?}",
                options.alignment
            )
        }
        AlignmentAction::Prioritize(channel) => format!("lets the barrier of channel {channel} overtake"),
        AlignmentAction::Record { checkpoint, channel } => {
            format!("records channel {channel} for {checkpoint}")
        }
        AlignmentAction::StopRecording { checkpoint, channel } => {
            format!("stops recording channel {channel} for {checkpoint}")
        }
        AlignmentAction::Complete { checkpoint } => format!("acknowledges {checkpoint}"),
        AlignmentAction::DropRecording { checkpoint } => format!("drops its snapshot {checkpoint}"),
        AlignmentAction::Decline { checkpoint, reason } => format!("declines {checkpoint}: {reason}"),
        AlignmentAction::ForwardCancel(checkpoint) => format!("forwards cancel marker {checkpoint}"),
    }
}
