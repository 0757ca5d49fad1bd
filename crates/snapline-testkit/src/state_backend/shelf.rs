//! A storage that cases can damage.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::{Error, Result};
use snapline_state::{
    ByteStream, CheckpointStorage, Created, HandleKind, StateHandle, StorageCapability, StorageKey, Stored,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Objects = BTreeMap<StorageKey, Bytes>;

/// Objects in memory, and a switch that makes writing fail.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    objects: Mutex<Objects>,
    is_full: AtomicBool,
}

impl Shelf {
    /// From now on nothing can be written, or it can again.
    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    /// All objects.
    pub(super) fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the shelf is full"));
        }
        Ok(())
    }
}

#[async_trait]
impl CheckpointStorage for Shelf {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL.volatile()
    }

    fn location(&self) -> String {
        "shelf".into()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.check()?;
        let mut objects = self.objects();
        let there = objects.entry(key.clone()).or_insert_with(|| bytes.clone());
        if *there == bytes {
            return Ok(Created::New);
        }
        Ok(Created::AlreadyExists(there.clone()))
    }

    async fn put(&self, key: &StorageKey, mut content: ByteStream) -> Result<Stored> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await {
            bytes.extend_from_slice(&piece?);
        }
        self.check()?;
        let bytes = Bytes::from(bytes);
        // A handle knows how to sum, so this crate need not.
        let StateHandle { len, checksum, .. } = StateHandle::inline(bytes.clone(), HandleKind::Full, None);
        self.objects().insert(key.clone(), bytes);
        Ok(Stored { len, checksum })
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let object = self.objects().get(key).cloned();
        Ok(object.map(|bytes| {
            let end = bytes.len() as u64;
            let range = range.unwrap_or(0..end);
            bytes.slice(range.start.min(end) as usize..range.end.min(end) as usize)
        }))
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let wanted =
            |key: &&StorageKey| key.as_str().starts_with(prefix) && after.is_none_or(|after| *key > after);
        Ok(self.objects().keys().filter(wanted).cloned().collect())
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.objects().retain(|key, _| !keys.contains(key));
        Ok(())
    }
}
