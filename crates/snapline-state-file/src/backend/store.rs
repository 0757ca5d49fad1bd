//! The disk of one subtask: sorted files, and beside them what has changed since earlier freezes.

use super::change::{Change, sort};
use super::folder::Folder;
use super::run::{Merged, Run};
use lsm_tree::compaction::Leveled;
use lsm_tree::config::BlockSizePolicy;
use lsm_tree::{
    AbstractTree, AnyTree, Cache, Config, DescriptorTable, Guard, SeqNo, SequenceNumberCounter, Slice,
};
use snapline_core::{Error, Result};
use snapline_state::TableId;
use std::path::Path;
use std::sync::Arc;

/// What all subtasks of a process share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) cache: Arc<Cache>,
    pub(super) files: Arc<DescriptorTable>,
}

/// The sorted files of one subtask; clones are the same.
///
/// Nothing is written but whole batches, each of which becomes a new sorted file, and is seen as a whole or not at all.
/// There is no journal: what is to survive is in checkpoints.
#[derive(Clone)]
pub(super) struct Store {
    tree: AnyTree,
    seqno: SequenceNumberCounter,
    folder: Arc<Folder>,
}

/// Entries in order, as they were when it was made.
pub(super) type Entries = Box<dyn Iterator<Item = Result<Change>> + Send>;

impl Store {
    /// Begins with nothing.
    pub(super) fn create(folder: Folder, shared: Shared) -> Result<Self> {
        let (seqno, visible) = (SequenceNumberCounter::default(), SequenceNumberCounter::default());
        let config = Config::new(folder.path().join("tree"), seqno, visible.clone())
            .use_cache(shared.cache)
            .use_descriptor_table(Some(shared.files))
            .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES));
        let folder = Arc::new(folder);
        let tree = config.open().map_err(|error| of_disk(folder.path(), error))?;
        Ok(Self {
            tree,
            seqno: visible,
            folder,
        })
    }

    /// What is stored for a key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Slice>> {
        self.tree.get(key, SeqNo::MAX).map_err(|error| self.error(error))
    }

    /// All entries of this moment.
    pub(super) fn entries(&self) -> Entries {
        self.own(self.tree.iter(SeqNo::MAX, None))
    }

    /// All entries of a table at this moment.
    pub(super) fn entries_of(&self, table: TableId) -> Entries {
        self.own(self.tree.prefix(table.0.to_be_bytes(), SeqNo::MAX, None))
    }

    /// Writes changes that are in order.
    pub(super) fn write(&self, changes: &[Change]) -> Result<()> {
        let write = || {
            let mut ingestion = self.tree.ingestion()?;
            for change in changes {
                match &change.value {
                    Some(value) => ingestion.write(change.key.clone(), value.clone())?,
                    None => ingestion.write_tombstone(change.key.clone())?,
                }
            }
            ingestion.finish()
        };
        write().map_err(|error| self.error(error))
    }

    /// Puts changes in order and writes them.
    pub(super) fn write_unsorted(&self, mut changes: Vec<Change>) -> Result<()> {
        sort(&mut changes);
        self.write(&changes)
    }

    /// Merges files when there are many; some of this has to be done after each write.
    pub(super) fn compact(&self) -> Result<()> {
        let threshold = self.seqno.get();
        self.tree
            .compact(Arc::new(Leveled::default()), threshold)
            .map_err(|error| self.error(error))
    }

    /// How long the files are.
    pub(super) fn bytes(&self) -> u64 {
        self.tree.disk_space()
    }

    /// Writes changes that are in order to a file beside the others.
    pub(super) fn write_run(&self, batch: u64, changes: &[Change]) -> Result<Arc<Run>> {
        let path = self.folder.path().join(format!("changes-{batch}"));
        Run::write(path, batch, changes)
            .map(Arc::new)
            .map_err(|error| self.error(error.into()))
    }

    /// What runs, from the oldest to the newest, say together.
    pub(super) fn merge(&self, runs: Vec<Arc<Run>>) -> Result<Entries> {
        let store = self.clone();
        let merged = Merged::open(runs).map_err(|error| store.error(error.into()))?;
        Ok(Box::new(merged.map(move |change| {
            change.map_err(|error| store.error(error.into()))
        })))
    }

    fn own(&self, entries: impl Iterator<Item = impl Guard> + Send + 'static) -> Entries {
        let store = self.clone();
        Box::new(entries.map(move |entry| match entry.into_inner() {
            Ok((key, value)) => Ok(Change {
                key,
                value: Some(value),
            }),
            Err(error) => Err(store.error(error)),
        }))
    }

    fn error(&self, error: lsm_tree::Error) -> Error {
        of_disk(self.folder.path(), error)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.folder.path().display())
    }
}

/// Small blocks: entries are looked for one by one.
const BLOCK_BYTES: u32 = 4 * 1024;

/// A scratch folder is made anew when a task restarts, so whatever happens to it may pass.
fn of_disk(folder: &Path, error: lsm_tree::Error) -> Error {
    let message = match &error {
        lsm_tree::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            "the disk of the scratch folder of live state is full; make room, or give `FileStateBackend::builder` a \
             folder on a larger disk"
        }
        lsm_tree::Error::Io(_) => {
            "the scratch folder of live state cannot be read or written; it is the folder given to \
             `FileStateBackend::builder`"
        }
        _ => "a file in the scratch folder of live state is damaged; the task has to restart",
    };
    Error::unavailable(message)
        .with("folder", folder.display())
        .because(error)
}
