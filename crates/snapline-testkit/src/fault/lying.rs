//! Calls that succeed and say that they failed.

use super::{Operation, Schedule, injected};
use async_trait::async_trait;
use bytes::Bytes;
use snapline_core::Result;
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::fmt::Display;
use std::ops::Range;

/// A storage whose scheduled writes do their work and then answer `Unavailable`, as when the answer
/// is lost on the way. Only `create`, `put` and `delete` are counted.
///
/// For `create` and `delete` the contract allows it. A `put` that does so breaks the contract; leave it
/// out with [`Schedule::only`] where that matters.
#[derive(Debug)]
pub struct Lying<S> {
    inner: S,
    schedule: Schedule,
}

impl<S: CheckpointStorage> Lying<S> {
    /// Lies in the calls that the schedule strikes.
    pub fn new(inner: S, schedule: Schedule) -> Self {
        Self { inner, schedule }
    }

    fn answer<T>(&self, operation: Operation, key: impl Display, outcome: Result<T>) -> Result<T> {
        if self.schedule.strikes(operation) {
            return Err(injected(operation, key));
        }
        outcome
    }
}

#[async_trait]
impl<S: CheckpointStorage> CheckpointStorage for Lying<S> {
    fn capability(&self) -> StorageCapability {
        self.inner.capability()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        let outcome = self.inner.create(key, bytes).await;
        self.answer(Operation::Create, key, outcome)
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        let outcome = self.inner.put(key, content).await;
        self.answer(Operation::Put, key, outcome)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.inner.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        let outcome = self.inner.delete(keys).await;
        self.answer(Operation::Delete, keys.len(), outcome)
    }
}
