//! The sending end of a channel.

use super::header::first;
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
#[derive(Debug, Clone, Hash)]
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
