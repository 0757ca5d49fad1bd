//! What travels on a channel.

use crate::barrier::CheckpointBarrier;
use crate::id::{AttemptId, CheckpointId};
use crate::time::Watermark;

/// One element of a stream. `B` is the batch: [`crate::Batch`] where the record type is known,
/// [`crate::BoxedBatch`] on a channel, anything in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamElement<B> {
    /// Records.
    Batch(B),
    /// Event time has advanced.
    Watermark(Watermark),
    /// The cut of a checkpoint.
    Barrier {
        /// Which checkpoint, and how.
        barrier: CheckpointBarrier,
        /// How many batches the sender has ever put on this channel before the barrier.
        sent: u64,
    },
    /// The sender gave this checkpoint up; sent instead of its barrier.
    CancelCheckpoint(CheckpointId),
    /// The channel has nothing to say for now and does not hold back event time.
    Idle,
    /// The channel was idle and holds back event time again.
    Active,
    /// No more records will come; barriers still may.
    EndOfData,
    /// The channel will never deliver anything again.
    EndOfInput,
}

/// Where a batch stands in the history of its channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchHeader {
    /// The incarnation of the job that sent it.
    pub attempt: AttemptId,
    /// The checkpoint whose barrier was the last one sent before it, 0 before the first.
    pub epoch: CheckpointId,
    /// How many batches were sent on this channel before it.
    pub seq: u64,
}

/// What the sender of a frame knew of the history of all tasks, as the difference to what it told on
/// the same channel before: the vector time of Mattern (1989) and Fidge (1988).
///
/// Entries are named by the position of a task in the job, from 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockDelta {
    /// The sender's own entry.
    pub own: u64,
    /// Other entries that have grown.
    pub others: Vec<(u32, u64)>,
}

/// An element with the header of its channel. The headers of batches and of the end of input are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<B> {
    /// Where it stands.
    pub header: BatchHeader,
    /// What its sender knew, on batches, where the job keeps vector clocks.
    pub clock: Option<ClockDelta>,
    /// What it is.
    pub element: StreamElement<B>,
}
