//! What a task tells of its cut, so that the cuts of all tasks together can be proven consistent.

mod flaw;
mod verify;

pub use flaw::ChannelFlaw;
pub use verify::ConsistentCut;

use crate::clock::VectorClock;
use serde::{Deserialize, Serialize};

/// Where one task stood when it took its snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskCut {
    /// The task's vector time at the cut, where the job keeps clocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<TaskClock>,
    /// Its input channels, in channel order.
    #[serde(default)]
    pub channels: Vec<ChannelCut>,
}

/// The vector time of one task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskClock {
    /// Which entry is the task's own: its position in the job.
    pub task: u32,
    /// What it knew.
    pub clock: VectorClock,
}

/// How many batches a channel had carried at the cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl ChannelCut {
    /// Checks that the snapshot has every batch that was sent before the barrier, in its state or
    /// recorded as channel state, once and in order, and no other batch.
    ///
    /// # Errors
    /// The first flaw.
    ///
    /// # Examples
    ///
    /// ```
    /// use snapline_barrier::{ChannelCut, ChannelFlaw, RecordedRun};
    ///
    /// let mut cut = ChannelCut { received: 3, sent: 6, recorded: vec![RecordedRun { from: 3, to: 5 }] };
    /// assert_eq!(cut.check_exact(), Err(ChannelFlaw::LogIncomplete { from: 5, to: 6 }));
    /// cut.recorded.push(RecordedRun { from: 5, to: 6 });
    /// assert_eq!(cut.check_exact(), Ok(()));
    /// ```
    pub fn check_exact(&self) -> Result<(), ChannelFlaw> {
        if self.received > self.sent {
            return Err(ChannelFlaw::Repeated {
                from: self.sent,
                to: self.received,
            });
        }
        self.check_at_least_once()
    }

    /// Checks that the snapshot lacks no batch that was sent before the barrier. Batches sent after it
    /// may be in the state and will then come again.
    ///
    /// # Errors
    /// As [`Self::check_exact`] but for `Repeated`.
    pub fn check_at_least_once(&self) -> Result<(), ChannelFlaw> {
        let mut next = self.received;
        for (index, run) in self.recorded.iter().enumerate() {
            self.check_run(*run, next, &self.recorded[index..])?;
            next = run.to;
        }
        match (next, self.sent) {
            (next, sent) if next >= sent => Ok(()),
            (from, to) if self.recorded.is_empty() => Err(ChannelFlaw::Lost { from, to }),
            (from, to) => Err(ChannelFlaw::LogIncomplete { from, to }),
        }
    }

    /// Checks a run that has to begin with this batch. `rest` begins with the run itself.
    fn check_run(&self, run: RecordedRun, next: u64, rest: &[RecordedRun]) -> Result<(), ChannelFlaw> {
        let RecordedRun { from, to } = run;
        if from >= to {
            return Err(ChannelFlaw::EmptyRun { from, to });
        }
        if to > self.sent {
            let batch = from.max(self.sent);
            return Err(ChannelFlaw::BeyondBarrier {
                batch,
                sent: self.sent,
            });
        }
        match from {
            _ if from == next => Ok(()),
            batch if batch < self.received => Err(ChannelFlaw::Overlap {
                batch,
                received: self.received,
            }),
            batch if batch < next => Err(ChannelFlaw::RecordedTwice { batch }),
            batch if rest.iter().any(|run| run.contains(next)) => Err(ChannelFlaw::OutOfOrder {
                batch,
                expected: next,
            }),
            _ => Err(ChannelFlaw::Gap { from: next, to: from }),
        }
    }
}

impl RecordedRun {
    fn contains(self, batch: u64) -> bool {
        (self.from..self.to).contains(&batch)
    }
}
