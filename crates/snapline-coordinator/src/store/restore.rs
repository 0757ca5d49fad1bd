//! Finding the newest checkpoint that can be restored.

use super::claim::{Scan, TRIES};
use super::{CheckpointStore, Savepoint, Verification, verify_handles};
use crate::manifest::{Manifest, SubtaskCommit};
use snapline_core::{CheckpointId, Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, StorageKey};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What is said of a manifest that is not there.
pub(super) const MISSING: &str = "a manifest is missing";

/// What a job starts from.
#[derive(Debug)]
pub struct Restored {
    /// The checkpoint or savepoint; `None`: start at the beginning.
    pub manifest: Option<Manifest>,
    /// The newest id that was ever used.
    pub last_used: CheckpointId,
    /// The newest checkpoint up to which all sinks have committed.
    pub committed: Option<CheckpointId>,
    /// Newer checkpoints that cannot be restored, and why, newest first. Tell the user.
    pub skipped: Vec<(CheckpointId, Error)>,
    storage: Arc<dyn CheckpointStorage>,
    savepoint: Option<Savepoint>,
}

impl Restored {
    pub(super) fn nothing(storage: Arc<dyn CheckpointStorage>, last_used: CheckpointId) -> Self {
        Self {
            manifest: None,
            last_used,
            committed: None,
            skipped: Vec::new(),
            storage,
            savepoint: None,
        }
    }

    /// What this job has committed says nothing about a savepoint.
    pub(super) fn start_from(&mut self, savepoint: Savepoint, manifest: Manifest) {
        self.storage = savepoint.storage().clone();
        self.savepoint = Some(savepoint);
        self.manifest = Some(manifest);
        self.committed = None;
    }

    /// From where the state has to be read: the storage of the job or that of the savepoint.
    pub fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
    }

    /// The savepoint from which the job starts; `None` when it resumes from a checkpoint of its own.
    pub fn savepoint(&self) -> Option<&Savepoint> {
        self.savepoint.as_ref()
    }

    /// The checkpoint, if later ones may refer to its files: one of the job's own, not a savepoint.
    pub fn base(&self) -> Option<CheckpointId> {
        self.checkpoint().filter(|_| self.savepoint.is_none())
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> Option<CheckpointId> {
        self.manifest.as_ref().map(|manifest| manifest.checkpoint)
    }

    /// What must be committed before anything else, oldest first.
    pub fn unfinished_commits(&self) -> Vec<SubtaskCommit> {
        let commits = self
            .manifest
            .as_ref()
            .map(|manifest| manifest.commits_after(self.committed));
        commits.unwrap_or_default()
    }
}

impl CheckpointStore {
    /// The newest checkpoint that can be restored, without taking anything over.
    ///
    /// A checkpoint whose record, manifest or state is missing or damaged is passed over for the one
    /// before it, which [`Restored::skipped`] tells.
    ///
    /// # Errors
    /// `Invalid` when there are checkpoints but none of them can be restored: trying again would not
    /// help. `Unsupported` when a newer version of Snapline wrote the newest one, `Invalid` when it is
    /// of another job, and `Unavailable`; in none of these cases an older one is restored.
    pub async fn latest(&self, verification: Verification) -> Result<Restored> {
        let mut restored = self.newest(verification).await?;
        if restored.manifest.is_none()
            && let Some(error) = self.none_left(std::mem::take(&mut restored.skipped))
        {
            return Err(error);
        }
        Ok(restored)
    }

    /// The same, but nothing when there are checkpoints of which none can be restored.
    pub(super) async fn newest(&self, verification: Verification) -> Result<Restored> {
        let mut scan = self.scan().await?;
        let mut restored = self.walk(&scan, verification).await?;
        for _ in 0..TRIES {
            let found = restored.skipped.is_empty();
            let again = if found { None } else { Some(self.scan().await?) };
            match again {
                Some(again) if again != scan => scan = again,
                _ => break,
            }
            restored = self.walk(&scan, verification).await?;
        }
        restored.committed = self.committed().await?;
        Ok(restored)
    }

    /// Why nothing can be restored, if something was passed over.
    pub(super) fn none_left(&self, mut skipped: Vec<(CheckpointId, Error)>) -> Option<Error> {
        let (oldest, error) = skipped.pop()?;
        Some(
            Error::invalid(
                "no checkpoint of this job can be restored; repair the storage, or start fresh and lose them",
            )
            .with("job", self.job())
            .with("storage", self.storage.location())
            .with("oldest", oldest)
            .because(error),
        )
    }

    /// From the newest record to the oldest.
    async fn walk(&self, scan: &Scan, verification: Verification) -> Result<Restored> {
        let newest = self.newest_record(scan).await?;
        let era = newest.map(|(_, newest)| newest.era).unwrap_or_default();
        let last_used = era.offset.checkpoint(scan.last_used());
        let mut restored = Restored::nothing(self.storage.clone(), last_used);
        let mut tried = BTreeSet::new();
        let records = scan.epochs.iter().rev().copied();
        for id in records.take_while(|id| era.includes(*id)) {
            let record = match self.record(id).await {
                Ok(record) => record,
                Err(error) => {
                    let id = era.offset.checkpoint(id);
                    restored.skipped.push((id, only_damage(error)?));
                    continue;
                }
            };
            let Some(key) = record.manifest.filter(|key| tried.insert(key.clone())) else {
                continue;
            };
            match self.check(&key, verification).await {
                Ok(manifest) => {
                    restored.manifest = Some(manifest);
                    break;
                }
                Err(error) => {
                    let owner = self.layout.owner(&key);
                    let id = owner.map_or(era.offset.checkpoint(id), |(_, checkpoint)| checkpoint);
                    restored.skipped.push((id, only_damage(error)?));
                }
            }
        }
        Ok(restored)
    }

    async fn check(&self, key: &StorageKey, verification: Verification) -> Result<Manifest> {
        let manifest = self.read_manifest(key).await?;
        verify_handles(self.storage.as_ref(), &manifest, verification).await?;
        Ok(manifest)
    }

    /// Reads a manifest.
    pub(super) async fn read_manifest(&self, key: &StorageKey) -> Result<Manifest> {
        let bytes = self.storage.get(key, None).await?;
        let bytes = bytes.ok_or_else(|| Error::corrupted(MISSING).with("file", key))?;
        let manifest = Manifest::decode(&bytes).map_err(|error| error.with("file", key))?;
        if manifest.job != *self.job() {
            return Err(Error::invalid(
                "a checkpoint belongs to another job; use that job's id, or another folder",
            )
            .with("file", key)
            .with("job", self.job())
            .with("found", &manifest.job));
        }
        if self.layout.manifest(manifest.attempt, manifest.checkpoint)? != *key {
            return Err(Error::corrupted("a manifest is not that of its folder").with("file", key));
        }
        Ok(manifest)
    }
}

/// Only damage is a reason to restore something older; anything else may be cured.
fn only_damage(error: Error) -> Result<Error> {
    if error.kind() == ErrorKind::Corrupted {
        Ok(error)
    } else {
        Err(error)
    }
}
