//! Checkpoints that the coordinator gave up before their barriers arrived.

use snapline_core::CheckpointId;
use std::collections::BTreeSet;

/// How many ids are kept. Checkpoints run one or a few at a time; more can only wait here while
/// their barriers are stuck upstream. Forgetting one is safe: its snapshot is taken in vain, and the
/// coordinator discards it.
const REMEMBERED: usize = 16;

/// A bounded set of aborted checkpoints that may still arrive.
#[derive(Debug, Clone, Default, Hash)]
pub(crate) struct AbortedCheckpoints {
    ids: BTreeSet<CheckpointId>,
}

impl AbortedCheckpoints {
    /// Adds an id and forgets the oldest one when there are too many.
    pub(crate) fn remember(&mut self, checkpoint: CheckpointId) {
        self.ids.insert(checkpoint);
        if self.ids.len() > REMEMBERED {
            self.ids.pop_first();
        }
    }

    /// Whether this checkpoint was aborted. It and all older ones are forgotten, because from now on
    /// their barriers are obsolete anyway.
    pub(crate) fn take(&mut self, checkpoint: CheckpointId) -> bool {
        let newer = self.ids.split_off(&checkpoint.next());
        std::mem::replace(&mut self.ids, newer).contains(&checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ids_are_remembered_and_each_is_taken_once() {
        let mut aborted = AbortedCheckpoints::default();
        for id in 1..=1000 {
            aborted.remember(CheckpointId(id));
        }
        assert_eq!(aborted.ids.len(), REMEMBERED);
        assert!(!aborted.take(CheckpointId(1000 - REMEMBERED as u64)));
        assert!(aborted.take(CheckpointId(999)));
        assert!(!aborted.take(CheckpointId(999)));
        assert!(aborted.take(CheckpointId(1000)));
        assert!(aborted.ids.is_empty());
    }
}
