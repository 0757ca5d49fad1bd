//! The storage layout: how checkpoints exist, and who may make them.

mod claim;
mod copy;
mod delete;
mod garbage;
mod inventory;
pub(crate) mod layout;
mod lead;
mod local;
mod origin;
mod proof;
mod publish;
pub(crate) mod record;
mod remove;
mod restore;
mod savepoint;
mod targets;
mod verify;

pub use copy::copy_checkpoint;
pub use garbage::GarbageReport;
pub use inventory::{StoredCheckpoint, stored_jobs};
pub use proof::{CheckpointProof, verify_checkpoint};
pub use publish::PublishOutcome;
pub use record::AttemptInfo;
pub use restore::Restored;
pub use savepoint::{Savepoint, SavepointTarget};
pub use verify::{Verification, verify_handles};

use layout::Layout;
use record::{Epoch, EpochRecord, Era};
use snapline_core::{AttemptId, CheckpointId, Codec, Error, JobId, Result};
use snapline_state::{CheckpointStorage, LocalCopies, StorageKey};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use targets::Registered;

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
/// The number of a record is the id of its checkpoint, unless the job was started from a savepoint with an
/// id that it had not reached itself: from then on ids are ahead by an offset that every record repeats, so
/// that they go on after that of the savepoint. Every record repeats as well from which savepoint the job was
/// started and since which record checkpoints count.
///
/// A savepoint is written beside all this, see [`SavepointTarget`]: it has no record and is never collected,
/// unless a job that was started from it has claimed it.
///
/// # Contract
/// * [`CheckpointStore::take_over`], [`CheckpointStore::take_over_from`] or [`CheckpointStore::start_over`]
///   comes before [`CheckpointStore::publish`], [`CheckpointStore::collect_garbage`] and
///   [`CheckpointStore::delete_all`].
/// * [`CheckpointStore::prepare_savepoint`] and [`CheckpointStore::register_savepoint`] come before the state of a
///   savepoint is written, [`CheckpointStore::publish_savepoint`] after it.
/// * A manifest refers to files of its own checkpoint and of the newest completed one, no others.
/// * Every error of kind `Unavailable` may be answered by the same call again.
/// * With [local copies](CheckpointStore::with_local_copies), state whose copy has the length and checksum of the
///   manifest is not read to verify it.
pub struct CheckpointStore {
    storage: Arc<dyn CheckpointStorage>,
    local_copies: Option<Arc<LocalCopies>>,
    codec: Codec,
    layout: Layout,
    chain: Mutex<Option<Chain>>,
    known: Mutex<Known>,
    targets: Mutex<BTreeMap<(AttemptId, CheckpointId), Registered>>,
}

/// The end of the chain of epoch records, as far as this leader has written it.
#[derive(Debug, Clone)]
struct Chain {
    attempt: AttemptId,
    head: Epoch,
    era: Era,
    /// What a restore would use.
    current: Option<Current>,
    /// Checkpoints that the take-over could not restore.
    damaged: Arc<BTreeSet<CheckpointId>>,
    /// The savepoint from which the era began, when it is the job's to delete and may still be there.
    claimed: Option<Savepoint>,
}

impl Chain {
    /// The newest id that is used.
    fn newest_id(&self) -> CheckpointId {
        self.era.offset.checkpoint(self.head)
    }
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
    records: BTreeMap<Epoch, EpochRecord>,
    files: BTreeMap<StorageKey, Arc<[StorageKey]>>,
    /// Who has last deleted records, and up to where.
    collected: Option<(AttemptId, Epoch)>,
}

impl CheckpointStore {
    /// The checkpoints of this job, if it has any. Nothing is read or written.
    pub fn new(storage: Arc<dyn CheckpointStorage>, job: JobId) -> Self {
        Self {
            storage,
            local_copies: None,
            codec: Codec::None,
            layout: Layout::new(job),
            chain: Mutex::new(None),
            known: Mutex::default(),
            targets: Mutex::default(),
        }
    }

    /// Compresses the state that tasks write from now on, see [`CheckpointStore::snapshot_target`].
    #[must_use]
    pub fn compressed_by(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// The job.
    pub fn job(&self) -> &JobId {
        self.layout.job()
    }

    /// The storage.
    pub fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
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
