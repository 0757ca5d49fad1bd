//! The two ends of a channel count and compare: no batch is lost, repeated, reordered or let past
//! a barrier without being noticed.

use crate::handler::ChannelIndex;
use crate::violation::{Breach, ProtocolViolation};
use snapline_core::{AttemptId, BatchHeader, CheckpointId};

/// The sending end of a channel: numbers batches and tells a barrier how many came before it.
///
/// # Examples
///
/// ```
/// use snapline_barrier::ChannelSender;
/// use snapline_core::{AttemptId, BatchHeader, CheckpointId};
///
/// let attempt = AttemptId(7);
/// let mut sender = ChannelSender::new(attempt);
/// assert_eq!(sender.next_header(), BatchHeader { attempt, epoch: CheckpointId::NONE, seq: 0 });
/// assert_eq!(sender.on_barrier(CheckpointId(4)), 1);
/// assert_eq!(sender.next_header(), BatchHeader { attempt, epoch: CheckpointId(4), seq: 1 });
/// ```
#[derive(Debug, Clone)]
pub struct ChannelSender {
    next: BatchHeader,
}

impl ChannelSender {
    /// The sending end of a new channel.
    pub fn new(attempt: AttemptId) -> Self {
        Self { next: first(attempt) }
    }

    /// The header of the next batch, which is counted as sent.
    #[inline]
    #[must_use]
    pub fn next_header(&mut self) -> BatchHeader {
        let header = self.next;
        self.next.seq += 1;
        header
    }

    /// The header of an element that is not a batch; counts nothing.
    #[inline]
    #[must_use]
    pub fn header(&self) -> BatchHeader {
        self.next
    }

    /// Puts the barrier of a checkpoint on the channel and returns how many batches were sent
    /// before it, for [`snapline_core::StreamElement::Barrier`].
    #[must_use]
    pub fn on_barrier(&mut self, checkpoint: CheckpointId) -> u64 {
        self.next.epoch = checkpoint;
        self.next.seq
    }

    /// Puts a cancel marker on the channel, in place of the barrier.
    pub fn on_cancel(&mut self, checkpoint: CheckpointId) {
        self.next.epoch = checkpoint;
    }

    /// How many batches were ever sent.
    pub fn sent(&self) -> u64 {
        self.next.seq
    }
}

/// The receiving end of a channel: compares each batch and each barrier with what has to come.
///
/// After a violation nothing the channel delivers can be trusted; the task has to fail.
///
/// # Contract
///
/// * A batch is refused unless it carries the attempt, the epoch and the number that the channel
///   stands at.
/// * A barrier is refused unless as many batches were received as were sent before it.
/// * Markers come in strictly growing order of the checkpoint id.
/// * What is refused changes nothing.
#[derive(Debug, Clone)]
pub struct ChannelReceiver {
    channel: ChannelIndex,
    expected: BatchHeader,
    /// How many batches came before the newest marker, if that was a barrier.
    cut: Option<u64>,
    end: ChannelEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChannelEnd {
    Open,
    Ended,
}

impl ChannelReceiver {
    /// The receiving end of a new channel.
    pub fn new(channel: ChannelIndex, attempt: AttemptId) -> Self {
        Self {
            channel,
            expected: first(attempt),
            cut: None,
            end: ChannelEnd::Open,
        }
    }

    /// A batch arrived.
    ///
    /// # Errors
    /// `OldAttempt`, `FutureAttempt`, `EpochAhead`, `EpochBehind`, `Gap` or `Repeat`.
    #[inline]
    pub fn on_batch(&mut self, header: BatchHeader) -> Result<(), ProtocolViolation> {
        self.check(header)?;
        self.expected.seq += 1;
        Ok(())
    }

    /// A barrier arrived, and its sender counted `sent` batches before it.
    ///
    /// # Errors
    /// `StaleMarker` or `CountMismatch`.
    pub fn on_barrier(&mut self, checkpoint: CheckpointId, sent: u64) -> Result<(), ProtocolViolation> {
        let received = self.received();
        self.check_marker(checkpoint)?;
        if sent != received {
            return Err(self.violation(Breach::CountMismatch {
                checkpoint,
                sent,
                received,
            }));
        }
        self.expected.epoch = checkpoint;
        self.cut = Some(received);
        Ok(())
    }

    /// A cancel marker arrived in place of the barrier.
    ///
    /// # Errors
    /// `StaleMarker`.
    pub fn on_cancel(&mut self, checkpoint: CheckpointId) -> Result<(), ProtocolViolation> {
        self.check_marker(checkpoint)?;
        self.expected.epoch = checkpoint;
        self.cut = None;
        Ok(())
    }

    /// The end of input arrived. Its header tells how many batches came before it.
    ///
    /// # Errors
    /// As [`Self::on_batch`]: `Gap` when the last batches were lost.
    pub fn on_end_of_input(&mut self, header: BatchHeader) -> Result<(), ProtocolViolation> {
        self.check(header)?;
        self.end = ChannelEnd::Ended;
        Ok(())
    }

    /// How many batches were ever received.
    pub fn received(&self) -> u64 {
        self.expected.seq
    }

    /// Checks that the channel stands exactly at its barrier of this checkpoint, or ended before it.
    ///
    /// # Errors
    /// `BarrierMissing` or `CutOverrun`.
    pub fn check_cut(&self, checkpoint: CheckpointId) -> Result<(), ProtocolViolation> {
        let (epoch, received) = (self.expected.epoch, self.received());
        match self.cut {
            Some(sent) if epoch == checkpoint && sent == received => Ok(()),
            Some(sent) if epoch == checkpoint => Err(self.violation(Breach::CutOverrun {
                checkpoint,
                sent,
                received,
            })),
            _ if self.end == ChannelEnd::Ended => Ok(()),
            _ => Err(self.violation(Breach::BarrierMissing { checkpoint, epoch })),
        }
    }

    #[inline]
    fn check(&self, header: BatchHeader) -> Result<(), ProtocolViolation> {
        if header == self.expected {
            return Ok(());
        }
        Err(self.violation(breach(header, self.expected)))
    }

    fn check_marker(&self, received: CheckpointId) -> Result<(), ProtocolViolation> {
        let latest = self.expected.epoch;
        if received > latest {
            return Ok(());
        }
        Err(self.violation(Breach::StaleMarker { received, latest }))
    }

    #[cold]
    fn violation(&self, breach: Breach) -> ProtocolViolation {
        let channel = self.channel;
        ProtocolViolation { channel, breach }
    }
}

/// Checks, when an aligned snapshot is due, that every channel of the task stands exactly at its
/// barrier or ended before it. Returns the batches received per channel, for the acknowledgement.
///
/// At-least-once snapshots are no cuts, so this does not hold for them.
///
/// # Errors
/// `BarrierMissing` when a channel was not waited for, `CutOverrun` when a batch behind the barrier
/// got into the state.
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

fn first(attempt: AttemptId) -> BatchHeader {
    BatchHeader {
        attempt,
        epoch: CheckpointId::NONE,
        seq: 0,
    }
}

/// Names the difference between two headers that are not equal. The epoch goes before the number:
/// a batch that overtook a barrier usually overtook other batches as well.
#[cold]
fn breach(received: BatchHeader, expected: BatchHeader) -> Breach {
    let attempts = (received.attempt, expected.attempt);
    let epochs = (received.epoch, expected.epoch);
    let numbers = (received.seq, expected.seq);
    match (attempts, epochs, numbers) {
        ((received, expected), ..) if received < expected => Breach::OldAttempt { received, expected },
        ((received, expected), ..) if received > expected => Breach::FutureAttempt { received, expected },
        (_, (received, expected), _) if received > expected => Breach::EpochAhead { received, expected },
        (_, (received, expected), _) if received < expected => Breach::EpochBehind { received, expected },
        (.., (received, expected)) if received > expected => Breach::Gap { received, expected },
        (.., (received, expected)) => Breach::Repeat { received, expected },
    }
}
