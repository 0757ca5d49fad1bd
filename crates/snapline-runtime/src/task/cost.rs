//! What the alignment of checkpoints costs a task.

use snapline_coordinator::SubtaskStatistics;
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::time::Duration;

/// Notes for each checkpoint under way when its first barrier was seen, and how much was processed
/// since.
#[derive(Debug, Default)]
pub(super) struct AlignmentCost {
    /// Oldest first.
    running: Vec<Running>,
    newest: Option<CheckpointId>,
}

#[derive(Debug)]
struct Running {
    checkpoint: CheckpointId,
    start_delay: Duration,
    since: Timestamp,
    bytes: u64,
}

impl AlignmentCost {
    /// A barrier arrived or was announced.
    pub(super) fn on_barrier(&mut self, barrier: &CheckpointBarrier, now: Timestamp) {
        if self.newest >= Some(barrier.checkpoint) {
            return;
        }
        self.newest = Some(barrier.checkpoint);
        self.running.push(Running {
            checkpoint: barrier.checkpoint,
            start_delay: Duration::from_millis(now.millis_since(barrier.created)),
            since: now,
            bytes: 0,
        });
    }

    /// Whether [`AlignmentCost::on_batch`] has something to note.
    #[inline]
    pub(super) fn is_aligning(&self) -> bool {
        !self.running.is_empty()
    }

    /// A batch of this size is processed.
    #[cold]
    pub(super) fn on_batch(&mut self, bytes: usize) {
        self.running
            .iter_mut()
            .for_each(|running| running.bytes += bytes as u64);
    }

    /// All barriers of a checkpoint are in. Older ones are over as well.
    pub(super) fn on_complete(&mut self, checkpoint: CheckpointId, now: Timestamp) -> SubtaskStatistics {
        let running = self
            .running
            .iter()
            .find(|running| running.checkpoint == checkpoint);
        let statistics = running.map_or_else(SubtaskStatistics::default, |running| SubtaskStatistics {
            start_delay: running.start_delay,
            alignment: Duration::from_millis(now.millis_since(running.since)),
            alignment_bytes: running.bytes,
            ..SubtaskStatistics::default()
        });
        self.running.retain(|running| running.checkpoint > checkpoint);
        statistics
    }

    /// A checkpoint was given up.
    pub(super) fn on_given_up(&mut self, checkpoint: CheckpointId) {
        self.running.retain(|running| running.checkpoint != checkpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::BarrierOptions;

    #[test]
    fn what_is_processed_between_the_first_barrier_and_the_last_is_counted() {
        let barrier = |id| CheckpointBarrier {
            checkpoint: CheckpointId(id),
            created: Timestamp(100),
            options: BarrierOptions::default(),
        };
        let mut cost = AlignmentCost::default();
        cost.on_barrier(&barrier(1), Timestamp(103));
        cost.on_given_up(CheckpointId(1));
        assert!(!cost.is_aligning());
        cost.on_barrier(&barrier(2), Timestamp(107));
        cost.on_batch(10);
        cost.on_barrier(&barrier(2), Timestamp(108));
        cost.on_batch(5);
        let statistics = cost.on_complete(CheckpointId(2), Timestamp(109));
        cost.on_barrier(&barrier(2), Timestamp(110));
        assert!(!cost.is_aligning());
        let expected = SubtaskStatistics {
            start_delay: Duration::from_millis(7),
            alignment: Duration::from_millis(2),
            alignment_bytes: 15,
            ..SubtaskStatistics::default()
        };
        assert_eq!(statistics, expected);
    }
}
