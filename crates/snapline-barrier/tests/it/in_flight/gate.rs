//! A model of a gate whose barriers can overtake, together with the task behind it.

use super::plan::{Plan, channel, id};
use crate::gate::{Element, Hold};
use snapline_barrier::{
    AlignmentAction, BarrierHandler, ChannelReceiver, ChannelSender, ChannelStateRecorder, RecordedChannel,
    verify_unaligned_cut,
};
use snapline_core::{AttemptId, BatchHeader, CheckpointId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    Take(usize),
    Announce(usize),
    Abort,
    Advance,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Took(usize, Element),
    Announced(usize, u64),
    Aborted(u64),
    Advanced,
    Time,
}

/// One event, when it was, what the handler decided and who was blocked after it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) event: Event,
    pub(super) now: Timestamp,
    pub(super) actions: Vec<AlignmentAction>,
    pub(super) blocked: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    element: Element,
    header: BatchHeader,
    is_announced: bool,
}

#[derive(Clone)]
pub(super) struct Gate<'a, H> {
    pub(super) handler: H,
    plan: &'a Plan,
    hold: Hold,
    pub(super) steps: Vec<Step>,
    /// What was found wrong on the spot.
    pub(super) flaw: Option<String>,
    now: Timestamp,
    queues: Vec<VecDeque<Frame>>,
    blocked: Vec<bool>,
    prioritized: BTreeSet<usize>,
    receivers: Vec<ChannelReceiver>,
    recorder: ChannelStateRecorder<u64>,
    /// The records in the state of the task, by channel.
    state: Vec<Vec<u64>>,
    snapshots: BTreeMap<CheckpointId, Vec<Vec<u64>>>,
    pub(super) completed: BTreeSet<u64>,
    advances: usize,
    aborts: usize,
    needless_times: usize,
}

impl<'a, H: BarrierHandler> Gate<'a, H> {
    pub(super) fn new(handler: H, hold: Hold, plan: &'a Plan) -> Self {
        let channels = plan.inputs.len();
        let attempt = AttemptId(1);
        Self {
            handler,
            plan,
            hold,
            steps: Vec::new(),
            flaw: None,
            now: Timestamp(0),
            queues: plan.inputs.iter().map(|input| frames(input, attempt)).collect(),
            blocked: vec![false; channels],
            prioritized: BTreeSet::new(),
            receivers: (0..channels)
                .map(|k| ChannelReceiver::new(channel(k), attempt))
                .collect(),
            recorder: ChannelStateRecorder::new(),
            state: vec![Vec::new(); channels],
            snapshots: BTreeMap::new(),
            completed: BTreeSet::new(),
            advances: 0,
            aborts: 0,
            needless_times: plan.needless_times,
        }
    }

    /// Prioritized barriers go before everything else that the channels deliver.
    pub(super) fn moves(&self) -> Vec<Move> {
        let channels = 0..self.queues.len();
        let can_take = |&k: &usize| !self.blocked[k] && !self.queues[k].is_empty();
        let mut moves: Vec<Move> = if self.prioritized.is_empty() {
            channels.clone().filter(can_take).map(Move::Take).collect()
        } else {
            self.prioritized.iter().copied().map(Move::Take).collect()
        };
        moves.extend(
            channels
                .filter(|&k| self.to_announce(k).is_some())
                .map(Move::Announce),
        );
        moves.extend((self.aborts < self.plan.aborts.len()).then_some(Move::Abort));
        moves.extend((self.advances < self.plan.clock.len()).then_some(Move::Advance));
        let is_due = self.handler.deadline().is_some_and(|due| due <= self.now);
        moves.extend((is_due || self.needless_times > 0).then_some(Move::Time));
        moves
    }

    pub(super) fn is_drained(&self, k: usize) -> bool {
        self.queues[k].is_empty() && !self.prioritized.contains(&k)
    }

    pub(super) fn make(&mut self, next: Move) {
        let mut actions = Vec::new();
        let event = match next {
            Move::Take(k) => self.take(k, &mut actions),
            Move::Announce(k) => self.announce(k, &mut actions),
            Move::Abort => {
                let id = self.plan.aborts[self.aborts];
                self.aborts += 1;
                self.handler.on_abort(CheckpointId(id), self.now, &mut actions);
                self.carry_out(&actions, &[]);
                Event::Aborted(id)
            }
            Move::Advance => {
                self.now = self.now.plus_millis(self.plan.clock[self.advances]);
                self.advances += 1;
                Event::Advanced
            }
            Move::Time => self.tell_time(&mut actions),
        };
        self.steps.push(Step {
            event,
            now: self.now,
            actions,
            blocked: self.blocked.clone(),
        });
    }

    fn tell_time(&mut self, actions: &mut Vec<AlignmentAction>) -> Event {
        let is_due = |gate: &Self| gate.handler.deadline().is_some_and(|due| due <= gate.now);
        if !is_due(self) {
            self.needless_times -= 1;
        }
        self.handler.on_time(self.now, actions);
        self.carry_out(actions, &[]);
        if is_due(self) {
            self.complain("the deadline has passed, but nothing was done".to_owned());
            self.needless_times = 0;
        }
        Event::Time
    }

    /// The first marker of a channel, if it is a barrier that may record and is not announced yet.
    fn to_announce(&self, k: usize) -> Option<(usize, u64)> {
        let is_marker = |frame: &Frame| !matches!(frame.element, Element::Data(_));
        let at = self.queues[k].iter().position(is_marker)?;
        match self.queues[k][at] {
            Frame {
                element: Element::Barrier(id),
                is_announced: false,
                ..
            } => self.plan.mode(id).may_record().then_some((at, id)),
            _ => None,
        }
    }

    fn announce(&mut self, k: usize, actions: &mut Vec<AlignmentAction>) -> Event {
        let (at, id) = self.to_announce(k).unwrap();
        self.queues[k][at].is_announced = true;
        let barrier = self.plan.barrier(k, id);
        self.handler
            .on_announcement(channel(k), barrier, self.now, actions);
        self.carry_out(actions, &[]);
        Event::Announced(k, id)
    }

    fn take(&mut self, k: usize, actions: &mut Vec<AlignmentAction>) -> Event {
        let at = if self.prioritized.remove(&k) {
            let is_barrier = |frame: &Frame| matches!(frame.element, Element::Barrier(_));
            self.queues[k].iter().position(is_barrier).unwrap()
        } else {
            0
        };
        let frame = self.queues[k].remove(at).unwrap();
        let overtaken: Vec<Frame> = self.queues[k].iter().take(at).copied().collect();
        let receiver = &mut self.receivers[k];
        let received = match frame.element {
            Element::Data(record) => {
                self.recorder.on_batch(channel(k), frame.header.seq, || record);
                self.state[k].push(record);
                receiver.on_batch(frame.header)
            }
            Element::Barrier(id) if at > 0 => {
                receiver.on_overtaking_barrier(CheckpointId(id), frame.header.seq)
            }
            Element::Barrier(id) => receiver.on_barrier(CheckpointId(id), frame.header.seq),
            Element::Cancel(id) => receiver.on_cancel(CheckpointId(id)),
            Element::End => receiver.on_end_of_input(frame.header),
        };
        if let Err(violation) = received {
            self.complain(violation.to_string());
        }
        match frame.element {
            Element::Data(_) => {}
            Element::Barrier(id) => {
                self.blocked[k] = self.hold == Hold::AtBarrier;
                let barrier = self.plan.barrier(k, id);
                self.handler.on_barrier(channel(k), barrier, self.now, actions);
            }
            Element::Cancel(id) => {
                let checkpoint = CheckpointId(id);
                self.handler.on_cancel(channel(k), checkpoint, self.now, actions);
            }
            Element::End => self.handler.on_end_of_input(channel(k), self.now, actions),
        }
        self.carry_out(actions, &overtaken);
        Event::Took(k, frame.element)
    }

    /// As a task does it.
    fn carry_out(&mut self, actions: &[AlignmentAction], overtaken: &[Frame]) {
        for action in actions {
            match *action {
                AlignmentAction::Block(channel) => self.blocked[channel.as_usize()] = true,
                AlignmentAction::Unblock(channel) => self.blocked[channel.as_usize()] = false,
                AlignmentAction::Snapshot { barrier, .. } => {
                    if let Err(violation) = verify_unaligned_cut(&self.receivers, barrier.checkpoint) {
                        self.complain(violation.to_string());
                    }
                    self.snapshots.insert(barrier.checkpoint, self.state.clone());
                }
                AlignmentAction::Prioritize(channel) => self.prioritize(channel.as_usize()),
                AlignmentAction::Record { checkpoint, channel } => {
                    if let Err(late) = self.recorder.start(checkpoint, channel) {
                        self.complain(late.to_string());
                    }
                }
                AlignmentAction::StopRecording { checkpoint, channel } => {
                    for frame in overtaken {
                        if let Element::Data(record) = frame.element {
                            let seq = frame.header.seq;
                            self.recorder.on_overtaken(checkpoint, channel, seq, record);
                        }
                    }
                    self.recorder.stop(checkpoint, channel);
                }
                AlignmentAction::Complete { checkpoint } => {
                    if let Err(flaw) = self.complete(checkpoint) {
                        self.complain(flaw);
                    }
                }
                AlignmentAction::DropRecording { checkpoint } => {
                    self.recorder.drop(checkpoint);
                    self.snapshots.remove(&checkpoint);
                }
                AlignmentAction::Decline { .. } | AlignmentAction::ForwardCancel(_) => {}
            }
        }
    }

    fn prioritize(&mut self, k: usize) {
        let announced = self.queues[k].iter().any(|frame| frame.is_announced);
        if !announced || !self.prioritized.insert(k) {
            self.complain(format!("there is nothing to prioritize on channel {k}"));
        }
    }

    /// What was processed before the snapshot and what was recorded are together exactly what came
    /// before the barrier, on every channel.
    fn complete(&mut self, checkpoint: CheckpointId) -> Result<(), String> {
        let recorded = self.recorder.take(checkpoint);
        let Some(state) = self.snapshots.remove(&checkpoint) else {
            return Err(format!("{checkpoint} is complete without a snapshot"));
        };
        self.completed.insert(id(checkpoint));
        for (k, (state, input)) in state.iter().zip(&self.plan.inputs).enumerate() {
            let recorded = recorded.iter().find(|recorded| recorded.channel == channel(k));
            let barrier = input
                .iter()
                .position(|&element| element == Element::Barrier(id(checkpoint)));
            let before = records(&input[..barrier.unwrap_or(input.len())]);
            let in_flight = recorded.map(values).unwrap_or_default();
            if [&state[..], &in_flight].concat() != before {
                return Err(format!(
                    "checkpoint {checkpoint} holds {state:?} and {in_flight:?} of channel {k}, not {before:?}"
                ));
            }
            let runs = recorded.map(RecordedChannel::runs).unwrap_or_default();
            self.receivers[k]
                .recorded_cut(checkpoint, state.len() as u64, runs)
                .map_err(|flaw| flaw.to_string())?;
        }
        Ok(())
    }

    fn complain(&mut self, flaw: String) {
        self.flaw.get_or_insert(flaw);
    }
}

/// The elements as their sender puts them on the channel. The header of a barrier counts the batches
/// before it.
fn frames(input: &[Element], attempt: AttemptId) -> VecDeque<Frame> {
    let mut sender = ChannelSender::new(attempt);
    let mut frame = |&element: &Element| {
        let header = match element {
            Element::Data(_) => sender.next_header(),
            Element::Barrier(id) => {
                let seq = sender.on_barrier(CheckpointId(id));
                BatchHeader {
                    seq,
                    ..sender.header()
                }
            }
            Element::Cancel(id) => {
                sender.on_cancel(CheckpointId(id));
                sender.header()
            }
            Element::End => sender.header(),
        };
        Frame {
            element,
            header,
            is_announced: false,
        }
    };
    input.iter().map(&mut frame).collect()
}

fn records(elements: &[Element]) -> Vec<u64> {
    let record = |element: &Element| match *element {
        Element::Data(record) => Some(record),
        _ => None,
    };
    elements.iter().filter_map(record).collect()
}

fn values(recorded: &RecordedChannel<u64>) -> Vec<u64> {
    recorded.batches.iter().map(|(_, record)| *record).collect()
}
