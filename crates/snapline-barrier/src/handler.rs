//! The receiving rule of a task as a trait: events of its channels in, decisions out.

use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::fmt;
use std::time::Duration;

/// The position of a channel among all input channels of a task, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelIndex(pub u32);

impl ChannelIndex {
    /// The index as a position in a slice.
    pub fn as_usize(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ChannelIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a task has to do, in the order in which it is told.
///
/// After a `Snapshot` a task may acknowledge its checkpoint at `Complete`, and not before: until then
/// channel state may be missing. Each `Snapshot` is followed by exactly one `Complete` or
/// `DropRecording`, unless the task ends first.
///
/// Not `non_exhaustive`: a task that ignores an action it does not know is broken.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a task must carry out every action, so a new one has to break it"
)]
pub enum AlignmentAction {
    /// Take nothing more from this channel until it is unblocked.
    Block(ChannelIndex),
    /// Go on with this channel. It may not be blocked; then there is nothing to do.
    Unblock(ChannelIndex),
    /// Freeze the state and forward the barrier on all outputs, both before the next action.
    Snapshot {
        /// The barrier to forward. Its alignment is `Unaligned` when barriers are still missing, and
        /// as it came first otherwise.
        barrier: CheckpointBarrier,
        /// The time since the first barrier of this checkpoint arrived or was announced.
        alignment: Duration,
    },
    /// Let the announced barrier of this channel overtake what is queued before it: it is what the
    /// gate delivers next. What it overtook stays queued.
    Prioritize(ChannelIndex),
    /// Keep every batch of this channel that is processed or overtaken until `StopRecording`: it is
    /// channel state of the checkpoint whose snapshot was just taken.
    Record {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The channel, whose barrier is missing.
        channel: ChannelIndex,
    },
    /// The barrier or the end of this channel is there. The batches that it overtook are the last
    /// ones to keep.
    StopRecording {
        /// The checkpoint.
        checkpoint: CheckpointId,
        /// The channel.
        channel: ChannelIndex,
    },
    /// All barriers are in, the channel state is whole: the snapshot may be acknowledged.
    Complete {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// The checkpoint was given up after its snapshot: forget both that and the channel state.
    DropRecording {
        /// The checkpoint.
        checkpoint: CheckpointId,
    },
    /// Tell the coordinator that this task does not take part in the checkpoint.
    Decline {
        /// The checkpoint that was given up.
        checkpoint: CheckpointId,
        /// Why.
        reason: DeclineReason,
    },
    /// Forward a cancel marker on all outputs, in place of the barrier of this checkpoint.
    ForwardCancel(CheckpointId),
}

/// Why a task gives a checkpoint up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeclineReason {
    /// A newer checkpoint arrived before all barriers of this one.
    Subsumed {
        /// The newer one.
        by: CheckpointId,
    },
    /// An upstream task gave it up.
    Cancelled,
    /// A channel ended before its barrier, under [`EndOfInputRule::Aborts`].
    EndOfInput,
}

impl fmt::Display for DeclineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subsumed { by } => write!(f, "checkpoint {by} took its place"),
            Self::Cancelled => f.write_str("an upstream task gave it up"),
            Self::EndOfInput => f.write_str("an input ended before its barrier"),
        }
    }
}

/// What the end of a channel means for a checkpoint that waits for its barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EndOfInputRule {
    /// The end stands in for the barrier: checkpoints go on after some tasks have finished.
    #[default]
    StandsIn,
    /// The end aborts every pending checkpoint.
    Aborts,
}

/// Decides when a task takes a snapshot, from what its channels deliver.
///
/// # Contract
///
/// * Events come in the order in which the task takes them from its channels, and the actions of
///   one event are carried out, in order, before the next element is taken.
/// * For each checkpoint there is at most one `Snapshot` or `ForwardCancel`. Both come in strictly
///   growing order of the checkpoint id, and before any `Unblock` of the same event.
/// * `Record`, `StopRecording`, `Complete` and `DropRecording` concern the newest snapshot and come after
///   it. A checkpoint that is given up after its snapshot is declined, unless the coordinator itself
///   has aborted it, and no cancel marker follows its barrier.
/// * A barrier that arrives late or twice starts nothing.
/// * Actions are appended to `out`; what stands in it already is left alone.
/// * The end of a channel is reported once. Nothing of this channel is reported after it.
///
/// Not promised: that every checkpoint ends. A channel that delivers neither barrier, cancel marker
/// nor end keeps it pending until [`Self::on_abort`] or a newer checkpoint.
///
/// # Examples
///
/// ```
/// use snapline_barrier::{BarrierAligner, BarrierHandler, BarrierTracker, EndOfInputRule};
/// use snapline_core::BarrierAlignment;
///
/// fn handler(mode: BarrierAlignment, channels: u32) -> Box<dyn BarrierHandler> {
///     match mode {
///         BarrierAlignment::AtLeastOnce => Box::new(BarrierTracker::new(channels, EndOfInputRule::StandsIn)),
///         _ => Box::new(BarrierAligner::new(channels, EndOfInputRule::StandsIn)),
///     }
/// }
/// assert_eq!(handler(BarrierAlignment::Aligned, 3).open_channels(), 3);
/// ```
pub trait BarrierHandler: Send {
    /// A channel delivered a barrier: in its order, or ahead of queued batches after
    /// [`AlignmentAction::Prioritize`].
    fn on_barrier(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    );

    /// A barrier that [may record](snapline_core::BarrierAlignment::may_record) is queued on a
    /// channel, behind batches. It is announced once, also on a blocked channel, as soon as no other
    /// barrier and no cancel marker stands before it, and it is delivered in any case: in its order, or
    /// earlier if the handler wants it to.
    ///
    /// A handler that does not care lets every barrier be delivered in its order, which is the default.
    fn on_announcement(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let _ = (channel, barrier, now, out);
    }

    /// A channel delivered a cancel marker.
    fn on_cancel(
        &mut self,
        channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    );

    /// A channel will never deliver anything again.
    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>);

    /// The coordinator gave a checkpoint up. If its snapshot is not taken yet, it never will be:
    /// a cancel marker goes out instead. The coordinator is not told back.
    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Vec<AlignmentAction>);

    /// When [`Self::on_time`] has something to do, unless something else happens first.
    fn deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The time has come. Early, late and needless calls do no harm.
    fn on_time(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        let _ = (now, out);
    }

    /// How many channels have not ended.
    fn open_channels(&self) -> usize;

    /// The newest checkpoint that was started or cancelled, [`CheckpointId::NONE`] before the first.
    fn latest(&self) -> CheckpointId;

    /// The checkpoints that wait for barriers, oldest first.
    fn pending(&self) -> Vec<CheckpointId>;

    /// The channels whose barrier this checkpoint waits for; none when it is not pending.
    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex>;
}
