//! The storage layout: how checkpoints exist, and who may make them.

mod claim;
mod garbage;
pub(crate) mod layout;
mod lead;
mod local;
mod record;
mod restore;
mod verify;

pub use garbage::GarbageReport;
pub use record::AttemptInfo;
pub use restore::Restored;
pub use verify::{Verification, verify_handles};

use crate::manifest::Manifest;
use layout::Layout;
use record::EpochRecord;
use snapline_core::{AttemptId, CheckpointId, Error, JobId, OperatorUid, Result, SubtaskIndex};
use snapline_state::{
    CheckpointStorage, LocalCopies, SnapshotTarget, StateHandle, StateLocation, StorageKey,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The checkpoints of one job in a [`CheckpointStorage`].
///
/// ```text
/// {job}/attempt/00000000000000000007.json      who leads attempt 7
/// {job}/epoch/00000000000000001234.json        the commit point of checkpoint 1234
/// {job}/checkpoint/a7-e1234/manifest.json      what checkpoint 1234 consists of
/// {job}/checkpoint/a7-e1234/state/...          state files; later manifests may refer to them
/// {job}/committed/00000000000000001234.json    all sinks have committed up to 1234
/// {job}/gc/boundary/00000000000000000042.json  ids up to 42 are burnt
/// ```
///
/// A checkpoint exists if and only if its epoch record exists. Epoch records are *dense*: an id
/// whose checkpoint was given up gets a record that repeats the one before it, before any higher id
/// is claimed. So at every time there is exactly one name that the next record can have, everyone who
/// wants to go on competes for it, and create-if-absent picks one: a process that was taken over
/// finds the record of its successor there and stops.
///
/// # Contract
/// * [`CheckpointStore::take_over`] or [`CheckpointStore::start_over`] comes before
///   [`CheckpointStore::publish`] and [`CheckpointStore::collect_garbage`].
/// * A manifest refers to files of its own checkpoint and of the newest completed one, no others.
/// * Every error of kind `Unavailable` may be answered by the same call again.
/// * With [local copies](CheckpointStore::with_local_copies), state whose copy has the length and checksum of the
///   manifest is not read to verify it.
pub struct CheckpointStore {
    storage: Arc<dyn CheckpointStorage>,
    local_copies: Option<Arc<LocalCopies>>,
    layout: Layout,
    chain: Mutex<Option<Chain>>,
    known: Mutex<Known>,
}

/// What became of [`CheckpointStore::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a caller must treat every outcome")]
pub enum PublishOutcome {
    /// The checkpoint is complete.
    Published,
    /// Another attempt has taken over; the checkpoint will never be complete.
    Fenced {
        /// The attempt that leads.
        attempt: AttemptId,
    },
    /// The manifest could not be stored, so nothing was claimed by this call.
    NotStored {
        /// What the storage said.
        reason: String,
    },
}

/// The end of the chain of epoch records, as far as this leader has written it.
#[derive(Debug, Clone)]
struct Chain {
    attempt: AttemptId,
    head: CheckpointId,
    /// What a restore would use.
    current: Option<Current>,
    /// Checkpoints that the take-over could not restore.
    damaged: Arc<BTreeSet<CheckpointId>>,
}

/// The checkpoint that a chain of records stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Current {
    checkpoint: CheckpointId,
    manifest: StorageKey,
}

/// Objects that never change, so that they need not be read again.
#[derive(Debug, Default)]
struct Known {
    records: BTreeMap<CheckpointId, EpochRecord>,
    files: BTreeMap<StorageKey, Arc<[StorageKey]>>,
}

impl CheckpointStore {
    /// The checkpoints of this job, if it has any. Nothing is read or written.
    pub fn new(storage: Arc<dyn CheckpointStorage>, job: JobId) -> Self {
        Self {
            storage,
            local_copies: None,
            layout: Layout::new(job),
            chain: Mutex::new(None),
            known: Mutex::default(),
        }
    }

    /// The job.
    pub fn job(&self) -> &JobId {
        self.layout.job()
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
    }

    /// Where one subtask of an operator stores its part of a checkpoint.
    ///
    /// # Errors
    /// None that a valid id could cause.
    pub fn snapshot_target(
        &self,
        attempt: AttemptId,
        checkpoint: CheckpointId,
        operator: &OperatorUid,
        subtask: SubtaskIndex,
    ) -> Result<SnapshotTarget> {
        let prefix = self.layout.state(attempt, checkpoint, operator, subtask)?;
        Ok(SnapshotTarget::new(self.storage.clone(), prefix))
    }

    /// Deletes the files of state that nothing refers to.
    ///
    /// # Errors
    /// The storage's error; the garbage collection will find what is left.
    pub async fn discard(&self, handles: &[StateHandle]) -> Result<()> {
        let folder = self.layout.checkpoints();
        let mut keys: Vec<StorageKey> = Vec::new();
        for handle in handles {
            if let StateLocation::File { key, .. } = &handle.location
                && key.as_str().starts_with(&folder)
            {
                keys.push(key.clone());
            }
        }
        keys.dedup();
        self.storage.delete(&keys).await
    }

    /// Makes a checkpoint complete: stores its manifest, then claims its epoch.
    ///
    /// Calling it again with the same manifest is a retry of the same claim.
    ///
    /// # Errors
    /// `Unavailable` when the outcome is not known: call again with the same manifest. Any other
    /// kind: nothing was claimed by this call.
    pub async fn publish(&self, manifest: &Manifest) -> Result<PublishOutcome> {
        let chain = self.chain()?;
        let (id, attempt) = (manifest.checkpoint, manifest.attempt);
        if attempt != chain.attempt || manifest.job != *self.job() {
            return Err(
                Error::internal("a manifest of another job or attempt cannot be published")
                    .with("attempt", attempt)
                    .with("leading", chain.attempt),
            );
        }
        let key = self.layout.manifest(attempt, id)?;
        if chain
            .current
            .as_ref()
            .is_some_and(|current| current.manifest == key)
        {
            return Ok(PublishOutcome::Published);
        }
        if id <= chain.head {
            return Err(Error::internal("an id that is used already cannot be published")
                .with("checkpoint", id)
                .with("newest", chain.head));
        }
        if let Err(error) = self.put(&key, manifest.encode()?).await {
            return Ok(PublishOutcome::NotStored {
                reason: error.to_string(),
            });
        }
        self.claim_up_to(chain, manifest, key).await
    }

    /// Notes that all sinks have committed everything up to this checkpoint.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn mark_committed(&self, checkpoint: CheckpointId) -> Result<()> {
        let key = self.layout.committed(checkpoint)?;
        let body = record::encode_committed(checkpoint)?;
        self.storage.create(&key, body).await.map(|_| ())
    }

    /// The newest checkpoint up to which all sinks have committed.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn committed(&self) -> Result<Option<CheckpointId>> {
        Ok(self
            .numbers(&self.layout.commits())
            .await?
            .last()
            .copied()
            .map(CheckpointId))
    }

    /// The ends of the keys under a prefix, in order.
    async fn numbers(&self, prefix: &str) -> Result<Vec<u64>> {
        let keys = self.storage.list(prefix, None).await?;
        Ok(keys.iter().filter_map(layout::number).collect())
    }

    fn chain(&self) -> Result<Chain> {
        let chain = lock(&self.chain).clone();
        chain.ok_or_else(|| Error::internal("a checkpoint store was written to before a take-over"))
    }

    /// A call of an attempt that has ended meanwhile does not speak for the one that leads.
    fn extend_chain(&self, longer: &Chain) {
        if let Some(chain) = lock(&self.chain)
            .as_mut()
            .filter(|chain| chain.attempt == longer.attempt)
        {
            chain.clone_from(longer);
        }
    }
}

impl fmt::Debug for CheckpointStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointStore")
            .field("storage", &self.storage.location())
            .field("job", self.job())
            .finish_non_exhaustive()
    }
}

/// Nothing panics while one of these locks is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
