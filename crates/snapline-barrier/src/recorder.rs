//! The channel state of checkpoints while it grows.

use crate::cut::RecordedRun;
use crate::handler::ChannelIndex;
use snapline_core::{CheckpointId, Error};
use std::collections::BTreeMap;

/// Keeps the batches that belong to a snapshot although they had not been processed when it was taken
/// (Chandy and Lamport 1985).
///
/// A task lets it carry out [`Record`](crate::AlignmentAction::Record) as [`Self::start`],
/// [`StopRecording`](crate::AlignmentAction::StopRecording) as [`Self::on_overtaken`] for each batch
/// that the barrier overtook, in order, and then [`Self::stop`]; at
/// [`Complete`](crate::AlignmentAction::Complete) it takes the channel state with [`Self::take`], at
/// [`DropRecording`](crate::AlignmentAction::DropRecording) it calls [`Self::drop`].
///
/// `B` is what is kept of a batch: its encoded form, a copy, its number alone.
///
/// # Contract
///
/// * A batch is kept for each checkpoint that its channel is recorded for, in the order of the calls.
///   When there is none, nothing is made of it.
/// * What was stopped stays stopped: a channel is not recorded for a checkpoint whose barrier, or a
///   newer one, it has delivered.
/// * Calls that concern a checkpoint or channel that is not recorded change nothing.
///
/// Not promised: that the channel state is whole. `ConsistentCut::verify` compares the
/// [runs](RecordedChannel::runs) with what was received and sent.
///
/// # Examples
///
/// The barrier overtakes one batch, after another one was processed:
///
/// ```
/// use snapline_barrier::{ChannelIndex, ChannelStateRecorder, RecordedRun};
/// use snapline_core::CheckpointId;
///
/// let (checkpoint, channel) = (CheckpointId(1), ChannelIndex(0));
/// let mut recorder = ChannelStateRecorder::new();
/// recorder.on_batch(channel, 6, || "before the snapshot");
/// recorder.start(checkpoint, channel)?;
/// recorder.on_batch(channel, 7, || "processed");
/// recorder.on_overtaken(checkpoint, channel, 8, "overtaken");
/// recorder.stop(checkpoint, channel);
/// recorder.on_batch(channel, 8, || "processed later");
///
/// let state = recorder.take(checkpoint);
/// assert_eq!(state[0].channel, channel);
/// assert_eq!(state[0].batches, [(7, "processed"), (8, "overtaken")]);
/// assert_eq!(state[0].runs(), [RecordedRun { from: 7, to: 9 }]);
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone, Hash)]
pub struct ChannelStateRecorder<B> {
    checkpoints: BTreeMap<CheckpointId, BTreeMap<ChannelIndex, Recording<B>>>,
    /// For each channel the newest checkpoint that it need not be recorded for any more.
    stopped: BTreeMap<ChannelIndex, CheckpointId>,
    /// How many channels are recorded at the moment, once per checkpoint.
    running: usize,
}

#[derive(Debug, Clone, Hash)]
struct Recording<B> {
    batches: Vec<(u64, B)>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    Running,
    Stopped,
}

/// The channel state of one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedChannel<B> {
    /// The channel.
    pub channel: ChannelIndex,
    /// What was kept of each batch, with its number on the channel, in the order of the recording.
    /// Never empty.
    pub batches: Vec<(u64, B)>,
}

/// A channel was to be recorded for a checkpoint that it has left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel} was to be recorded for checkpoint {checkpoint} after barrier {by}")]
#[non_exhaustive]
pub struct LateRecording {
    /// The channel.
    pub channel: ChannelIndex,
    /// The checkpoint that it was to be recorded for.
    pub checkpoint: CheckpointId,
    /// The newest checkpoint that it has delivered the barrier of.
    pub by: CheckpointId,
}

impl<B> ChannelStateRecorder<B> {
    /// A recorder that keeps nothing yet.
    pub fn new() -> Self {
        Self {
            checkpoints: BTreeMap::new(),
            stopped: BTreeMap::new(),
            running: 0,
        }
    }

    /// Keeps the batches of a channel from now on.
    ///
    /// # Errors
    /// When the channel has delivered this barrier or a newer one: the checkpoint cannot be completed
    /// any more.
    pub fn start(&mut self, checkpoint: CheckpointId, channel: ChannelIndex) -> Result<(), LateRecording> {
        match self.stopped.get(&channel) {
            Some(&by) if by >= checkpoint => Err(LateRecording {
                channel,
                checkpoint,
                by,
            }),
            _ => {
                let channels = self.checkpoints.entry(checkpoint).or_default();
                channels.entry(channel).or_insert_with(|| {
                    self.running += 1;
                    Recording {
                        batches: Vec::new(),
                        phase: Phase::Running,
                    }
                });
                Ok(())
            }
        }
    }

    /// The task processes a batch. `keep` is called once for each checkpoint that records it.
    #[inline]
    pub fn on_batch(&mut self, channel: ChannelIndex, seq: u64, keep: impl FnMut() -> B) {
        if self.running > 0 {
            self.record(channel, seq, keep);
        }
    }

    /// The barrier of this checkpoint overtook a batch, which stays queued.
    pub fn on_overtaken(&mut self, checkpoint: CheckpointId, channel: ChannelIndex, seq: u64, batch: B) {
        if let Some(recording) = self.recording(checkpoint, channel) {
            recording.batches.push((seq, batch));
        }
    }

    /// The barrier of this checkpoint, or the end of the channel, is there.
    pub fn stop(&mut self, checkpoint: CheckpointId, channel: ChannelIndex) {
        let stopped = self.stopped.entry(channel).or_insert(checkpoint);
        *stopped = checkpoint.max(*stopped);
        if let Some(recording) = self.recording(checkpoint, channel) {
            recording.phase = Phase::Stopped;
            self.running -= 1;
        }
    }

    /// The channel state of a checkpoint in channel order, without channels that had nothing in
    /// flight. The recorder forgets it.
    #[must_use]
    pub fn take(&mut self, checkpoint: CheckpointId) -> Vec<RecordedChannel<B>> {
        let channels = self.checkpoints.remove(&checkpoint).unwrap_or_default();
        let running = channels.values().filter(|recording| recording.is_running());
        self.running -= running.count();
        let with_batches = channels
            .into_iter()
            .filter(|(_, recording)| !recording.batches.is_empty());
        with_batches
            .map(|(channel, Recording { batches, .. })| RecordedChannel { channel, batches })
            .collect()
    }

    /// Forgets a checkpoint that was given up.
    pub fn drop(&mut self, checkpoint: CheckpointId) {
        let _given_up = self.take(checkpoint);
    }

    /// Whether this channel is recorded for this checkpoint at the moment.
    pub fn is_recording(&self, checkpoint: CheckpointId, channel: ChannelIndex) -> bool {
        let channels = self.checkpoints.get(&checkpoint);
        channels
            .and_then(|channels| channels.get(&channel))
            .is_some_and(Recording::is_running)
    }

    fn record(&mut self, channel: ChannelIndex, seq: u64, mut keep: impl FnMut() -> B) {
        let recordings = self.checkpoints.values_mut();
        let of_channel = recordings.filter_map(|channels| channels.get_mut(&channel));
        for recording in of_channel.filter(|recording| recording.is_running()) {
            recording.batches.push((seq, keep()));
        }
    }

    fn recording(&mut self, checkpoint: CheckpointId, channel: ChannelIndex) -> Option<&mut Recording<B>> {
        let channels = self.checkpoints.get_mut(&checkpoint)?;
        channels
            .get_mut(&channel)
            .filter(|recording| recording.is_running())
    }
}

impl<B> Default for ChannelStateRecorder<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Recording<B> {
    fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }
}

impl<B> RecordedChannel<B> {
    /// The numbers of the batches, for [`ChannelCut::recorded`](crate::ChannelCut::recorded). One run
    /// unless batches are missing, repeated or out of order.
    pub fn runs(&self) -> Vec<RecordedRun> {
        let mut runs: Vec<RecordedRun> = Vec::new();
        for &(seq, _) in &self.batches {
            match runs.last_mut() {
                Some(run) if run.to == seq => run.to += 1,
                _ => runs.push(RecordedRun {
                    from: seq,
                    to: seq + 1,
                }),
            }
        }
        runs
    }
}

impl From<LateRecording> for Error {
    /// [`Error::internal`]: a [`BarrierHandler`](crate::BarrierHandler) never asks for it.
    fn from(late: LateRecording) -> Self {
        Self::internal("channel state was to be recorded too late").because(late)
    }
}

#[cfg(test)]
mod tests;
