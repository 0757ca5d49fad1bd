//! Which checkpoints there are.

use super::restore::MISSING;
use super::{CheckpointStore, layout};
use crate::manifest::{Manifest, ManifestSizes};
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, Error, ErrorKind, JobId, Result, Timestamp};
use snapline_state::{CheckpointStorage, StorageKey};
use std::collections::BTreeSet;
use std::time::Duration;

/// One of the checkpoints from which a job can resume.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCheckpoint {
    /// The checkpoint.
    pub checkpoint: CheckpointId,
    /// The attempt that took it.
    pub attempt: AttemptId,
    /// What it was taken for.
    pub kind: CheckpointKind,
    /// Whether the job had ended.
    pub finished: bool,
    /// When it was started, in milliseconds since the Unix epoch.
    pub created: Timestamp,
    /// How long it took until all tasks had stored their state, if the manifest knows.
    pub took: Option<Duration>,
    /// The completed checkpoint before it.
    pub parent: Option<CheckpointId>,
    /// How much there is.
    pub sizes: ManifestSizes,
    /// Its folder in the storage, which can be read as a [`super::Savepoint`].
    pub path: StorageKey,
}

impl StoredCheckpoint {
    /// Whether an error of [`CheckpointStore::checkpoints`] says that the manifest is not there at all.
    #[must_use]
    pub fn is_gone(error: &Error) -> bool {
        error.kind() == ErrorKind::Corrupted && error.message() == MISSING
    }
}

/// The jobs that have run with this storage, in order. Lists all names in it, and reads nothing.
///
/// # Errors
/// The storage's error.
pub async fn stored_jobs(storage: &dyn CheckpointStorage) -> Result<Vec<JobId>> {
    let keys = storage.list("", None).await?;
    let job_of = |key: &StorageKey| {
        let (job, rest) = key.as_str().split_once('/')?;
        let is_record = ["attempt/", "epoch/"].iter().any(|folder| {
            rest.strip_prefix(folder)
                .is_some_and(|name| !name.contains('/') && layout::number(key).is_some())
        });
        is_record.then(|| JobId::new(job).ok()).flatten()
    };
    let jobs: BTreeSet<JobId> = keys.iter().filter_map(job_of).collect();
    Ok(jobs.into_iter().collect())
}

impl CheckpointStore {
    /// The checkpoints that there are since the job last began at the beginning or from a savepoint,
    /// newest first; or why one of them cannot be read. Nothing is taken over, and no state is read.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn checkpoints(&self) -> Result<Vec<(CheckpointId, Result<StoredCheckpoint>)>> {
        let scan = self.scan().await?;
        let newest = self.newest_record(&scan).await?;
        let era = newest.map(|(_, newest)| newest.era).unwrap_or_default();
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let records = scan.epochs.iter().rev().copied();
        for epoch in records.take_while(|epoch| era.includes(*epoch)) {
            let id = era.offset.checkpoint(epoch);
            let record = match self.record(epoch).await {
                Ok(record) => record,
                Err(error) => {
                    found.push((id, Err(unless_unavailable(error)?)));
                    continue;
                }
            };
            let Some(key) = record.manifest.filter(|key| seen.insert(key.clone())) else {
                continue;
            };
            let id = self.layout.owner(&key).map_or(id, |(_, checkpoint)| checkpoint);
            let summary = match self.read_manifest(&key).await {
                Ok(manifest) => summary(&manifest, &key),
                Err(error) => Err(unless_unavailable(error)?),
            };
            found.push((id, summary));
        }
        Ok(found)
    }
}

fn summary(manifest: &Manifest, key: &StorageKey) -> Result<StoredCheckpoint> {
    let folder = key.as_str().rsplit_once('/').map_or("", |(folder, _)| folder);
    Ok(StoredCheckpoint {
        checkpoint: manifest.checkpoint,
        attempt: manifest.attempt,
        kind: manifest.kind,
        finished: manifest.finished,
        created: manifest.created,
        took: manifest.took(),
        parent: manifest.parent,
        sizes: manifest.sizes,
        path: StorageKey::new(folder)?,
    })
}

fn unless_unavailable(error: Error) -> Result<Error> {
    match error.kind() {
        ErrorKind::Unavailable => Err(error),
        _ => Ok(error),
    }
}
