//! What can be wrong with the cut of one channel, by name.

use serde::{Deserialize, Serialize};

/// Why a snapshot does not hold exactly what was sent on a channel before the barrier.
///
/// Batches are named by their number on the channel, from 0; `to` is the number after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChannelFlaw {
    /// Batches sent before the barrier are neither in the state nor recorded, as when a task did not
    /// wait for this barrier.
    #[error("batches {from}..{to} were sent before the barrier and are lost")]
    Lost {
        /// The first.
        from: u64,
        /// After the last.
        to: u64,
    },
    /// Batches sent after the barrier are in the state, and will come again.
    #[error("batches {from}..{to} were sent after the barrier, are in the state and would be repeated")]
    Repeated {
        /// The first.
        from: u64,
        /// After the last.
        to: u64,
    },
    /// The recorded batches leave some out in the middle.
    #[error("batches {from}..{to} are missing among those that were recorded")]
    Gap {
        /// The first that is missing.
        from: u64,
        /// After the last.
        to: u64,
    },
    /// A batch was recorded that is in the state already.
    #[error("batch {batch} was recorded although it is in the state, which has the first {received}")]
    Overlap {
        /// The batch.
        batch: u64,
        /// How many batches are in the state.
        received: u64,
    },
    /// A batch was recorded twice.
    #[error("batch {batch} was recorded twice")]
    RecordedTwice {
        /// The batch.
        batch: u64,
    },
    /// A batch was recorded before another one that was sent earlier.
    #[error("batch {batch} was recorded before batch {expected}")]
    OutOfOrder {
        /// The batch.
        batch: u64,
        /// The one that had to come.
        expected: u64,
    },
    /// A batch was recorded that was sent after the barrier.
    #[error("batch {batch} was recorded although only {sent} were sent before the barrier")]
    BeyondBarrier {
        /// The batch.
        batch: u64,
        /// How many were sent before the barrier.
        sent: u64,
    },
    /// Recording ended before the barrier: the task acknowledged too early.
    #[error("recording ended before batches {from}..{to}, which were sent before the barrier")]
    LogIncomplete {
        /// The first that is missing.
        from: u64,
        /// After the last.
        to: u64,
    },
    /// A run of recorded batches has none.
    #[error("the recorded run {from}..{to} has no batches")]
    EmptyRun {
        /// Where it begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
}
