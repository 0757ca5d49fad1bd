//! A job that restarts in its process has its state still in memory.

use crate::support::{environment, run};
use async_trait::async_trait;
use bytes::Bytes;
use snapline::Result;
use snapline::prelude::*;
use snapline::state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// So many keys that their state has a file of its own.
const KEYS: u64 = 6_000;
const NUMBERS: u64 = 50 * KEYS;

/// How many state files a job reads that restarts once, after its state was in a checkpoint.
fn state_reads(parallelism: u32, local_recovery: bool) -> u64 {
    let storage = Counted::default();
    let (reads, epochs) = (storage.reads.clone(), storage.epochs.clone());
    let env = environment(parallelism, storage);
    env.configure(|settings| settings.local_recovery = local_recovery);
    let (sink, results) = CollectSink::new();
    let (full, failed) = (Arc::new(AtomicU64::new(u64::MAX)), AtomicBool::new(false));
    let failed = Arc::new(failed);
    let visit = move |number: u64| {
        if number < 2 * KEYS || failed.load(Ordering::SeqCst) {
            return;
        }
        // Every key has a value; when two more epochs are claimed, there is a checkpoint of them.
        let claimed = epochs.load(Ordering::SeqCst);
        let before = full.fetch_min(claimed, Ordering::SeqCst).min(claimed);
        if claimed >= before + 2 && !failed.swap(true, Ordering::SeqCst) {
            panic!("planned");
        }
    };
    env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .map(move |number| {
            visit(number);
            (number % KEYS, 1_u64)
        })
        .key_by(|(key, _)| *key)
        .emit(Emit::Final)
        .sum(|(_, count)| count)
        .sink_to(sink);
    let status = run(&env).unwrap().status;
    assert!(status.restarts == 1 && status.restored.is_some(), "{status:?}");
    let sums: BTreeMap<u64, u64> = results.take().into_iter().collect();
    assert!(sums.len() as u64 == KEYS && sums.values().all(|sum| *sum == NUMBERS / KEYS));
    reads.load(Ordering::SeqCst)
}

#[test]
fn a_restart_in_the_process_reads_no_state_from_the_storage() {
    for parallelism in [1, 2] {
        assert_eq!(state_reads(parallelism, true), 0);
    }
}

#[test]
fn a_restart_reads_its_state_when_local_recovery_is_off() {
    assert!(state_reads(1, false) > 0);
}

/// A storage that counts what is read of state files, and how many epochs are claimed.
#[derive(Debug, Default)]
struct Counted {
    storage: MemoryCheckpointStorage,
    reads: Arc<AtomicU64>,
    epochs: Arc<AtomicU64>,
}

#[async_trait]
impl CheckpointStorage for Counted {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        self.storage.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        let created = self.storage.create(key, bytes).await;
        self.epochs
            .fetch_add(key.as_str().contains("/epoch/").into(), Ordering::SeqCst);
        created
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        self.storage.put(key, content).await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        self.reads
            .fetch_add(key.as_str().contains("/state/").into(), Ordering::SeqCst);
        self.storage.get(key, range).await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.storage.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.storage.delete(keys).await
    }
}
