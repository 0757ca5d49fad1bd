//! When a loop is over.

use crate::cut::{ChannelCut, TaskCut};
use snapline_core::{CheckpointId, SubtaskId};
use std::collections::{BTreeMap, BTreeSet};

/// Tells when a loop is over: *its external input has ended, its tasks are idle, and a completed
/// checkpoint shows its channels empty.*
///
/// No task can know this by itself: its channels may be empty while a record is on its way
/// elsewhere in the loop. A checkpoint is a consistent cut, so it sees all of the loop at one
/// instant. Nothing is in a loop that was empty at a cut behind the end of its input, and nothing
/// can come into it any more: the snapshot is the proof, and no timeout guesses (Chandy and Lamport
/// 1985, section 4: termination is a stable property).
///
/// One of these watches one strongly connected part of the dataflow: a loop with all loops inside it.
/// Its *entries* are the tasks that get records from outside the part, which are the heads of the
/// outermost loop when that has a single entry. When it is over, each entry ends the data of its outputs, and
/// each other task does so when the data of its regular inputs has ended; back edges are waited for
/// by nobody.
///
/// # Contract
///
/// * Only a checkpoint that was triggered after the external input of every entry had ended counts.
/// * Every task of the loop has to be in the checkpoint. Every channel of it has to be empty: as many
///   batches received as sent and none recorded.
/// * When a loop is over it stays so, unless a task of it is restored.
///
/// # Examples
///
/// ```
/// use snapline_barrier::{LoopState, LoopTermination, TaskActivity, TaskCut, ChannelCut};
/// use snapline_core::{CheckpointId, OperatorUid, SubtaskId, SubtaskIndex};
///
/// let head = SubtaskId { operator: OperatorUid::new("head")?, index: SubtaskIndex(0) };
/// let mut ends = LoopTermination::new([head.clone()], []);
/// let empty = TaskCut { clock: None, channels: vec![ChannelCut { received: 7, sent: 7, recorded: vec![] }] };
/// let tasks = [(&head, &empty, TaskActivity::Idle)];
///
/// assert_eq!(ends.on_completed(CheckpointId(3), tasks), LoopState::Fed);
/// ends.on_input_ended(&head, CheckpointId(4));
/// // Triggered before the end of the input: a record may have come behind its cut.
/// assert_eq!(ends.on_completed(CheckpointId(4), tasks), LoopState::Turning);
/// assert_eq!(ends.on_completed(CheckpointId(5), tasks), LoopState::Over);
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LoopTermination {
    entries: BTreeSet<SubtaskId>,
    others: BTreeSet<SubtaskId>,
    /// The entries whose external input goes on.
    fed: BTreeSet<SubtaskId>,
    /// The newest checkpoint that was triggered before the external input had ended.
    too_old: CheckpointId,
    over: bool,
}

/// How far a loop is.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LoopState {
    /// Records may still come into it.
    Fed,
    /// Its external input has ended, and no checkpoint has shown it empty yet.
    Turning,
    /// Nothing is in it and nothing will ever be: its entries may end the data of their outputs.
    Over,
}

/// Whether a task may do something without being given a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TaskActivity {
    /// It emits records only for records that it is given.
    #[default]
    Idle,
    /// It keeps records back or has set timers, and will emit more by itself.
    Busy,
}

impl LoopTermination {
    /// For a loop with these entries and these other tasks.
    pub fn new(
        entries: impl IntoIterator<Item = SubtaskId>,
        others: impl IntoIterator<Item = SubtaskId>,
    ) -> Self {
        let entries: BTreeSet<SubtaskId> = entries.into_iter().collect();
        Self {
            fed: entries.clone(),
            entries,
            others: others.into_iter().collect(),
            too_old: CheckpointId::NONE,
            over: false,
        }
    }

    /// The data of all external inputs of an entry has ended. `newest` is the newest checkpoint that
    /// was triggered so far.
    pub fn on_input_ended(&mut self, entry: &SubtaskId, newest: CheckpointId) {
        if self.fed.remove(entry) {
            self.too_old = self.too_old.max(newest);
        }
    }

    /// A checkpoint is complete. `tasks` are what the tasks told of it; those that are not of this
    /// loop are passed over.
    pub fn on_completed<'a>(
        &mut self,
        checkpoint: CheckpointId,
        tasks: impl IntoIterator<Item = (&'a SubtaskId, &'a TaskCut, TaskActivity)>,
    ) -> LoopState {
        if self.fed.is_empty() && checkpoint > self.too_old {
            let quiet = |(task, cut, activity)| (task, activity == TaskActivity::Idle && is_empty(cut));
            let quiet: BTreeMap<&SubtaskId, bool> = tasks.into_iter().map(quiet).collect();
            let mut of_loop = self.entries.iter().chain(&self.others);
            self.over |= of_loop.all(|task| quiet.get(task) == Some(&true));
        }
        self.state()
    }

    /// These tasks start again from a checkpoint. The entries among them will tell again that their
    /// input has ended; the others go on.
    pub fn on_restore<'a>(&mut self, tasks: impl IntoIterator<Item = &'a SubtaskId>) {
        for task in tasks {
            if self.entries.contains(task) {
                self.fed.insert(task.clone());
            }
            self.over &= !self.entries.contains(task) && !self.others.contains(task);
        }
    }

    /// How far the loop is.
    pub fn state(&self) -> LoopState {
        match (self.over, self.fed.is_empty()) {
            (true, _) => LoopState::Over,
            (false, true) => LoopState::Turning,
            (false, false) => LoopState::Fed,
        }
    }
}

fn is_empty(cut: &TaskCut) -> bool {
    let empty = |channel: &ChannelCut| channel.received == channel.sent && channel.recorded.is_empty();
    cut.channels.iter().all(empty)
}
