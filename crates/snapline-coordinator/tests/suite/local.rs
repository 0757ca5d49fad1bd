//! State that the process still has in memory.

use crate::storage::{Objects, TestStorage};
use crate::world::*;
use futures::executor::block_on;
use snapline_coordinator::{CheckpointStore, Verification};
use snapline_core::{AttemptId, CheckpointId};
use snapline_state::StorageKey;

/// How long the only file of a checkpoint is, and its manifest at the least.
const FILE: u64 = 20;

async fn take_over(store: &CheckpointStore) -> (AttemptId, Option<CheckpointId>) {
    let attempt = store.claim_attempt(&info(1)).await.unwrap();
    let restored = store.take_over(attempt, Verification::Checksums).await.unwrap();
    (attempt, restored.checkpoint())
}

fn bytes(store: &CheckpointStore) -> u64 {
    store.local_copies().map_or(0, |copies| copies.bytes())
}

#[test]
fn a_restart_in_the_process_restores_state_that_the_storage_has_lost() {
    for (keeps, restored) in [(true, 3), (false, 2)] {
        let objects = Objects::default();
        let store = open(&objects);
        let store = if keeps { store.with_local_copies() } else { store };
        block_on(async {
            let (attempt, _) = take_over(&store).await;
            for id in [2, 3] {
                let _ = checkpoint(&store, attempt, id).await.unwrap();
            }
            let state = StorageKey::new(state_key(1, 3)).unwrap();
            objects.lock().unwrap().remove(&state).unwrap();
            assert_eq!(take_over(&store).await.1, Some(CheckpointId(restored)));
        });
    }
}

#[test]
fn only_the_newest_checkpoint_and_those_under_way_are_kept() {
    let objects = Objects::default();
    let store = open(&objects).with_local_copies();
    block_on(async {
        let (attempt, _) = take_over(&store).await;
        let _ = checkpoint(&store, attempt, 2).await.unwrap();
        assert_eq!(bytes(&store), FILE);
        write(&store, attempt, 4, "keyed", FILE as usize).await.unwrap();
        let _ = checkpoint(&store, attempt, 3).await.unwrap();
        assert_eq!(bytes(&store), 2 * FILE);
        take_over(&store).await;
        assert_eq!(bytes(&store), FILE, "what was under way will not be completed");
        let attempt = store.claim_attempt(&info(1)).await.unwrap();
        let _ = store.start_over(attempt).await.unwrap();
        assert_eq!(bytes(&store), 0);
    });
}

#[test]
fn discarded_state_is_not_kept() {
    let objects = Objects::default();
    let store = open(&objects).with_local_copies();
    block_on(async {
        let (attempt, _) = take_over(&store).await;
        let file = write(&store, attempt, 2, "keyed", FILE as usize).await.unwrap();
        store.discard(&[file]).await.unwrap();
        assert_eq!(bytes(&store), 0);
    });
}

#[test]
fn a_storage_in_memory_needs_no_copies() {
    let objects = Objects::default();
    assert!(open(&objects).with_local_copies().local_copies().is_some());
    let volatile = store(TestStorage::volatile(&objects)).with_local_copies();
    assert!(volatile.local_copies().is_none());
    assert!(!volatile.storage().capability().durable);
}
