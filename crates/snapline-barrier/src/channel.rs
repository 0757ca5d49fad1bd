//! The two ends of a channel count and compare: no batch is lost, repeated, reordered or let past
//! a barrier without being noticed.

mod header;
mod receiver;
mod sender;

pub use receiver::ChannelReceiver;
pub use sender::ChannelSender;

use crate::violation::ProtocolViolation;
use snapline_core::CheckpointId;

/// Checks, when an aligned snapshot is due, that every channel of the task stands exactly at its
/// barrier or ended before it. Returns the batches received per channel, for the acknowledgement.
///
/// At-least-once snapshots are no cuts, so this does not hold for them.
///
/// # Errors
/// `BarrierMissing` when a channel was not waited for, `CutOverrun` when a batch behind the barrier
/// got into the state, `OvertakenMissing` when batches before it did not.
///
/// # Examples
///
/// A snapshot that came one batch late:
///
/// ```
/// use snapline_barrier::{Breach, ChannelIndex, ChannelReceiver, ChannelSender, verify_aligned_cut};
/// use snapline_core::{AttemptId, CheckpointId};
///
/// let (attempt, checkpoint) = (AttemptId(1), CheckpointId(1));
/// let mut sender = ChannelSender::new(attempt);
/// let mut receivers = [ChannelReceiver::new(ChannelIndex(0), attempt)];
/// receivers[0].on_barrier(checkpoint, sender.on_barrier(checkpoint))?;
/// assert_eq!(verify_aligned_cut(&receivers, checkpoint)?, [0]);
///
/// receivers[0].on_batch(sender.next_header())?;
/// let violation = verify_aligned_cut(&receivers, checkpoint).unwrap_err();
/// assert_eq!(violation.breach, Breach::CutOverrun { checkpoint, sent: 0, received: 1 });
/// # Ok::<(), snapline_core::Error>(())
/// ```
pub fn verify_aligned_cut(
    receivers: &[ChannelReceiver],
    checkpoint: CheckpointId,
) -> Result<Vec<u64>, ProtocolViolation> {
    let count = |receiver: &ChannelReceiver| {
        receiver.check_cut(checkpoint)?;
        Ok(receiver.received())
    };
    receivers.iter().map(count).collect()
}

/// Checks, when a snapshot is due before all barriers are in, that no channel whose barrier is in has
/// gone past it. Returns the batches received per channel: what [`ChannelReceiver::recorded_cut`] begins
/// with when the others are in as well.
///
/// # Errors
/// `CutOverrun` when a batch behind the barrier got into the state.
pub fn verify_unaligned_cut(
    receivers: &[ChannelReceiver],
    checkpoint: CheckpointId,
) -> Result<Vec<u64>, ProtocolViolation> {
    let count = |receiver: &ChannelReceiver| {
        receiver.check_overrun(checkpoint)?;
        Ok(receiver.received())
    };
    receivers.iter().map(count).collect()
}
