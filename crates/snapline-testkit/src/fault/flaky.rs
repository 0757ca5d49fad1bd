//! Calls that fail before they do anything.

use super::{Operation, Schedule, injected};
use async_trait::async_trait;
use bytes::Bytes;
use snapline_core::Result;
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::fmt::Display;
use std::ops::Range;

/// A storage whose scheduled calls fail with `Unavailable` and do nothing.
#[derive(Debug)]
pub struct Flaky<S> {
    inner: S,
    schedule: Schedule,
}

impl<S: CheckpointStorage> Flaky<S> {
    /// Fails the calls that the schedule strikes.
    pub fn new(inner: S, schedule: Schedule) -> Self {
        Self { inner, schedule }
    }

    /// The schedule, to see how many calls there were.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    fn pass(&self, operation: Operation, key: impl Display) -> Result<()> {
        if self.schedule.strikes(operation) {
            return Err(injected(operation, key));
        }
        Ok(())
    }
}

#[async_trait]
impl<S: CheckpointStorage> CheckpointStorage for Flaky<S> {
    fn capability(&self) -> StorageCapability {
        self.inner.capability()
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.pass(Operation::Create, key)?;
        self.inner.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        self.pass(Operation::Put, key)?;
        self.inner.put(key, content).await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.pass(Operation::Get, key)?;
        self.inner.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.pass(Operation::List, prefix)?;
        self.inner.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.pass(Operation::Delete, keys.len())?;
        self.inner.delete(keys).await
    }
}
