//! What stays in memory of the newest checkpoint.

use super::CheckpointStore;
use crate::manifest::Manifest;
use snapline_core::CheckpointId;
use snapline_state::{LocalCopies, StorageKey};
use std::collections::BTreeSet;
use std::sync::Arc;

impl CheckpointStore {
    /// Keeps the state that this process writes in memory as well, see [`LocalCopies`]: of the newest completed
    /// checkpoint and of those that are under way. From now on [`CheckpointStore::storage`] is the storage
    /// that has the copies.
    ///
    /// A storage that itself is in memory gets none.
    #[must_use]
    pub fn with_local_copies(mut self) -> Self {
        if self.storage.capability().durable && self.local_copies.is_none() {
            let copies = Arc::new(LocalCopies::new(self.storage, self.layout.checkpoints()));
            self.storage = copies.clone();
            self.local_copies = Some(copies);
        }
        self
    }

    /// What is kept in memory, if anything is.
    pub fn local_copies(&self) -> Option<&LocalCopies> {
        self.local_copies.as_deref()
    }

    /// Drops the copies that neither this checkpoint nor a newer one needs.
    pub(super) fn subsume_copies(&self, newest: &Manifest) {
        self.retain_copies(Some(newest), |checkpoint| checkpoint > newest.checkpoint);
    }

    /// Drops the copies that this checkpoint does not need: no other will be completed.
    pub(super) fn restrict_copies(&self, restored: Option<&Manifest>) {
        self.retain_copies(restored, |_| false);
    }

    fn retain_copies(&self, manifest: Option<&Manifest>, is_pending: impl Fn(CheckpointId) -> bool) {
        let Some(copies) = &self.local_copies else {
            return;
        };
        let files: BTreeSet<&StorageKey> = manifest.into_iter().flat_map(Manifest::files).collect();
        copies.retain(|key| {
            let owner = self.layout.owner(key);
            files.contains(key) || owner.is_some_and(|(_, checkpoint)| is_pending(checkpoint))
        });
    }
}
