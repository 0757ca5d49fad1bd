//! Checkpoint storage in memory: the reference implementation, and the storage of tests.

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use snapline_core::Result;
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A [`CheckpointStorage`] that loses everything when its last handle is dropped.
///
/// A clone is another handle to the same objects. Unlike a durable storage, `put` holds the whole
/// content in memory: that is where the object lives.
///
/// ```
/// use snapline_state::{CheckpointStorage, Created, StorageKey};
/// use snapline_state_memory::MemoryCheckpointStorage;
///
/// let storage = MemoryCheckpointStorage::new();
/// let key = StorageKey::new("job/epoch/1.json")?;
/// let created = futures::executor::block_on(storage.create(&key, "{}".into()))?;
/// assert_eq!(created, Created::New);
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryCheckpointStorage {
    objects: Arc<Mutex<BTreeMap<StorageKey, Bytes>>>,
}

impl MemoryCheckpointStorage {
    /// A storage without objects.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<StorageKey, Bytes>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CheckpointStorage for MemoryCheckpointStorage {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL.volatile()
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        Ok(match self.objects().entry(key.clone()) {
            Entry::Occupied(taken) if *taken.get() != bytes => Created::AlreadyExists(taken.get().clone()),
            Entry::Occupied(_) => Created::New,
            Entry::Vacant(free) => {
                free.insert(bytes);
                Created::New
            }
        })
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        let append = |mut all: Vec<u8>, piece: Bytes| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        };
        let object = Bytes::from(content.try_fold(Vec::new(), append).await?);
        let stored = Stored {
            len: object.len() as u64,
            checksum: crc32c::crc32c(&object),
        };
        self.objects().insert(key.clone(), object);
        Ok(stored)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let object = self.objects().get(key).cloned();
        Ok(object.map(|object| match range {
            Some(range) => part(&object, &range),
            None => object,
        }))
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let objects = self.objects();
        let keys = objects
            .keys()
            .filter(|key| key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after));
        Ok(keys.cloned().collect())
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        let mut objects = self.objects();
        for key in keys {
            objects.remove(key);
        }
        Ok(())
    }
}

fn part(object: &Bytes, range: &Range<u64>) -> Bytes {
    let cut = |at: u64| usize::try_from(at).map_or(object.len(), |at| at.min(object.len()));
    let start = cut(range.start);
    object.slice(start..cut(range.end).max(start))
}

impl fmt::Debug for MemoryCheckpointStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCheckpointStorage")
            .field("objects", &self.objects().len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_testkit::checkpoint_storage::Subject;

    snapline_testkit::checkpoint_storage_suite!(suite, {
        let storage = MemoryCheckpointStorage::new();
        Subject::new(storage.clone()).reopened_by(move || storage.clone())
    });
}
