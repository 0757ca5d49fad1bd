//! A crash between any two storage calls loses at most the checkpoint that is under way.

use crate::storage::{Crash, Objects, TestStorage};
use crate::world::*;
use futures::executor::block_on;
use snapline_coordinator::{CheckpointStore, PublishOutcome, Verification};
use snapline_core::{CheckpointId, Result};
use std::sync::Arc;

/// What a job had been promised when it crashed.
#[derive(Debug, Default)]
struct Promised {
    complete: u64,
    attempted: u64,
    committed: u64,
}

/// Two attempts of a job with checkpoints, some given up, and garbage collections.
async fn run(storage: &Arc<TestStorage>, promised: &mut Promised) -> Result<()> {
    for nonce in 1..=2 {
        let store = store(storage.clone());
        let attempt = store.claim_attempt(&info(nonce)).await?;
        let first = store
            .take_over(attempt, Verification::Checksums)
            .await?
            .last_used
            .0;
        for id in [first + 1, first + 2, first + 5] {
            write(&store, attempt, id - 1, "given-up", 5).await?;
            let inherited = match store.latest(Verification::Manifest).await?.manifest {
                Some(parent) => parent.handles().last().cloned(),
                None => None,
            };
            let mut files = vec![write(&store, attempt, id, "keyed", 20).await?];
            files.extend(inherited);
            promised.attempted = id;
            match store.publish(&manifest(attempt, id, files)).await? {
                PublishOutcome::NotStored { reason } => {
                    return Err(snapline_core::Error::unavailable(reason));
                }
                outcome => assert_eq!(outcome, PublishOutcome::Published),
            }
            promised.complete = id;
            store.mark_committed(CheckpointId(id)).await?;
            promised.committed = id;
            store.collect_garbage(2).await?;
        }
    }
    Ok(())
}

async fn check_nothing_lost(objects: &Objects, promised: &Promised) {
    let store = open(objects);
    let found = store.latest(Verification::Checksums).await.unwrap();
    check_found(&found, promised);
    let attempt = store.claim_attempt(&info(9)).await.unwrap();
    let found = store.take_over(attempt, Verification::Checksums).await.unwrap();
    check_found(&found, promised);
    assert!(
        found.committed.map_or(0, |id| id.0) >= promised.committed,
        "{promised:?}"
    );
    let next = found.last_used.0 + 1;
    go_on(&store, attempt.0, next).await;
    check_no_orphans(objects, attempt.0, next);
}

/// Once there is another checkpoint, a collection leaves what that one needs, whatever the crash has left.
fn check_no_orphans(objects: &Objects, attempt: u64, id: u64) {
    let own = [manifest_key(attempt, id), state_key(attempt, id)];
    let own = own.map(|key| key.trim_start_matches("job/checkpoint/").to_owned());
    assert_eq!(names(objects, "checkpoint"), own.into());
    assert_eq!(numbers(objects, "epoch"), [id]);
    assert_eq!(numbers(objects, "gc/boundary"), [id - 1]);
    assert!(numbers(objects, "committed").len() <= 1);
    // The one before may still have to be told that it does not lead any more.
    let attempts = numbers(objects, "attempt");
    assert!(
        attempts.ends_with(&[attempt]) && attempts.len() <= 2,
        "{attempts:?}"
    );
}

fn check_found(found: &snapline_coordinator::Restored, promised: &Promised) {
    let checkpoint = found.checkpoint().map_or(0, |id| id.0);
    assert!(
        checkpoint == promised.complete || checkpoint == promised.attempted,
        "{checkpoint} {promised:?}"
    );
    assert!(found.skipped.is_empty(), "{:?}", found.skipped);
}

async fn go_on(store: &CheckpointStore, attempt: u64, id: u64) {
    let attempt = snapline_core::AttemptId(attempt);
    assert_eq!(
        checkpoint(store, attempt, id).await.unwrap(),
        PublishOutcome::Published
    );
    store.collect_garbage(1).await.unwrap();
    let found = store.latest(Verification::Checksums).await.unwrap();
    assert_eq!(
        (found.checkpoint(), found.skipped.len()),
        (Some(CheckpointId(id)), 0)
    );
}

#[test]
fn a_crash_between_any_two_calls_loses_at_most_the_running_checkpoint() {
    let whole = TestStorage::new(&Objects::default());
    block_on(run(&whole, &mut Promised::default())).unwrap();
    let calls = whole.calls();
    assert!(calls > 100, "{calls}");
    for call in 0..calls {
        for mode in [Crash::Before, Crash::After] {
            let objects = Objects::default();
            let mut promised = Promised::default();
            let storage = TestStorage::crashing_at(&objects, call, mode);
            block_on(run(&storage, &mut promised)).unwrap_err();
            block_on(check_nothing_lost(&objects, &promised));
        }
    }
}

#[test]
fn a_claim_whose_outcome_was_unknown_succeeds_when_it_is_tried_again() {
    // The same process goes on after any one call of a publish was lost.
    for call in 0..12 {
        for mode in [Crash::Before, Crash::After] {
            let objects = Objects::default();
            block_on(async {
                let flaky = Flaky::new(&objects, call, mode);
                let store = CheckpointStore::new(flaky, job());
                let attempt = snapline_core::AttemptId(1);
                while store.take_over(attempt, Verification::Manifest).await.is_err() {}
                let first = numbers(&objects, "epoch").last().copied().unwrap();
                let manifest = manifest(attempt, first + 3, Vec::new());
                let mut outcome = store.publish(&manifest).await;
                while !matches!(outcome, Ok(PublishOutcome::Published)) {
                    match &outcome {
                        Err(error) => assert_eq!(error.kind(), snapline_core::ErrorKind::Unavailable),
                        Ok(outcome) => {
                            assert!(matches!(outcome, PublishOutcome::NotStored { .. }), "{outcome:?}")
                        }
                    }
                    outcome = store.publish(&manifest).await;
                }
                assert_eq!(outcome.unwrap(), PublishOutcome::Published, "{call} {mode:?}");
                let found = store.latest(Verification::Checksums).await.unwrap();
                assert_eq!(found.checkpoint(), Some(CheckpointId(first + 3)));
            });
        }
    }
}

use flaky::Flaky;

/// A storage of which one call fails.
mod flaky {
    use super::{Crash, Objects, TestStorage};
    use async_trait::async_trait;
    use bytes::Bytes;
    use snapline_core::Result;
    use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    #[derive(Debug)]
    pub(super) struct Flaky {
        good: Arc<TestStorage>,
        bad: Arc<TestStorage>,
        until: AtomicU64,
    }

    impl Flaky {
        pub(super) fn new(objects: &Objects, call: u64, mode: Crash) -> Arc<Self> {
            Arc::new(Self {
                good: TestStorage::new(objects),
                bad: TestStorage::crashing_at(objects, 0, mode),
                until: AtomicU64::new(call),
            })
        }

        fn next(&self) -> &TestStorage {
            match self
                .until
                .fetch_update(SeqCst, SeqCst, |left| Some(left.wrapping_sub(1)))
            {
                Ok(0) => &self.bad,
                _ => &self.good,
            }
        }
    }

    #[async_trait]
    impl CheckpointStorage for Flaky {
        fn capability(&self) -> StorageCapability {
            self.good.capability()
        }

        fn location(&self) -> String {
            self.good.location()
        }

        async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
            self.next().create(key, bytes).await
        }

        async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
            self.next().put(key, content).await
        }

        async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
            self.next().get(key, range).await
        }

        async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
            self.next().list(prefix, after).await
        }

        async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
            self.next().delete(keys).await
        }
    }
}
