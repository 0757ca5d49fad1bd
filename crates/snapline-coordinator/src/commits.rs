//! Commits that sinks have not confirmed yet.

use crate::action::CoordinatorAction;
use crate::manifest::SubtaskCommit;
use crate::retry::Retry;
use snapline_core::CheckpointId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The commits of completed checkpoints, oldest first; only the first is under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommitQueue {
    queue: VecDeque<(CheckpointId, Arc<[SubtaskCommit]>)>,
    retry: Retry,
}

impl CommitQueue {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// All of them, for the next manifest.
    pub(crate) fn unconfirmed(&self) -> Vec<SubtaskCommit> {
        self.queue
            .iter()
            .flat_map(|(_, commits)| commits.iter().cloned())
            .collect()
    }

    /// A checkpoint without commits has nothing to confirm.
    pub(crate) fn push(
        &mut self,
        checkpoint: CheckpointId,
        commits: Vec<SubtaskCommit>,
        out: &mut Vec<CoordinatorAction>,
    ) {
        if commits.is_empty() {
            return;
        }
        self.queue.push_back((checkpoint, commits.into()));
        if self.queue.len() == 1 {
            self.start(out);
        }
    }

    pub(crate) fn is_under_way(&self, checkpoint: CheckpointId) -> bool {
        self.queue.front().is_some_and(|(first, _)| *first == checkpoint)
    }

    pub(crate) fn on_confirmed(&mut self, out: &mut Vec<CoordinatorAction>) {
        self.queue.pop_front();
        self.retry = Retry::default();
        self.start(out);
    }

    pub(crate) fn on_unavailable(&mut self, now: Duration) {
        self.retry.on_failure(now);
    }

    pub(crate) fn on_time(&mut self, now: Duration, out: &mut Vec<CoordinatorAction>) {
        if self.retry.take_due(now) {
            self.start(out);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.retry.deadline()
    }

    fn start(&self, out: &mut Vec<CoordinatorAction>) {
        if let Some((checkpoint, commits)) = self.queue.front() {
            out.push(CoordinatorAction::Commit {
                checkpoint: *checkpoint,
                commits: commits.clone(),
            });
        }
    }
}
