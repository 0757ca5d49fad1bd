//! The entries on disk, and what errors of the disk mean to users.

use super::budget::Budget;
use super::change::{Change, sort};
use super::files::{BatchFile, BlockCache, EntryRef, Files, Loading, Merged, SortedFile, Version};
use super::folder::Folder;
use super::shelf::{Owner, Shelf};
use byteview::ByteView;
use snapline_core::{CheckpointId, Error, Result};
use snapline_state::{StateContext, StateHandle, TableId};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The sorted files of one subtask; clones are the same.
///
/// Nothing is written but whole batches, each of which becomes a new sorted file, and is seen as a whole or not at all.
/// There is no journal: what is to survive is in checkpoints.
#[derive(Debug, Clone)]
pub(super) struct Store {
    files: Arc<Files>,
    folder: Arc<Folder>,
    shelf: Shelf,
    owner: Arc<Owner>,
}

impl Store {
    /// Begins with nothing.
    pub(super) fn create(
        folder: Folder,
        cache: Arc<BlockCache>,
        budget: Budget,
        shelf: Shelf,
        owner: Owner,
    ) -> Self {
        Self {
            files: Arc::new(Files::new(folder.path().to_owned(), cache, budget)),
            folder: Arc::new(folder),
            shelf,
            owner: Arc::new(owner),
        }
    }

    /// Begins with the files of the checkpoint that is restored, if they were kept; whether they were.
    pub(super) fn adopt(&self, context: &StateContext) -> bool {
        let Some(kept) = self.shelf.find(&self.owner, context) else {
            return false;
        };
        let adopted = self.files.adopt(&kept);
        if let Err(error) = &adopted {
            tracing::warn!(%error, "files of live state that were kept cannot be used; the checkpoint is read");
            self.shelf.forget(&self.owner);
        }
        adopted.is_ok()
    }

    /// Keeps files for those who restore this checkpoint, of which a later one may build on `base`.
    pub(super) fn keep(
        &self,
        checkpoints: (CheckpointId, Option<CheckpointId>),
        handles: &[StateHandle],
        version: &Version,
    ) {
        self.shelf.keep(&self.owner, checkpoints, handles, version);
    }

    /// The files of this moment.
    pub(super) fn version(&self) -> Arc<Version> {
        self.files.version()
    }

    /// Reads for one thread.
    pub(super) fn reader(&self) -> Reader {
        Reader {
            changes: self.files.changes(),
            version: self.files.version(),
            store: self.clone(),
            block: Vec::new(),
        }
    }

    /// All entries of this moment.
    pub(super) fn entries(&self) -> Result<Entries> {
        self.entries_from(&[])
    }

    /// All entries of this moment from a table on.
    pub(super) fn entries_of(&self, table: TableId) -> Result<Entries> {
        self.entries_from(&table.0.to_be_bytes())
    }

    /// All entries of this moment from a key on.
    pub(super) fn entries_from(&self, from: &[u8]) -> Result<Entries> {
        self.read(self.files.entries(from))
    }

    /// What batches, from the oldest to the newest, say together.
    pub(super) fn merge<'a>(&self, batches: impl Iterator<Item = &'a BatchFile>) -> Result<Entries> {
        let files = batches.map(|batch| self.files.open_batch(batch));
        self.read(
            files
                .collect::<io::Result<Vec<_>>>()
                .and_then(|files| self.files.merge_batches(&files)),
        )
    }

    fn read(&self, merged: io::Result<Merged>) -> Result<Entries> {
        Ok(Entries {
            merged: merged.map_err(|error| self.error(error))?,
            store: self.clone(),
        })
    }

    /// Writes changes that are in order, at least one.
    ///
    /// On a disk that is full what is kept for restarts makes room: they can read the checkpoint.
    fn write(&self, changes: &[Change]) -> Result<Arc<SortedFile>> {
        let written = self.files.write(changes).or_else(|error| {
            if !is_full(&error) {
                return Err(error);
            }
            self.shelf.forget(&self.owner);
            self.files.write(changes)
        });
        written.map_err(|error| self.error(error))
    }

    /// Writes a batch of changes that are in order, at least one, and keeps them apart too.
    pub(super) fn write_batch(&self, changes: &[Change]) -> Result<BatchFile> {
        Ok(self.files.keep(self.write(changes)?))
    }

    /// Begins to load about so many bytes of so many snapshots.
    pub(super) fn load(&self, snapshots: usize, bytes: u64) -> Loading<'_> {
        self.files.load(snapshots, bytes)
    }

    /// Explains an error of the disk.
    pub(super) fn checked<T>(&self, outcome: io::Result<T>) -> Result<T> {
        outcome.map_err(|error| self.error(error))
    }

    /// Puts changes in order and writes them.
    pub(super) fn write_unsorted(&self, mut changes: Vec<Change>) -> Result<()> {
        sort(&mut changes);
        self.write(&changes).map(drop)
    }

    /// The disk of the scratch folder.
    #[cfg(test)]
    pub(super) fn disk(&self) -> &super::files::TestDisk {
        self.files.disk()
    }

    /// Merges files when there are many; some of this has to be done after each write.
    pub(super) fn compact(&self) -> Result<()> {
        self.files.compact().map_err(|error| self.error(error))
    }

    /// How many bytes of a snapshot may wait for the storage.
    pub(super) fn window(&self) -> usize {
        self.files.budget().window()
    }

    /// How long the files are.
    pub(super) fn bytes(&self) -> u64 {
        self.files.bytes()
    }

    /// How many bytes of them are in memory, beside the shared cache.
    pub(super) fn resident(&self) -> usize {
        self.files.resident()
    }

    fn error(&self, error: io::Error) -> Error {
        if is_damage(&error) {
            // What was kept has the same files: the next attempt is to read the checkpoint.
            self.shelf.forget(&self.owner);
        }
        of_disk(self.folder.path(), error)
    }
}

/// Looks for single entries, always in the newest files.
#[derive(Debug)]
pub(super) struct Reader {
    store: Store,
    version: Arc<Version>,
    changes: u64,
    block: Vec<u8>,
}

impl Reader {
    /// What is stored for a key.
    pub(super) fn get(&mut self, key: &[u8]) -> Result<Option<ByteView>> {
        self.renew();
        let found = self.version.get(key, &mut self.block);
        found.map_err(|error| self.store.error(error))
    }

    /// Lets go of files that there are no more.
    pub(super) fn renew(&mut self) {
        let changes = self.store.files.changes();
        if changes != self.changes {
            self.changes = changes;
            self.version = self.store.files.version();
        }
    }
}

/// Entries in order, as they were when it was made.
#[derive(Debug)]
pub(super) struct Entries {
    merged: Merged,
    /// The folder stays as long as it is read.
    store: Store,
}

impl Entries {
    /// The next key, and its value if it was not removed.
    pub(super) fn next_entry(&mut self) -> Result<Option<EntryRef<'_>>> {
        let store = &self.store;
        self.merged.next_entry().map_err(|error| store.error(error))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

/// A scratch folder is made anew when a task restarts, so whatever happens to it may pass.
fn of_disk(folder: &Path, error: io::Error) -> Error {
    let message = match error.kind() {
        _ if is_full(&error) => {
            "the disk of the scratch folder of live state is full; make room, or give `FileStateBackend::builder` a \
             folder on a larger disk"
        }
        _ if is_damage(&error) => {
            "a file in the scratch folder of live state is damaged; the task has to restart"
        }
        _ => {
            "the scratch folder of live state cannot be read or written; it is the folder given to \
             `FileStateBackend::builder`"
        }
    };
    Error::unavailable(message)
        .with("folder", folder.display())
        .because(error)
}
