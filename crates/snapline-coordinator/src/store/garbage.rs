//! Deleting what no checkpoint needs any more.

use super::claim::Scan;
use super::lead::led_by_another;
use super::record::{Epoch, encode_boundary};
use super::{Chain, CheckpointStore, layout, lock};
use snapline_core::{AttemptId, CheckpointId, ErrorKind, Result};
use snapline_state::StorageKey;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a garbage collection has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GarbageReport {
    /// Ids up to this one are burnt.
    pub boundary: CheckpointId,
    /// How many manifests and state files were deleted.
    pub files: usize,
    /// How many records were deleted.
    pub records: usize,
}

/// What must stay.
#[derive(Debug, Default)]
struct Keep {
    manifests: BTreeSet<StorageKey>,
    files: BTreeSet<StorageKey>,
    /// Checkpoints that cannot be restored: they do not count, and none of their own files is touched
    /// as long as their record is there.
    unreadable: BTreeSet<CheckpointId>,
    oldest_record: Option<Epoch>,
}

impl CheckpointStore {
    /// Keeps the newest `retained` checkpoints (at least one) and deletes the others: first the
    /// boundary is advanced, so that no name can be used again, then what no retained manifest
    /// refers to is deleted.
    ///
    /// What belongs to a pending checkpoint of the leading attempt is not touched. A savepoint that the
    /// job was started from and has claimed is deleted as soon as there is a checkpoint to retain.
    ///
    /// # Errors
    /// `Conflict` when a newer attempt has taken over; otherwise the storage's error. Calling it
    /// again is safe.
    pub async fn collect_garbage(&self, retained: usize) -> Result<GarbageReport> {
        self.collect_garbage_before(None, retained).await
    }

    /// The same, keeping the checkpoints from `needed` on as well: those to whose files pending ones may
    /// refer, see [`crate::CheckpointCoordinator::oldest_base`].
    ///
    /// # Errors
    /// As [`CheckpointStore::collect_garbage`].
    pub async fn collect_garbage_before(
        &self,
        needed: Option<CheckpointId>,
        retained: usize,
    ) -> Result<GarbageReport> {
        let chain = self.chain()?;
        let scan = self.scan().await?;
        let before = scan.boundary;
        let Some(keep) = self.classify(&chain, scan, retained.max(1), needed).await? else {
            return Ok(GarbageReport {
                boundary: chain.era.offset.checkpoint(before),
                files: 0,
                records: 0,
            });
        };
        let below = keep.oldest_record.map_or(0, |oldest| oldest.0.saturating_sub(1));
        let boundary = before.max(Epoch(below));
        self.advance_boundary(before, boundary).await?;
        let files = self.unneeded_files(&chain, &keep).await?;
        self.storage.delete(&files).await?;
        let records = self.delete_records(boundary, chain.attempt).await?;
        self.forget(&keep, boundary);
        self.delete_claimed(&chain, &keep).await?;
        Ok(GarbageReport {
            boundary: chain.era.offset.checkpoint(boundary),
            files: files.len(),
            records,
        })
    }

    /// Deletes records, unless this leader has done so since the boundary was advanced: looking for them costs
    /// more requests than all the rest. Returns how many there were.
    async fn delete_records(&self, boundary: Epoch, attempt: AttemptId) -> Result<usize> {
        let collected = Some((attempt, boundary));
        if lock(&self.known).collected == collected {
            return Ok(0);
        }
        let records = self.unneeded_records(boundary, attempt).await?;
        self.storage.delete(&records).await?;
        lock(&self.known).collected = collected;
        Ok(records.len())
    }

    /// From the newest record to the oldest, until enough checkpoints are found; `None` when there
    /// is nothing to retain, and so no reason to delete anything.
    async fn classify(
        &self,
        chain: &Chain,
        scan: Scan,
        retained: usize,
        needed: Option<CheckpointId>,
    ) -> Result<Option<Keep>> {
        let mut keep = Keep::default();
        let epochs = scan.epochs.into_iter().rev();
        for id in epochs.take_while(|id| chain.era.includes(*id)) {
            let record = match self.record(id).await {
                Err(error) if error.kind() == ErrorKind::Corrupted => {
                    keep.unreadable.insert(chain.era.offset.checkpoint(id));
                    continue;
                }
                other => other?,
            };
            if record.attempt > chain.attempt {
                return Err(led_by_another(record.attempt));
            }
            let Some(manifest) = record.manifest.filter(|key| !keep.manifests.contains(key)) else {
                continue;
            };
            let owner = self.layout.owner(&manifest).map(|(_, checkpoint)| checkpoint);
            if owner.is_some_and(|owner| chain.damaged.contains(&owner)) {
                keep.unreadable.extend(owner);
                continue;
            }
            match self.files_of(&manifest).await {
                Ok(files) => keep.files.extend(files.iter().cloned()),
                Err(error) if error.kind() == ErrorKind::Corrupted => {
                    keep.unreadable.extend(owner);
                    continue;
                }
                Err(error) => return Err(error),
            }
            keep.manifests.insert(manifest);
            keep.oldest_record = Some(id);
            let is_needed = needed.is_some_and(|needed| chain.era.offset.checkpoint(id) > needed);
            if keep.manifests.len() >= retained && !is_needed {
                break;
            }
        }
        Ok((!keep.manifests.is_empty()).then_some(keep))
    }

    /// The files that a manifest refers to.
    async fn files_of(&self, manifest: &StorageKey) -> Result<Arc<[StorageKey]>> {
        if let Some(files) = lock(&self.known).files.get(manifest) {
            return Ok(files.clone());
        }
        let files: Arc<[StorageKey]> = self.read_manifest(manifest).await?.files().cloned().collect();
        lock(&self.known).files.insert(manifest.clone(), files.clone());
        Ok(files)
    }

    /// Everything in the folders of checkpoints that are decided, except what is needed. Folders of
    /// newer attempts and foreign names are none of our business.
    async fn unneeded_files(&self, chain: &Chain, keep: &Keep) -> Result<Vec<StorageKey>> {
        let mut files = self.storage.list(&self.layout.checkpoints(), None).await?;
        files.retain(|key| {
            let Some((attempt, checkpoint)) = self.layout.owner(key) else {
                return false;
            };
            let is_decided =
                attempt < chain.attempt || (attempt == chain.attempt && checkpoint <= chain.newest_id());
            let is_needed = keep.files.contains(key)
                || keep.manifests.contains(key)
                || keep.unreadable.contains(&checkpoint);
            is_decided && !is_needed
        });
        Ok(files)
    }

    /// Epoch records that the boundary covers, attempts before the last one, and all but the newest of
    /// the others.
    ///
    /// An attempt that is deleted has been taken over by one whose record is newer, so nobody can lead
    /// under its number again.
    pub(super) async fn unneeded_records(
        &self,
        boundary: Epoch,
        attempt: AttemptId,
    ) -> Result<Vec<StorageKey>> {
        let folders = [
            self.layout.epochs(),
            self.layout.attempts(),
            self.layout.boundaries(),
            self.layout.commits(),
        ];
        let [epochs, attempts, boundaries, commits] =
            folders.each_ref().map(|folder| self.storage.list(folder, None));
        let (mut epochs, mut attempts, boundaries, commits) =
            futures::try_join!(epochs, attempts, boundaries, commits)?;
        epochs.retain(|key| layout::number(key).is_some_and(|id| id <= boundary.0));
        attempts.retain(|key| layout::number(key).is_some_and(|old| old.saturating_add(1) < attempt.0));
        let mut unneeded = [epochs, attempts].concat();
        for mut keys in [boundaries, commits] {
            keys.retain(|key| layout::number(key).is_some());
            keys.pop();
            unneeded.extend(keys);
        }
        Ok(unneeded)
    }

    /// No number up to this one will be used again.
    pub(super) async fn advance_boundary(&self, before: Epoch, boundary: Epoch) -> Result<()> {
        if boundary > before {
            let key = self.layout.boundary(boundary)?;
            let _ = self.storage.create(&key, encode_boundary(boundary)?).await?;
        }
        Ok(())
    }

    /// A retained checkpoint is what a later run resumes from, so the savepoint is not needed any more.
    async fn delete_claimed(&self, chain: &Chain, keep: &Keep) -> Result<()> {
        let Some(savepoint) = &chain.claimed else {
            return Ok(());
        };
        let folder = format!("{}/", savepoint.path());
        if !keep.files.iter().any(|file| file.as_str().starts_with(&folder)) {
            savepoint.delete().await?;
            if let Some(chain) = lock(&self.chain).as_mut() {
                chain.claimed = None;
            }
        }
        Ok(())
    }

    fn forget(&self, keep: &Keep, boundary: Epoch) {
        let mut known = lock(&self.known);
        known.records.retain(|id, _| *id > boundary);
        known
            .files
            .retain(|manifest, _| keep.manifests.contains(manifest));
    }
}
