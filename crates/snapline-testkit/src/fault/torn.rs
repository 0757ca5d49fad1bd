//! Puts that fail half-way and leave what they had.

use super::{Operation, Schedule, injected};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use snapline_core::Result;
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::ops::Range;

/// A broken storage: a scheduled `put` stores the first half of its content where everybody sees it,
/// then answers `Unavailable`.
#[derive(Debug)]
pub struct Torn<S> {
    inner: S,
    schedule: Schedule,
}

impl<S: CheckpointStorage> Torn<S> {
    /// Tears the puts that the schedule strikes; only puts are counted.
    pub fn new(inner: S, schedule: Schedule) -> Self {
        Self { inner, schedule }
    }
}

#[async_trait]
impl<S: CheckpointStorage> CheckpointStorage for Torn<S> {
    fn capability(&self) -> StorageCapability {
        self.inner.capability()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.inner.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        if !self.schedule.strikes(Operation::Put) {
            return self.inner.put(key, content).await;
        }
        let whole: Vec<Bytes> = content.try_collect().await?;
        let whole = Bytes::from(whole.concat());
        let half = futures::stream::iter([Ok(whole.slice(..whole.len() / 2))]);
        let _ = self.inner.put(key, half.boxed()).await?;
        Err(injected(Operation::Put, key))
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.inner.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.inner.delete(keys).await
    }
}
