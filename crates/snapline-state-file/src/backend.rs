//! Live state on a local disk.

mod budget;
mod change;
mod files;
mod flusher;
mod folder;
mod keyed;
mod restore;
mod shelf;
mod snapshot;
mod store;
mod tier;

use async_trait::async_trait;
use budget::Budget;
use files::BlockCache;
use folder::{Folder, SCRATCH};
use futures::FutureExt;
use futures::future::try_join_all;
use keyed::FileKeyedState;
use restore::{Restored, restore};
use shelf::{Owner, Shelf};
use snapline_core::Result;
use snapline_state::{KeyedStateBackend, SnapshotChains, StateBackend, StateContext, TableSpec};
use snapshot::Tables;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use store::Store;

/// Keeps state on a local disk and hot entries in memory: for state that is larger than memory.
///
/// Each subtask has a scratch folder of its own below the folder that is given, and at most
/// [so many bytes](FileStateBackendBuilder::memory_bytes) of entries in memory. The scratch folder is not what a job
/// recovers from: that is its checkpoints. It is removed when the task ends, and when another process opens the
/// folder after a crash.
///
/// A freeze takes constant time, like that of the backend in memory, and snapshots are of the same format, so a
/// savepoint of one of them can be restored on the other.
///
/// # What it takes
/// Memory, for each subtask: `memory_bytes`. It covers all that is allocated for the state: the entries with their table, the changes
/// that wait for the disk, the indexes and filters of files, also of those that are being written, merged or read by a
/// snapshot, and the buffers of all this. An eighth each is kept free for buffers, files and changes; what files and changes
/// take beyond that is taken from the entries, up to three eighths each. An index takes about 6 MB for each GB of files. For all
/// subtasks together: `cache_bytes`, for blocks of files.
///
/// Also covered is what an allocator holds back, see the figures at the crate: up to 20 MiB or a third are left to that. Not covered: single entries that are larger than buffers; and
/// reading a checkpoint, which takes some tens of megabytes more while it lasts. Less than 16 MiB are too little for the
/// buffers of merges and snapshots, which take about 2 MiB then.
///
/// Disk: the state, as much again while files are merged, and the changes since the last full snapshot. When the disk is full, what is
/// kept for restarts makes room first. Then writes and checkpoints fail as `Unavailable`, naming the folder, and are tried
/// again: no entry and no checkpoint is lost. Open files: some dozens for each subtask.
///
/// # Snapshots and restarts
/// A snapshot stores entries, not files: those that have changed since its base, or all, in the order of the files. Files are
/// rewritten when they are merged, each entry some times in its life, so storing the files that are new would store several
/// times as much; the figures are at the crate. Snapshots of changes become one when there are many of them, and a full
/// snapshot comes when together they are a quarter as long. A restore writes the entries of full snapshots as they come, without putting them in order or merging them.
///
/// But the files of the last checkpoints are kept beside the scratch folder, by hard links. A task that restarts, in this process or after the
/// process was killed, links them again, opens them and goes on, however large they are. They are used for the very
/// checkpoint that is restored, at the same parallelism, with the same states, and until the machine is started anew; otherwise
/// the checkpoint is read. They go when the backend is dropped, or when the next process has no use for them; so a job
/// should have a folder of its own.
///
/// ```
/// use futures::executor::block_on;
/// use snapline_core::{CheckpointId, MaxParallelism, OperatorUid, StableHasher, SubtaskIndex};
/// use snapline_state::{KeyedStateBackend, StateBackend, StateContext, ValueState};
/// use snapline_state_file::{FileCheckpointStorage, FileStateBackend};
/// use std::sync::Arc;
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = |name: &str| directory.path().join(name);
/// let backend = FileStateBackend::builder(path("state"))
///     .memory_bytes(64 * 1024 * 1024)
///     .cache_bytes(16 * 1024 * 1024)
///     .build();
///
/// let max = MaxParallelism::DEFAULT;
/// let mut tables = Vec::new();
/// let counts = ValueState::<String, u64>::register("counts", &mut tables, max);
/// let context = StateContext {
///     operator: OperatorUid::new("count")?,
///     subtask: SubtaskIndex(0),
///     max_parallelism: max,
///     key_groups: max.full_range(),
///     tables,
///     restore: Vec::new(),
///     base: None,
///     storage: Arc::new(FileCheckpointStorage::open(path("checkpoints"))?),
/// };
/// let mut state = block_on(backend.open(context))?;
///
/// let key = "word".to_owned();
/// let hash = StableHasher::new().hash(&key)?;
/// counts.update(&mut *state, hash, key.clone(), 1)?;
/// let _snapshot = state.freeze(CheckpointId(1), None)?;
/// counts.update(&mut *state, hash, key.clone(), 2)?;
/// assert_eq!(counts.value(&mut *state, hash, &key)?, Some(2));
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct FileStateBackend {
    folder: PathBuf,
    memory_bytes: usize,
    cache: Arc<BlockCache>,
    shelf: Shelf,
}

/// Chooses the settings of a [`FileStateBackend`].
#[derive(Debug, Clone)]
#[must_use]
pub struct FileStateBackendBuilder {
    folder: PathBuf,
    memory_bytes: usize,
    cache_bytes: u64,
}

impl FileStateBackend {
    /// A backend with scratch folders below this folder, which should be on a fast local disk. It is made when a job
    /// starts.
    pub fn builder(folder: impl Into<PathBuf>) -> FileStateBackendBuilder {
        FileStateBackendBuilder {
            folder: folder.into(),
            memory_bytes: 256 * 1024 * 1024,
            cache_bytes: 64 * 1024 * 1024,
        }
    }
}

impl FileStateBackendBuilder {
    /// How many bytes each subtask keeps in memory, 256 MiB when not set.
    ///
    /// The more of the entries that are used often have room, the fewer reads go to the disk. An entry takes
    /// about 100 bytes beside its key and value, or including them when each is at most 20 bytes long.
    pub fn memory_bytes(self, memory_bytes: usize) -> Self {
        Self { memory_bytes, ..self }
    }

    /// How many bytes of blocks of files all subtasks together keep in memory, 64 MiB when not set: those that are
    /// read again and again though no entry of them is in memory. What is read once is left to the operating system.
    pub fn cache_bytes(self, cache_bytes: u64) -> Self {
        Self { cache_bytes, ..self }
    }

    /// The backend.
    pub fn build(self) -> FileStateBackend {
        FileStateBackend {
            shelf: Shelf::new(self.folder.clone()),
            folder: self.folder,
            memory_bytes: self.memory_bytes,
            cache: Arc::new(BlockCache::new(self.cache_bytes)),
        }
    }
}

impl FileStateBackend {
    async fn open_keyed(&self, context: StateContext) -> Result<FileKeyedState> {
        let budget = Budget::new(self.memory_bytes);
        let store = Store::create(
            Folder::create(&self.folder, SCRATCH)?,
            self.cache.clone(),
            budget,
            self.shelf.clone(),
            Owner::new(&context),
        );
        let wanted = context.tables.iter().map(|spec| spec.meta().clone());
        let restored = match store.adopt(&context) {
            true => {
                check_lengths(&context).await?;
                Restored::default()
            }
            false => restore(&context, &store).await?,
        };
        let tables = Tables {
            metas: wanted.chain(restored.unclaimed).collect(),
            wanted: context.tables.len(),
            living: context.tables.iter().map(TableSpec::living).collect(),
        };
        let chains = match restored.is_migrated {
            true => SnapshotChains::default(),
            false => SnapshotChains::restored(&context),
        };
        FileKeyedState::new(store, tables, context.key_groups, chains, budget)
    }
}

/// Looks whether the files of a checkpoint are there that nobody reads: later ones refer to them.
async fn check_lengths(context: &StateContext) -> Result<()> {
    let checks = context
        .restore
        .iter()
        .map(|handle| handle.check_length(&*context.storage).boxed());
    try_join_all(checks.collect::<Vec<_>>()).await.map(drop)
}

#[async_trait]
impl StateBackend for FileStateBackend {
    async fn open(&self, context: StateContext) -> Result<Box<dyn KeyedStateBackend>> {
        Ok(Box::new(self.open_keyed(context).await?))
    }
}

impl fmt::Debug for FileStateBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStateBackend")
            .field("folder", &self.folder)
            .field("memory_bytes", &self.memory_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
