//! The life of a job with savepoints, on storages that crash, fail and lie.

use crate::storage::{Crash, Objects, TestStorage};
use crate::world::*;
use futures::executor::block_on;
use snapline_coordinator::{CheckpointStore, Manifest, PublishOutcome, Restored, Savepoint, Verification};
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, ClaimMode, Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, StorageKey};
use snapline_testkit::fault::{Flaky, Lying, Operation, Schedule};
use std::sync::Arc;

/// From where a job starts: whether that is a savepoint, and its id.
type Source = (bool, Option<u64>);

/// What whoever starts the job again may find.
#[derive(Debug)]
struct Promised {
    /// Whether the job is told to start from the first savepoint.
    from_savepoint: bool,
    sources: Vec<Source>,
    /// Savepoints that must be whole; no other may be damaged.
    savepoints: Vec<&'static str>,
    /// The claimed savepoint is gone.
    deleted: bool,
}

/// A process that tries a call again as long as its patience lasts.
struct Story {
    storage: Arc<dyn CheckpointStorage>,
    patience: u32,
    promised: Promised,
}

impl Story {
    fn new(storage: Arc<dyn CheckpointStorage>, patience: u32) -> Self {
        Self {
            storage,
            patience,
            promised: Promised {
                from_savepoint: false,
                sources: vec![(false, None)],
                savepoints: Vec::new(),
                deleted: false,
            },
        }
    }

    async fn insist<T>(&self, mut call: impl AsyncFnMut() -> Result<T>) -> Result<T> {
        let mut tries = 0;
        loop {
            match call().await {
                Err(error) if error.kind() == ErrorKind::Unavailable && tries < self.patience => tries += 1,
                outcome => return outcome,
            }
        }
    }

    fn store(&self) -> CheckpointStore {
        CheckpointStore::new(self.storage.clone(), job())
    }

    fn savepoint(&self, path: &str) -> Savepoint {
        Savepoint::new(self.storage.clone(), StorageKey::new(path).unwrap())
    }

    async fn start(&self, store: &CheckpointStore) -> Result<(AttemptId, Restored)> {
        let attempt = self.insist(async || store.claim_attempt(&info(1)).await).await?;
        let verification = Verification::Checksums;
        let restored = if self.promised.from_savepoint {
            let (one, claim) = (self.savepoint("one"), ClaimMode::Claim);
            self.insist(async || store.take_over_from(attempt, &one, claim, verification).await)
                .await?
        } else {
            self.insist(async || store.take_over(attempt, verification).await)
                .await?
        };
        assert!(restored.skipped.is_empty(), "{:?}", restored.skipped);
        let found = source(&restored);
        assert!(
            self.promised.sources.contains(&found),
            "{found:?} {:?}",
            self.promised
        );
        Ok((attempt, restored))
    }

    /// Makes it known before that the source may change, and after that it has.
    async fn publish(&mut self, store: &CheckpointStore, manifest: &Manifest) -> Result<()> {
        let id = manifest.checkpoint.0;
        self.promised.sources.push((false, Some(id)));
        let publish = async || match store.publish(manifest).await? {
            PublishOutcome::NotStored { reason } => Err(Error::unavailable(reason)),
            outcome => {
                assert_eq!(outcome, PublishOutcome::Published);
                Ok(())
            }
        };
        self.insist(publish).await?;
        self.promised.sources = vec![(false, Some(id))];
        Ok(())
    }

    async fn checkpoint(&mut self, store: &CheckpointStore, attempt: AttemptId, id: u64) -> Result<()> {
        let file = self
            .insist(async || write(store, attempt, id, "keyed", 20).await)
            .await?;
        self.publish(store, &manifest(attempt, id, vec![file])).await
    }

    async fn savepoint_taken(
        &mut self,
        store: &CheckpointStore,
        attempt: AttemptId,
        (id, kind): (u64, CheckpointKind),
        path: &'static str,
    ) -> Result<Manifest> {
        let begin = async || begin_savepoint(store, attempt, id, kind, path).await;
        let manifest = self.insist(begin).await?;
        self.insist(async || store.publish_savepoint(&manifest).await)
            .await?;
        self.promised.savepoints.push(path);
        Ok(manifest)
    }

    /// A run that ends, one that starts from its savepoint and claims it, and one that is stopped, resumed
    /// and cancelled for good.
    async fn tell(&mut self) -> Result<()> {
        let store = self.store();
        let (attempt, restored) = self.start(&store).await?;
        let id = restored.last_used.0;
        self.checkpoint(&store, attempt, id + 1).await?;
        let given_up = CheckpointId(id + 2);
        let kind = CheckpointKind::Savepoint;
        self.insist(async || begin_savepoint(&store, attempt, id + 2, kind, "given-up").await)
            .await?;
        self.insist(async || store.discard_savepoint(attempt, given_up).await)
            .await?;
        let saved = id + 3;
        self.savepoint_taken(&store, attempt, (saved, kind), "one")
            .await?;
        self.checkpoint(&store, attempt, id + 5).await?;
        self.insist(async || store.collect_garbage(1).await).await?;

        self.promised.from_savepoint = true;
        self.promised.sources = vec![(true, Some(saved))];
        let store = self.store();
        let (attempt, restored) = self.start(&store).await?;
        let id = restored.last_used.0;
        self.checkpoint(&store, attempt, id + 1).await?;
        self.promised.savepoints.clear();
        self.insist(async || store.collect_garbage(1).await).await?;
        self.promised.deleted = true;

        let store = self.store();
        let (attempt, restored) = self.start(&store).await?;
        let id = restored.last_used.0 + 1;
        let kind = CheckpointKind::Suspend;
        let stopped = self.savepoint_taken(&store, attempt, (id, kind), "two").await?;
        self.publish(&store, &stopped).await?;

        self.promised.from_savepoint = false;
        let store = self.store();
        self.start(&store).await?;
        self.promised.sources.push((false, None));
        self.insist(async || store.delete_all().await).await?;
        self.promised.sources = vec![(false, None)];
        let store = self.store();
        self.start(&store).await.map(|_| ())
    }
}

fn source(restored: &Restored) -> Source {
    (
        restored.savepoint().is_some(),
        restored.checkpoint().map(|id| id.0),
    )
}

/// Starts the job again on a storage that works.
async fn check_kept(objects: &Objects, mut promised: Promised) {
    for path in ["one", "two", "given-up"] {
        let savepoint = Savepoint::new(TestStorage::new(objects), StorageKey::new(path).unwrap());
        let read = savepoint.read(Verification::Checksums).await;
        let is_needed = promised.savepoints.contains(&path);
        let is_being_deleted = path == "one" && promised.from_savepoint && !is_needed;
        match read {
            Ok(_) => assert!(
                path != "given-up" && !(path == "one" && promised.deleted),
                "{promised:?}"
            ),
            Err(error) if is_being_deleted => assert!(!is_needed, "{error}"),
            Err(error) => assert!(
                !is_needed && error.kind() == ErrorKind::Invalid,
                "{path} {error} {promised:?}"
            ),
        }
    }
    let again = Story {
        storage: TestStorage::new(objects),
        patience: 0,
        promised: Promised {
            sources: std::mem::take(&mut promised.sources),
            ..promised
        },
    };
    let store = again.store();
    let (attempt, restored) = again.start(&store).await.unwrap();
    let id = restored.last_used.0 + 1;
    publish(&store, attempt, &[id]).await;
    store.collect_garbage(1).await.unwrap();
    if again.promised.from_savepoint {
        let left = names_in(objects, "one");
        assert!(left.is_empty(), "{left:?} of the claimed savepoint was left");
    }
    let store = again.store();
    let attempt = store.claim_attempt(&info(1)).await.unwrap();
    let restored = store.take_over(attempt, Verification::Checksums).await.unwrap();
    assert_eq!(
        (source(&restored), restored.skipped.len()),
        ((false, Some(id)), 0)
    );
    let left = names(objects, "checkpoint");
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_crash_at_any_call_loses_nothing_that_was_promised() {
    let objects = Objects::default();
    let storage = TestStorage::new(&objects);
    block_on(Story::new(storage.clone(), 0).tell()).unwrap();
    let calls = storage.calls();
    assert!(calls > 100, "{calls}");
    for call in 0..calls {
        for mode in [Crash::Before, Crash::After] {
            let objects = Objects::default();
            let storage = TestStorage::crashing_at(&objects, call, mode);
            let mut story = Story::new(storage, 0);
            block_on(story.tell()).unwrap_err();
            block_on(check_kept(&objects, story.promised));
        }
    }
}

#[test]
fn a_storage_that_fails_or_lies_now_and_then_is_overcome_by_trying_again() {
    for seed in 0..60 {
        for one_in in [3, 7] {
            let objects = Objects::default();
            let inner = || TestStorage::new(&objects);
            let lies = Schedule::seeded(seed, one_in).only([Operation::Create, Operation::Delete]);
            let storages: [Arc<dyn CheckpointStorage>; 2] = [
                Arc::new(Flaky::new(Shared(inner()), Schedule::seeded(seed, one_in * 3))),
                Arc::new(Lying::new(Shared(inner()), lies)),
            ];
            for storage in storages {
                objects.lock().unwrap().clear();
                let mut story = Story::new(storage, 1000);
                block_on(story.tell()).unwrap();
                block_on(check_kept(&objects, story.promised));
            }
        }
    }
}

use shared::Shared;

/// What a fault can be wrapped around.
mod shared {
    use super::TestStorage;
    use async_trait::async_trait;
    use bytes::Bytes;
    use snapline_core::Result;
    use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
    use std::ops::Range;
    use std::sync::Arc;

    #[derive(Debug)]
    pub(super) struct Shared(pub(super) Arc<TestStorage>);

    #[async_trait]
    impl CheckpointStorage for Shared {
        fn capability(&self) -> StorageCapability {
            self.0.capability()
        }

        fn location(&self) -> String {
            self.0.location()
        }

        async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
            self.0.create(key, bytes).await
        }

        async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
            self.0.put(key, content).await
        }

        async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
            self.0.get(key, range).await
        }

        async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
            self.0.list(prefix, after).await
        }

        async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
            self.0.delete(keys).await
        }
    }
}
