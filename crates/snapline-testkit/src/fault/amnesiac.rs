//! Writes that are acknowledged too early and lost in a crash.

use super::{Operation, Schedule};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::Result;
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A broken storage: the scheduled writes are acknowledged before they are durable, and
/// [`Amnesiac::crash`] forgets them.
///
/// A clone is another handle to the same storage.
#[derive(Debug, Clone)]
pub struct Amnesiac<S> {
    inner: Arc<S>,
    schedule: Arc<Schedule>,
    /// What was there before each write that is not durable, in order.
    before: Arc<Mutex<Vec<(StorageKey, Option<Bytes>)>>>,
}

impl<S: CheckpointStorage> Amnesiac<S> {
    /// Does not sync the writes that the schedule strikes; only `create`, `put` and `delete` are counted.
    pub fn new(inner: S, schedule: Schedule) -> Self {
        Self {
            inner: Arc::new(inner),
            schedule: Arc::new(schedule),
            before: Arc::default(),
        }
    }

    /// Makes all writes so far durable.
    pub fn sync(&self) {
        self.before().clear();
    }

    /// Undoes all writes that are not durable, the newest first.
    ///
    /// # Errors
    /// Those of the storage within.
    pub async fn crash(&self) -> Result<()> {
        let undo = std::mem::take(&mut *self.before());
        for (key, before) in undo.into_iter().rev() {
            match before {
                Some(bytes) => {
                    let content = futures::stream::iter([Ok(bytes)]).boxed();
                    let _ = self.inner.put(&key, content).await?;
                }
                None => self.inner.delete(&[key]).await?,
            }
        }
        Ok(())
    }

    async fn remember(&self, operation: Operation, keys: &[StorageKey]) -> Result<()> {
        if !self.schedule.strikes(operation) {
            self.before().retain(|(key, _)| !keys.contains(key));
            return Ok(());
        }
        for key in keys {
            let before = self.inner.get(key, None).await?;
            self.before().push((key.clone(), before));
        }
        Ok(())
    }

    fn before(&self) -> MutexGuard<'_, Vec<(StorageKey, Option<Bytes>)>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: CheckpointStorage> CheckpointStorage for Amnesiac<S> {
    fn capability(&self) -> StorageCapability {
        self.inner.capability()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.remember(Operation::Create, std::slice::from_ref(key))
            .await?;
        self.inner.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        self.remember(Operation::Put, std::slice::from_ref(key)).await?;
        self.inner.put(key, content).await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.inner.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.remember(Operation::Delete, keys).await?;
        self.inner.delete(keys).await
    }
}
