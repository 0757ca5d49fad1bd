//! A model of an input gate: one queue per channel, not polled while the channel is blocked.

use snapline_barrier::{AlignmentAction, BarrierHandler, ChannelIndex, ChannelReceiver, ChannelSender};
use snapline_barrier::{ProtocolViolation, verify_aligned_cut};
use snapline_core::{AttemptId, BarrierOptions, CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::VecDeque;

/// What a channel delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Element {
    Data(u64),
    Barrier(u64),
    Cancel(u64),
    End,
}

/// When a gate stops polling a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// When it is told to.
    WhenBlocked,
    /// At each barrier, until it is told what to do with the channel.
    AtBarrier,
}

/// What happened at a gate, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Took(usize, Element),
    /// The coordinator aborted a checkpoint.
    Aborted(u64),
    Did(AlignmentAction),
    /// The snapshot just decided upon is no consistent cut.
    NoCut(ProtocolViolation),
}

pub(crate) fn barrier(checkpoint: u64) -> CheckpointBarrier {
    CheckpointBarrier {
        checkpoint: CheckpointId(checkpoint),
        created: Timestamp(0),
        options: BarrierOptions::default(),
    }
}

#[derive(Clone)]
pub(crate) struct Gate<H> {
    pub(crate) handler: H,
    hold: Hold,
    pub(crate) queues: Vec<VecDeque<Element>>,
    /// Checkpoints that the coordinator is going to abort.
    pub(crate) aborts: VecDeque<u64>,
    pub(crate) blocked: Vec<bool>,
    pub(crate) log: Vec<Event>,
    wires: Vec<ChannelSender>,
    receivers: Vec<ChannelReceiver>,
}

impl<H: BarrierHandler> Gate<H> {
    pub(crate) fn new(handler: H, hold: Hold, inputs: &[Vec<Element>], aborts: &[u64]) -> Self {
        let channels = 0..u32::try_from(inputs.len()).unwrap();
        let attempt = AttemptId(1);
        Self {
            handler,
            hold,
            queues: inputs
                .iter()
                .map(|input| input.iter().copied().collect())
                .collect(),
            aborts: aborts.iter().copied().collect(),
            blocked: vec![false; inputs.len()],
            log: Vec::new(),
            wires: channels.clone().map(|_| ChannelSender::new(attempt)).collect(),
            receivers: channels
                .map(|k| ChannelReceiver::new(ChannelIndex(k), attempt))
                .collect(),
        }
    }

    /// Where the next event can come from: a channel, or the coordinator as number `queues.len()`.
    pub(crate) fn movable(&self) -> impl Iterator<Item = usize> {
        let channel = |&k: &usize| !self.blocked[k] && !self.queues[k].is_empty();
        let coordinator = (!self.aborts.is_empty()).then_some(self.queues.len());
        (0..self.queues.len()).filter(channel).chain(coordinator)
    }

    pub(crate) fn step(&mut self, from: usize) {
        let (now, mut out) = (Timestamp(0), Vec::new());
        if from == self.queues.len() {
            let id = self.aborts.pop_front().unwrap();
            self.log.push(Event::Aborted(id));
            self.handler.on_abort(CheckpointId(id), now, &mut out);
        } else {
            let element = self.queues[from].pop_front().unwrap();
            self.log.push(Event::Took(from, element));
            self.count(from, element);
            let channel = ChannelIndex(u32::try_from(from).unwrap());
            match element {
                Element::Data(_) => {}
                Element::Barrier(id) => {
                    self.blocked[from] = self.hold == Hold::AtBarrier;
                    self.handler.on_barrier(channel, barrier(id), now, &mut out);
                }
                Element::Cancel(id) => self.handler.on_cancel(channel, CheckpointId(id), now, &mut out),
                Element::End => self.handler.on_end_of_input(channel, now, &mut out),
            }
        }
        for action in out {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: AlignmentAction) {
        self.log.push(Event::Did(action));
        match action {
            AlignmentAction::Block(channel) => self.blocked[channel.as_usize()] = true,
            AlignmentAction::Unblock(channel) => self.blocked[channel.as_usize()] = false,
            AlignmentAction::Snapshot { barrier, .. } => {
                if let Err(violation) = verify_aligned_cut(&self.receivers, barrier.checkpoint) {
                    self.log.push(Event::NoCut(violation));
                }
            }
            _ => {}
        }
    }

    /// Sends the element over the counted channel. Markers of a channel that come out of order are
    /// refused there, and the log says so at the next snapshot.
    fn count(&mut self, channel: usize, element: Element) {
        let (sender, receiver) = (&mut self.wires[channel], &mut self.receivers[channel]);
        let counted = match element {
            Element::Data(_) => receiver.on_batch(sender.next_header()),
            Element::Barrier(id) => {
                let id = CheckpointId(id);
                receiver.on_barrier(id, sender.on_barrier(id))
            }
            Element::Cancel(id) => {
                sender.on_cancel(CheckpointId(id));
                receiver.on_cancel(CheckpointId(id))
            }
            Element::End => receiver.on_end_of_input(sender.header()),
        };
        if let Err(violation) = counted {
            self.log.push(Event::NoCut(violation));
        }
    }
}
