//! What a task tells of its cut, so that the cuts of all tasks together can be proven consistent.

use crate::clock::VectorClock;
use serde::{Deserialize, Serialize};

/// Where one task stood when it took its snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCut {
    /// The task's vector time at the cut, where the job keeps clocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<TaskClock>,
    /// Its input channels, in channel order.
    #[serde(default)]
    pub channels: Vec<ChannelCut>,
}

/// The vector time of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskClock {
    /// Which entry is the task's own: its position in the job.
    pub task: u32,
    /// What it knew.
    pub clock: VectorClock,
}

/// How many batches a channel had carried at the cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelCut {
    /// Batches that the receiver had processed when it took its snapshot.
    pub received: u64,
    /// Batches that the sender had put on the channel before the barrier.
    pub sent: u64,
    /// The batches that are in the snapshot as channel state, as runs of their numbers in the order
    /// in which they were recorded. The first batch of a channel has number 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recorded: Vec<RecordedRun>,
}

/// Batches with consecutive numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordedRun {
    /// The number of the first.
    pub from: u64,
    /// The number after that of the last.
    pub to: u64,
}
