//! A storage in memory that can be made to fail and that lets others run between any two calls.

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use snapline_core::{Error, Result};
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;

pub(crate) type Objects = Arc<Mutex<BTreeMap<StorageKey, Bytes>>>;

/// How the call that a crash hits ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// Nothing has happened.
    Before,
    /// It has happened, but nobody was told.
    After,
}

#[derive(Debug)]
pub(crate) struct TestStorage {
    objects: Objects,
    calls: AtomicU64,
    crash: Option<(u64, Crash)>,
    capability: StorageCapability,
}

impl TestStorage {
    pub(crate) fn new(objects: &Objects) -> Arc<Self> {
        Arc::new(Self {
            objects: objects.clone(),
            calls: AtomicU64::new(0),
            crash: None,
            capability: StorageCapability::FULL,
        })
    }

    /// It says that it lives in memory.
    pub(crate) fn volatile(objects: &Objects) -> Arc<Self> {
        Arc::new(Self {
            objects: objects.clone(),
            calls: AtomicU64::new(0),
            crash: None,
            capability: StorageCapability::FULL.volatile(),
        })
    }

    /// All calls from this one on fail.
    pub(crate) fn crashing_at(objects: &Objects, call: u64, crash: Crash) -> Arc<Self> {
        Arc::new(Self {
            objects: objects.clone(),
            calls: AtomicU64::new(0),
            crash: Some((call, crash)),
            capability: StorageCapability::FULL,
        })
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    async fn call<T>(&self, effect: impl FnOnce(&mut BTreeMap<StorageKey, Bytes>) -> T) -> Result<T> {
        let call = self.calls.fetch_add(1, SeqCst);
        let_others_run().await;
        let crash = self.crash.filter(|(at, _)| call >= *at);
        let happens = match crash {
            None => true,
            Some((at, mode)) => call == at && mode == Crash::After,
        };
        let done = happens.then(|| effect(&mut self.objects.lock().unwrap()));
        let_others_run().await;
        done.filter(|_| crash.is_none())
            .ok_or_else(|| Error::unavailable("the storage has crashed"))
    }
}

async fn let_others_run() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[async_trait]
impl CheckpointStorage for TestStorage {
    fn capability(&self) -> StorageCapability {
        self.capability
    }

    fn location(&self) -> String {
        "memory of a test".to_owned()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.call(|objects| match objects.get(key) {
            Some(other) if *other != bytes => Created::AlreadyExists(other.clone()),
            _ => {
                objects.insert(key.clone(), bytes);
                Created::New
            }
        })
        .await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        let pieces: Vec<Bytes> = content.try_collect().await?;
        let bytes = pieces.concat();
        let stored = Stored {
            len: bytes.len() as u64,
            checksum: crc32c::crc32c(&bytes),
        };
        self.call(|objects| {
            objects.insert(key.clone(), bytes.into());
            stored
        })
        .await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.call(|objects| {
            let bytes = objects.get(key)?;
            let cut = |at: u64| (at as usize).min(bytes.len());
            let range = range.map_or(0..bytes.len(), |range| cut(range.start)..cut(range.end));
            Some(bytes.slice(range))
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.call(|objects| {
            let keys = objects.keys().filter(|key| key.as_str().starts_with(prefix));
            keys.filter(|key| after.is_none_or(|after| *key > after))
                .cloned()
                .collect()
        })
        .await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.call(|objects| keys.iter().for_each(|key| drop(objects.remove(key))))
            .await
    }
}
