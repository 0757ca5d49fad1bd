//! What was just written to a storage, still in the memory of the process.

use crate::handle::{StateHandle, StateLocation};
use crate::pieces::Pieces;
use crate::storage::{ByteStream, CheckpointStorage, Created, StorageCapability, Stored};
use crate::storage_key::StorageKey;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use snapline_core::Result;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`CheckpointStorage`] that keeps what is [put](CheckpointStorage::put) into a folder in memory as well, so
/// that a job which restarts in the same process need not read its state from the storage (Flink's local recovery).
///
/// The pieces that are written are kept as they are, not copied or encoded again, and those of a
/// [`SnapshotTarget`] before they are compressed. A copy takes as much memory as these are long, until it is [no longer retained](LocalCopies::retain) or
/// its object is deleted; an object that is being written takes its memory as well.
///
/// [`CheckpointStorage::get`] never answers with a copy: only who knows the checksum may use one, see
/// [`StateHandle::read_pieces`].
///
/// [`SnapshotTarget`]: crate::SnapshotTarget
#[derive(Debug)]
pub struct LocalCopies {
    storage: Arc<dyn CheckpointStorage>,
    folder: String,
    copies: Mutex<BTreeMap<StorageKey, LocalCopy>>,
}

/// An object as the process that wrote it still has it.
#[derive(Debug, Clone)]
pub(crate) struct LocalCopy {
    pieces: Pieces,
    /// Of the pieces.
    checksum: u32,
    /// What the storage has stored: something shorter, when it was compressed.
    stored: Stored,
    is_spoiled: Arc<AtomicBool>,
}

/// The pieces of an object that is stored as something else than they are.
#[derive(Debug, Clone)]
pub(crate) struct Copying {
    storage: Arc<dyn CheckpointStorage>,
    pieces: Arc<Mutex<Pieces>>,
}

impl Copying {
    /// Where the object itself goes.
    pub(crate) fn storage(&self) -> &dyn CheckpointStorage {
        &*self.storage
    }

    pub(crate) fn push(&self, piece: Bytes) {
        lock(&self.pieces).push(piece);
    }
}

impl LocalCopies {
    /// Keeps what is put into this storage under keys that start with `folder`.
    pub fn new(storage: Arc<dyn CheckpointStorage>, folder: impl Into<String>) -> Self {
        Self {
            storage,
            folder: folder.into(),
            copies: Mutex::default(),
        }
    }

    /// Drops the copies of all other objects.
    pub fn retain(&self, is_needed: impl Fn(&StorageKey) -> bool) {
        self.copies().retain(|key, _| is_needed(key));
    }

    /// How many bytes are kept, without those of objects that are being written.
    pub fn bytes(&self) -> u64 {
        self.copies().values().map(|copy| copy.pieces.len() as u64).sum()
    }

    /// The storage of whose objects there are copies.
    pub(crate) fn copied(&self) -> Arc<dyn CheckpointStorage> {
        self.storage.clone()
    }

    /// Begins a copy of an object that is stored compressed, if objects of this name are kept.
    pub(crate) fn copy_of(&self, key: &StorageKey) -> Option<Copying> {
        let is_kept = key.as_str().starts_with(&self.folder);
        is_kept.then(|| Copying {
            storage: self.storage.clone(),
            pieces: Arc::default(),
        })
    }

    /// Keeps the copy of an object that is stored, unless it lies in the manifest.
    pub(crate) fn keep(&self, handle: &StateHandle, copying: &Copying) {
        if let StateLocation::File { key, .. } = &handle.location {
            let stored = Stored {
                len: handle.len,
                checksum: handle.checksum,
            };
            let pieces = std::mem::take(&mut *lock(&copying.pieces));
            self.insert(key, pieces.checksum(), pieces, stored);
        }
    }

    fn insert(&self, key: &StorageKey, checksum: u32, pieces: Pieces, stored: Stored) {
        let copy = LocalCopy {
            pieces,
            checksum,
            stored,
            is_spoiled: Arc::default(),
        };
        self.copies().insert(key.clone(), copy);
    }

    fn copy(&self, key: &StorageKey) -> Option<LocalCopy> {
        let mut copies = self.copies();
        let copy = copies.get(key)?.clone();
        if copy.is_spoiled.load(Ordering::Relaxed) {
            copies.remove(key);
            return None;
        }
        Some(copy)
    }

    /// Nothing panics while the lock is held.
    fn copies(&self) -> MutexGuard<'_, BTreeMap<StorageKey, LocalCopy>> {
        lock(&self.copies)
    }
}

impl LocalCopy {
    /// The copy of a handle's object that this storage has, unless it is known to be another's.
    pub(crate) fn of(handle: &StateHandle, storage: &dyn CheckpointStorage) -> Option<Self> {
        match &handle.location {
            StateLocation::File { key, offset: 0 } => {
                let written = Stored {
                    len: handle.len,
                    checksum: handle.checksum,
                };
                let copy = storage.local_copies()?.copy(key)?;
                (copy.stored == written).then_some(copy)
            }
            _ => None,
        }
    }

    /// The content, if it is still what was written. If it is not, nobody will be given the copy again.
    pub(crate) fn checked(self) -> Option<Pieces> {
        let is_whole = self.pieces.checksum() == self.checksum;
        if !is_whole {
            self.is_spoiled.store(true, Ordering::Relaxed);
        }
        is_whole.then_some(self.pieces)
    }
}

#[async_trait]
impl CheckpointStorage for LocalCopies {
    fn capability(&self) -> StorageCapability {
        self.storage.capability()
    }

    fn location(&self) -> String {
        self.storage.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.storage.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        if !key.as_str().starts_with(&self.folder) {
            return self.storage.put(key, content).await;
        }
        let pieces: Arc<Mutex<Pieces>> = Arc::default();
        let kept = pieces.clone();
        let content = content.inspect_ok(move |piece| lock(&kept).push(piece.clone()));
        let stored = self.storage.put(key, content.boxed()).await?;
        let pieces = std::mem::take(&mut *lock(&pieces));
        self.insert(key, stored.checksum, pieces, stored);
        Ok(stored)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.storage.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.storage.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        {
            let mut copies = self.copies();
            keys.iter().for_each(|key| _ = copies.remove(key));
        }
        self.storage.delete(keys).await
    }

    fn local_copies(&self) -> Option<&LocalCopies> {
        Some(self)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
