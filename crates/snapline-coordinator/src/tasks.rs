//! The tasks of a job, as far as checkpoints are concerned.

use snapline_core::SubtaskId;
use std::collections::BTreeSet;

/// Who has to acknowledge.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    all: BTreeSet<SubtaskId>,
    /// They have done everything that they will ever do, and a completed checkpoint has it.
    finished: BTreeSet<SubtaskId>,
    /// They have failed and do not run yet again.
    restarting: BTreeSet<SubtaskId>,
}

impl Tasks {
    pub(crate) fn new(
        all: impl IntoIterator<Item = SubtaskId>,
        finished: impl IntoIterator<Item = SubtaskId>,
    ) -> Self {
        let all: BTreeSet<SubtaskId> = all.into_iter().collect();
        Self {
            finished: finished.into_iter().filter(|task| all.contains(task)).collect(),
            all,
            restarting: BTreeSet::new(),
        }
    }

    pub(crate) fn contains(&self, task: &SubtaskId) -> bool {
        self.all.contains(task)
    }

    /// How many there are, finished ones included.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn required(&self) -> BTreeSet<SubtaskId> {
        self.all.difference(&self.finished).cloned().collect()
    }

    pub(crate) fn finished(&self) -> &BTreeSet<SubtaskId> {
        &self.finished
    }

    pub(crate) fn are_running(&self) -> bool {
        self.restarting.is_empty()
    }

    /// Whether that is news.
    #[must_use]
    pub(crate) fn finish(&mut self, task: &SubtaskId) -> bool {
        self.all.contains(task) && self.finished.insert(task.clone())
    }

    /// A restored task may have to do again what it had done.
    pub(crate) fn restart(&mut self, task: SubtaskId) {
        if self.all.contains(&task) {
            self.finished.remove(&task);
            self.restarting.insert(task);
        }
    }

    /// Whether the task was awaited.
    pub(crate) fn run(&mut self, task: &SubtaskId) -> bool {
        self.restarting.remove(task)
    }
}
