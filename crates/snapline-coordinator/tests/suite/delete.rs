//! Jobs that were cancelled for good, and attempts that are over.

use crate::storage::{Crash, Objects, TestStorage};
use crate::world::*;
use futures::executor::block_on;
use snapline_coordinator::{AttemptInfo, PublishOutcome, Verification};
use snapline_core::{AttemptId, CheckpointId, ErrorKind, Result};
use std::sync::Arc;

#[test]
fn deleted_checkpoints_do_not_come_back_and_names_are_not_used_again() {
    let objects = Objects::default();
    block_on(async {
        let (old, old_attempt, _) = lead(&objects).await;
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[3, 4]).await;
        store.mark_committed(CheckpointId(4)).await.unwrap();
        write(&store, attempt, 5, "pending", 9).await.unwrap();
        savepoint(&store, attempt, 5, "mine").await.unwrap();
        store.delete_all().await.unwrap();
        assert!(names(&objects, "checkpoint").is_empty());
        assert_eq!(numbers(&objects, "epoch"), [5]);
        assert_eq!(numbers(&objects, "gc/boundary"), [4]);
        assert_eq!(names_in(&objects, "mine").len(), 2, "savepoints stay");

        // Who was too slow finds a name free, but may not have it.
        for id in [2, 3, 5, 9] {
            let outcome = checkpoint(&old, old_attempt, id).await.unwrap();
            assert_eq!(outcome, PublishOutcome::Fenced { attempt }, "{id}");
        }
        let error = checkpoint(&store, attempt, 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        store.delete_all().await.unwrap();

        let (store, attempt, restored) = lead(&objects).await;
        assert_eq!((attempt, restored.checkpoint()), (AttemptId(3), None));
        assert_eq!(restored.last_used, CheckpointId(7));
        publish(&store, attempt, &[8]).await;
        store.collect_garbage(1).await.unwrap();
        assert_eq!(names(&objects, "checkpoint").len(), 2);
        let restored = store.latest(Verification::Checksums).await.unwrap();
        assert_eq!(restored.checkpoint(), Some(CheckpointId(8)));
    });
}

/// A job whose checkpoints are deleted.
async fn delete(storage: Arc<TestStorage>) -> Result<()> {
    let store = store(storage);
    let attempt = store.claim_attempt(&info(1)).await?;
    store.take_over(attempt, Verification::Manifest).await?;
    for id in [2, 3] {
        let _ = checkpoint(&store, attempt, id).await?;
    }
    store.delete_all().await
}

#[test]
fn what_a_crash_leaves_of_deleted_checkpoints_does_not_come_back() {
    let whole = TestStorage::new(&Objects::default());
    block_on(delete(whole.clone())).unwrap();
    let mut left = 0;
    for call in 0..whole.calls() {
        for mode in [Crash::Before, Crash::After] {
            let objects = Objects::default();
            block_on(delete(TestStorage::crashing_at(&objects, call, mode))).unwrap_err();
            let has_begun = numbers(&objects, "epoch").contains(&4);
            left += usize::from(has_begun && !names(&objects, "checkpoint").is_empty());
            let (_, _, restored) = block_on(lead(&objects));
            assert!(
                restored.skipped.is_empty(),
                "{call} {mode:?} {:?}",
                restored.skipped
            );
            assert!(!has_begun || restored.checkpoint().is_none(), "{call} {mode:?}");
        }
    }
    assert!(left > 3, "{left}");
}

#[test]
fn who_does_not_lead_deletes_nothing() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2]).await;
        let (new, new_attempt, _) = lead(&objects).await;
        let error = store.delete_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        publish(&new, new_attempt, &[4]).await;
        let error = store.delete_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        new.collect_garbage(1).await.unwrap();
        let error = store.delete_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        let restored = new.latest(Verification::Checksums).await.unwrap();
        assert_eq!(restored.checkpoint(), Some(CheckpointId(4)));
        let error = open(&objects).delete_all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    });
}

#[test]
fn attempts_before_the_last_one_are_collected_and_their_numbers_lead_nobody() {
    let objects = Objects::default();
    block_on(async {
        for id in 1..=5 {
            let (store, attempt, _) = lead(&objects).await;
            publish(&store, attempt, &[2 * id]).await;
            store.collect_garbage(1).await.unwrap();
        }
        assert_eq!(numbers(&objects, "attempt"), [4, 5]);

        // A process that has seen only the first attempts claims a number that was collected.
        let slow = open(&objects);
        let slow_info = info(7);
        let mut claim = Box::pin(slow.claim_attempt(&slow_info));
        let hidden: Vec<_> = {
            let mut objects = objects.lock().unwrap();
            let keys: Vec<_> = objects
                .keys()
                .filter(|key| key.as_str().contains("/attempt/"))
                .cloned()
                .collect();
            keys.into_iter()
                .map(|key| (key.clone(), objects.remove(&key).unwrap()))
                .collect()
        };
        // Its listing is answered now.
        for _ in 0..2 {
            assert!(futures::poll!(&mut claim).is_pending());
        }
        objects.lock().unwrap().extend(hidden);
        assert_eq!(claim.await.unwrap(), AttemptId(6));
        assert_eq!(numbers(&objects, "attempt"), [1, 4, 5, 6]);
        let restored = slow
            .take_over(AttemptId(6), Verification::Checksums)
            .await
            .unwrap();
        assert_eq!(restored.checkpoint(), Some(CheckpointId(10)));

        // Even if it went on with the old number, it would be refused.
        let error = open(&objects)
            .take_over(AttemptId(1), Verification::Manifest)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    });
}

#[test]
fn an_attempt_tells_who_leads_it() {
    let objects = Objects::default();
    block_on(async {
        let store = open(&objects);
        let told = AttemptInfo {
            host: "there".to_owned(),
            ..info(9)
        };
        let attempt = store.claim_attempt(&told).await.unwrap();
        assert_eq!(store.attempt_info(attempt).await.unwrap(), Some(told));
        assert_eq!(store.attempt_info(attempt.next()).await.unwrap(), None);
        tamper(&objects, &format!("{JOB}/attempt/{:020}.json", 1), flip);
        let error = store.attempt_info(attempt).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
    });
}
