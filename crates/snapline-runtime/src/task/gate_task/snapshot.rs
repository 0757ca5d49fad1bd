//! Carrying out what the barriers of a task ask for.

use super::{Channel, GateTask};
use crate::probe::TaskStep;
use crate::task::Completed;
use bytes::Bytes;
use snapline_barrier::{
    AlignmentAction, ChannelCut, ChannelIndex, ChannelReceiver, DeclineReason, RecordedChannel, RecordedRun,
    TaskClock, TaskCut, verify_unaligned_cut,
};
use snapline_coordinator::{FailureReason, SubtaskStatistics};
use snapline_core::{
    BarrierAlignment, BoxedBatch, CheckpointBarrier, CheckpointId, Error, Result, StreamElement,
};
use snapline_dataflow::{Signal, TaskSnapshot};
use snapline_state::ChannelState;
use std::collections::BTreeMap;
use std::time::Duration;

/// Snapshots that are taken, until all barriers of their checkpoints are in.
pub(super) type Snapshots = BTreeMap<CheckpointId, Taken>;

/// A snapshot of the task.
pub(super) struct Taken {
    alignment: BarrierAlignment,
    /// The frozen state, until it is handed over to be stored.
    state: Option<TaskSnapshot>,
    /// How many batches of each channel had been processed.
    received: Vec<u64>,
    /// How many were sent before the barrier or the end, where that is in.
    sent: Vec<Option<u64>>,
    clock: Option<TaskClock>,
    sync: Duration,
    /// When the task went on.
    frozen: Duration,
}

impl GateTask {
    /// Carries out what the handler has decided, and delivers the barriers that it lets overtake.
    pub(super) fn carry_out(&mut self) -> Result<()> {
        loop {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.act(action)?;
            }
            self.actions = actions;
            let Some((channel, frame)) = self.overtaking.pop_front() else {
                break;
            };
            if let StreamElement::Barrier { barrier, sent } = frame.element {
                self.receivers[channel].on_overtaking_barrier(barrier.checkpoint, sent)?;
                self.on_barrier(channel, barrier, sent);
            }
        }
        self.begin_to_store();
        Ok(())
    }

    fn act(&mut self, action: AlignmentAction) -> Result<()> {
        match action {
            AlignmentAction::Block(channel) => self.gate.block(channel.as_usize()),
            AlignmentAction::Unblock(channel) => self.gate.unblock(channel.as_usize()),
            AlignmentAction::Snapshot { barrier, .. } => self.take_snapshot(barrier)?,
            AlignmentAction::Prioritize(channel) => self.prioritize(channel)?,
            AlignmentAction::Record { checkpoint, channel } => self.recorder.start(checkpoint, channel)?,
            AlignmentAction::StopRecording { checkpoint, channel } => {
                self.stop_recording(checkpoint, channel);
            }
            AlignmentAction::Complete { checkpoint } => self.complete(checkpoint)?,
            AlignmentAction::DropRecording { checkpoint } => {
                self.recorder.drop(checkpoint);
                self.snapshots.remove(&checkpoint);
                self.reporter.on_abort(checkpoint);
                self.cost.on_given_up(checkpoint);
            }
            AlignmentAction::Decline { checkpoint, reason } => {
                self.reporter.declined(checkpoint, failure_reason(reason));
                self.cost.on_given_up(checkpoint);
            }
            AlignmentAction::ForwardCancel(checkpoint) => {
                self.head.on_signal(&mut Signal::CancelCheckpoint(checkpoint))?;
                self.cost.on_given_up(checkpoint);
            }
        }
        Ok(())
    }

    fn take_snapshot(&mut self, barrier: CheckpointBarrier) -> Result<()> {
        let (checkpoint, alignment) = (barrier.checkpoint, barrier.options.alignment);
        self.reporter.probe(TaskStep::Snapshot(checkpoint));
        let since = self.reporter.monotonic();
        let received: Vec<u64> = match alignment {
            BarrierAlignment::AtLeastOnce => self.receivers.iter().map(ChannelReceiver::received).collect(),
            BarrierAlignment::Unaligned => verify_unaligned_cut(&self.receivers, checkpoint)?,
            _ => self.aligned_cut(checkpoint)?,
        };
        let at_cut = |receiver: &ChannelReceiver| receiver.check_cut(checkpoint).is_ok();
        let sent = self.receivers.iter().zip(&received);
        let sent = sent.map(|(receiver, received)| at_cut(receiver).then_some(*received));
        let sent = sent.collect();
        let mut snapshot = TaskSnapshot::new(barrier);
        self.head.on_signal(&mut Signal::Barrier(&mut snapshot))?;
        let clock = self.history.on_snapshot();
        let frozen = self.reporter.froze(since);
        let taken = Taken {
            alignment,
            state: Some(snapshot),
            received,
            sent,
            clock,
            sync: frozen.saturating_sub(since),
            frozen,
        };
        self.snapshots.insert(checkpoint, taken);
        Ok(())
    }

    /// Back edges are recorded from here on, so that their barriers are not waited for.
    fn aligned_cut(&self, checkpoint: CheckpointId) -> Result<Vec<u64>> {
        let mut received = Vec::with_capacity(self.receivers.len());
        for (receiver, channel) in self.receivers.iter().zip(&self.channels) {
            if !channel.is_back_edge() {
                receiver.check_cut(checkpoint)?;
            }
            received.push(receiver.received());
        }
        Ok(received)
    }

    fn prioritize(&mut self, channel: ChannelIndex) -> Result<()> {
        match self.gate.prioritize(channel.as_usize()) {
            Some(frame) => self.overtaking.push_back((channel.as_usize(), frame)),
            None => {
                return Err(
                    Error::internal("a barrier that was announced is not there").with("channel", channel)
                );
            }
        }
        Ok(())
    }

    /// Keeps what the barrier of a channel has overtaken.
    fn stop_recording(&mut self, checkpoint: CheckpointId, channel: ChannelIndex) {
        let sent = self.channels[channel.as_usize()].sent;
        if self.recorder.is_recording(checkpoint, channel) {
            let recorder = &mut self.recorder;
            self.gate
                .look_at_overtaken(channel.as_usize(), sent, |seq, batch| {
                    recorder.on_overtaken(checkpoint, channel, seq, encoded(batch));
                });
        }
        self.recorder.stop(checkpoint, channel);
        if let Some(taken) = self.snapshots.get_mut(&checkpoint) {
            taken.sent[channel.as_usize()] = Some(sent);
        }
    }

    /// All barriers are in: the snapshot and what was recorded belong together.
    fn complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let Some(mut taken) = self.snapshots.remove(&checkpoint) else {
            return Err(Error::internal("a checkpoint is complete before its snapshot")
                .with("checkpoint", checkpoint));
        };
        let recorded = self.recorder.take(checkpoint);
        let statistics = SubtaskStatistics {
            sync: taken.sync,
            ..self.cost.on_complete(checkpoint, self.reporter.clock.now())
        };
        let completed = Completed {
            cut: TaskCut {
                channels: self.cuts(checkpoint, &taken, &recorded)?,
                clock: taken.clock.take(),
            },
            channels: channel_state(&self.channels, recorded),
            statistics,
            frozen: taken.frozen,
        };
        match taken.state.take() {
            Some(snapshot) => self.reporter.store(snapshot, completed),
            None => self.reporter.complete(checkpoint, completed),
        }
        Ok(())
    }

    fn cuts(
        &self,
        checkpoint: CheckpointId,
        taken: &Taken,
        recorded: &[RecordedChannel<Result<Bytes>>],
    ) -> Result<Vec<ChannelCut>> {
        let mut cuts = Vec::with_capacity(self.receivers.len());
        for (index, receiver) in self.receivers.iter().enumerate() {
            let (received, recorded) = (taken.received[index], runs(recorded, index));
            cuts.push(match (taken.alignment, taken.sent[index]) {
                (BarrierAlignment::AtLeastOnce, sent) => ChannelCut {
                    received,
                    sent: sent.unwrap_or(self.channels[index].sent),
                    recorded,
                },
                // A newer barrier may have come since this one, while the task waited for a loop.
                (_, Some(sent)) if self.handler.latest() > checkpoint => ChannelCut {
                    received,
                    sent,
                    recorded,
                },
                _ => receiver.recorded_cut(checkpoint, received, recorded)?,
            });
        }
        Ok(cuts)
    }

    /// Snapshots that wait for more barriers are stored meanwhile.
    fn begin_to_store(&mut self) {
        let waiting = self.snapshots.values_mut();
        for snapshot in waiting.filter_map(|taken| taken.state.take()) {
            self.reporter.begin(snapshot);
        }
    }
}

/// A batch as it is kept in channel state.
pub(super) fn encoded(batch: &BoxedBatch) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(batch.size());
    batch.encode_into(&mut bytes)?;
    Ok(bytes.into())
}

fn runs(recorded: &[RecordedChannel<Result<Bytes>>], index: usize) -> Vec<RecordedRun> {
    let channel = recorded
        .iter()
        .find(|channel| channel.channel.as_usize() == index);
    channel.map_or_else(Vec::new, RecordedChannel::runs)
}

fn channel_state(
    channels: &[Channel],
    recorded: Vec<RecordedChannel<Result<Bytes>>>,
) -> Result<ChannelState> {
    let mut state = ChannelState::default();
    for channel in recorded {
        let batches = channel.batches.into_iter().map(|(_, batch)| batch);
        state.channels.push(snapline_state::RecordedChannel {
            origin: channels[channel.channel.as_usize()].origin.clone(),
            batches: batches.collect::<Result<_>>()?,
        });
    }
    Ok(state)
}

fn failure_reason(reason: DeclineReason) -> FailureReason {
    match reason {
        DeclineReason::Subsumed { .. } => FailureReason::Subsumed,
        DeclineReason::Cancelled => FailureReason::CancelMarker,
        DeclineReason::EndOfInput => FailureReason::TaskEnded,
        _ => FailureReason::Declined,
    }
}
