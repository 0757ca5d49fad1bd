//! When there were too many failures.

use super::FailureReason;
use snapline_core::CheckpointId;
use std::collections::BTreeSet;

/// Counts failures of checkpoints since the last success, each checkpoint once.
#[derive(Debug, Clone)]
pub(crate) struct FailureCounter {
    tolerable: u32,
    count: u32,
    counted: BTreeSet<CheckpointId>,
    last_success: CheckpointId,
}

/// Whether the job can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    Tolerable,
    TooMany,
}

impl FailureCounter {
    pub(crate) fn new(tolerable: u32) -> Self {
        Self {
            tolerable,
            count: 0,
            counted: BTreeSet::new(),
            last_success: CheckpointId::NONE,
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn on_success(&mut self, checkpoint: CheckpointId) {
        self.last_success = self.last_success.max(checkpoint);
        self.count = 0;
        self.counted.clear();
    }

    /// Failures of checkpoints up to the last success are old news.
    pub(crate) fn on_failure(&mut self, checkpoint: CheckpointId, reason: FailureReason) -> Verdict {
        if reason.counts() && checkpoint > self.last_success && self.counted.insert(checkpoint) {
            self.count = self.count.saturating_add(1);
        }
        self.verdict()
    }

    /// A checkpoint that is neither complete nor given up for another timeout counts again:
    /// otherwise a storage that never answers would go unnoticed for ever.
    pub(crate) fn on_stall(&mut self) -> Verdict {
        self.count = self.count.saturating_add(1);
        self.verdict()
    }

    fn verdict(&self) -> Verdict {
        if self.count > self.tolerable {
            Verdict::TooMany
        } else {
            Verdict::Tolerable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureReason::*;

    enum Step {
        Fails(u64, FailureReason),
        Succeeds(u64),
    }
    use Step::*;

    fn check(tolerable: u32, steps: &[Step], fails_at: Option<usize>) {
        let mut counter = FailureCounter::new(tolerable);
        let mut failed = None;
        for (at, step) in steps.iter().enumerate() {
            let verdict = match *step {
                Fails(id, reason) => counter.on_failure(CheckpointId(id), reason),
                Succeeds(id) => {
                    counter.on_success(CheckpointId(id));
                    Verdict::Tolerable
                }
            };
            if verdict == Verdict::TooMany {
                failed = failed.or(Some(at));
            }
        }
        assert_eq!(failed, fails_at);
    }

    #[test]
    fn a_late_failure_of_a_checkpoint_up_to_the_last_success_is_ignored() {
        // C-31
        let late = [
            Fails(1, Expired),
            Fails(2, Expired),
            Succeeds(2),
            Fails(1, Expired),
            Fails(3, Expired),
            Fails(4, Expired),
        ];
        check(2, &late, None);
    }

    #[test]
    fn a_success_resets_the_count_and_a_reason_that_does_not_count_does_not() {
        // C-33
        let reset = [
            Fails(1, StorageFailed),
            Fails(2, Declined),
            Fails(3, Subsumed),
            Succeeds(4),
            Fails(5, Expired),
        ];
        check(2, &reset, None);
        let no_reset = [
            Fails(1, Expired),
            Fails(2, Expired),
            Fails(3, Subsumed),
            Fails(4, Expired),
        ];
        check(2, &no_reset, Some(3));
    }

    #[test]
    fn a_checkpoint_counts_once_however_many_tasks_decline_it() {
        check(
            1,
            &[Fails(1, Declined), Fails(1, Declined), Fails(1, Expired)],
            None,
        );
    }

    #[test]
    fn only_lasting_defects_count() {
        // C-34, and the cut check, which others do not have.
        let counting = [
            StorageFailed,
            SnapshotFailed,
            Declined,
            Expired,
            FinalizationFailed,
            InconsistentCut,
        ];
        let passing = [
            TaskNotReady,
            TaskEnded,
            TaskFailed,
            Subsumed,
            CancelMarker,
            JobStopping,
            TooManyRequests,
        ];
        for reason in counting {
            check(0, &[Fails(1, reason)], Some(0));
        }
        for reason in passing {
            check(0, &[Fails(1, reason)], None);
        }
    }
}
