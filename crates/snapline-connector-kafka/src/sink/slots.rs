//! Which transactional ids are in use.
//!
//! A transaction has its id for itself until it is committed, so a subtask needs as many as there are checkpoints under
//! way, and one for what it writes meanwhile. It takes the lowest that is free: few ids are used in all, and those
//! that a crash has left open can be found.

use futures::lock::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The slots in use, by subtask.
#[derive(Debug, Default)]
pub(super) struct Slots {
    used: Mutex<BTreeMap<u32, BTreeSet<u32>>>,
    registering: AsyncMutex<()>,
}

impl Slots {
    /// Takes the lowest free slot.
    pub(super) fn take(&self, subtask: u32) -> u32 {
        let mut slots = self.lock();
        let used = slots.entry(subtask).or_default();
        let free = (0..).find(|slot| !used.contains(slot)).unwrap_or_default();
        used.insert(free);
        free
    }

    /// Its transaction is over.
    pub(super) fn free(&self, subtask: u32, slot: u32) {
        if let Some(used) = self.lock().get_mut(&subtask) {
            used.remove(&slot);
        }
    }

    /// All transactions are over.
    pub(super) fn free_all(&self) {
        self.lock().clear();
    }

    /// Only one writer at a time changes what is registered at the cluster.
    pub(super) async fn registering(&self) -> AsyncMutexGuard<'_, ()> {
        self.registering.lock().await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, BTreeSet<u32>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_of_a_subtask_is_taken() {
        let slots = Slots::default();
        assert_eq!(
            [slots.take(0), slots.take(0), slots.take(1), slots.take(0)],
            [0, 1, 0, 2]
        );
        slots.free(0, 1);
        assert_eq!([slots.take(0), slots.take(0)], [1, 3]);
        slots.free_all();
        assert_eq!(slots.take(0), 0);
    }
}
