//! What the store promises when nothing races and nothing crashes.

use crate::storage::Objects;
use crate::world::*;
use bytes::Bytes;
use futures::executor::block_on;
use snapline_coordinator::{
    CheckpointStore, PublishOutcome, SavepointTarget, Verification, copy_checkpoint, verify_checkpoint,
};
use snapline_core::{AttemptId, CheckpointId, ClaimMode, ErrorKind, JobId, OperatorUid};
use snapline_state::{HandleKind, StorageKey};

#[test]
fn a_new_job_starts_at_the_beginning_also_beside_other_jobs() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2]).await;
        let other = CheckpointStore::new(store.storage().clone(), JobId::new("job-2").unwrap());
        let attempt = other.claim_attempt(&info(1)).await.unwrap();
        let restored = other.take_over(attempt, Verification::Checksums).await.unwrap();
        assert_eq!((attempt, restored.checkpoint()), (AttemptId(1), None));
        assert!(restored.skipped.is_empty());
    });
}

#[test]
fn a_job_resumes_from_its_newest_checkpoint() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, restored) = lead(&objects).await;
        assert_eq!((attempt, restored.last_used), (AttemptId(1), CheckpointId(1)));
        publish(&store, attempt, &[2, 3]).await;
        let (store, attempt, restored) = lead(&objects).await;
        assert_eq!(
            (attempt, restored.checkpoint()),
            (AttemptId(2), Some(CheckpointId(3)))
        );
        assert_eq!(restored.last_used, CheckpointId(4));
        // A take-over alone is no checkpoint.
        let (_, _, again) = lead(&objects).await;
        assert_eq!(
            (again.checkpoint(), again.last_used),
            (Some(CheckpointId(3)), CheckpointId(5))
        );
        drop(store);
    });
}

#[test]
fn records_are_dense_also_when_checkpoints_are_given_up() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 5, 9]).await;
        assert_eq!(numbers(&objects, "epoch"), (1..=9).collect::<Vec<_>>());
        let latest = store.latest(Verification::Checksums).await.unwrap();
        assert_eq!(latest.checkpoint(), Some(CheckpointId(9)));
    });
}

#[test]
fn publishing_again_is_a_retry_and_publishing_an_old_id_is_not() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 2, 4, 4]).await;
        let error = checkpoint(&store, attempt, 3).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    });
}

#[test]
fn nothing_is_published_without_a_take_over() {
    let objects = Objects::default();
    block_on(async {
        let store = open(&objects);
        let error = checkpoint(&store, AttemptId(1), 2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    });
}

#[test]
fn a_leader_that_was_taken_over_is_fenced_whatever_id_it_comes_with() {
    for id in [3, 4, 7] {
        let objects = Objects::default();
        block_on(async {
            let (old, attempt, _) = lead(&objects).await;
            publish(&old, attempt, &[2]).await;
            let (new, new_attempt, restored) = lead(&objects).await;
            assert_eq!(restored.checkpoint(), Some(CheckpointId(2)));
            let outcome = checkpoint(&old, attempt, id).await.unwrap();
            assert_eq!(outcome, PublishOutcome::Fenced { attempt: new_attempt }, "{id}");
            publish(&new, new_attempt, &[4]).await;
            let error = old.collect_garbage(1).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            let error = old.take_over(attempt, Verification::Manifest).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            let latest = new.latest(Verification::Checksums).await.unwrap();
            assert_eq!(latest.checkpoint(), Some(CheckpointId(4)));
        });
    }
}

#[test]
fn a_leader_cannot_use_a_name_that_the_garbage_collection_has_freed() {
    let objects = Objects::default();
    block_on(async {
        let (old, attempt, _) = lead(&objects).await;
        publish(&old, attempt, &[2]).await;
        let (new, new_attempt, _) = lead(&objects).await;
        publish(&new, new_attempt, &[4, 5, 6]).await;
        let report = new.collect_garbage(1).await.unwrap();
        assert_eq!(report.boundary, CheckpointId(5));
        assert_eq!(numbers(&objects, "epoch"), [6]);
        let outcome = checkpoint(&old, attempt, 3).await.unwrap();
        assert_eq!(outcome, PublishOutcome::Fenced { attempt: new_attempt });
        let latest = new.latest(Verification::Checksums).await.unwrap();
        assert_eq!(latest.checkpoint(), Some(CheckpointId(6)));
    });
}

/// What is done to checkpoint 3 of 2 and 3, and what is restored then.
fn check_damage(key: &str, change: fn(Bytes) -> Option<Bytes>, restored: u64, reason: &str) {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3]).await;
        tamper(&objects, key, change);
        let (_, _, found) = lead(&objects).await;
        assert_eq!(found.checkpoint(), Some(CheckpointId(restored)), "{key}");
        assert_eq!(found.skipped.len(), 1, "{key}: {:?}", found.skipped);
        let (id, error) = &found.skipped[0];
        assert_eq!(*id, CheckpointId(3));
        assert!(error.to_string().contains(reason), "{error}");
    });
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before_and_the_reason_is_told() {
    let (epoch, manifest, state) = (
        format!("{JOB}/epoch/{:020}.json", 3),
        manifest_key(1, 3),
        state_key(1, 3),
    );
    check_damage(&epoch, flip, 2, "document");
    check_damage(&manifest, flip, 2, "document");
    check_damage(&manifest, |_| None, 2, "a manifest is missing");
    check_damage(&state, flip, 2, "checksum of a state file");
    check_damage(&state, |_| None, 2, "a state file is missing");
    check_damage(&state, |bytes| Some(bytes.slice(..19)), 2, "too short");
}

#[test]
fn a_cheaper_verification_finds_what_it_says() {
    let cases: [(Verification, fn(Bytes) -> Option<Bytes>, bool); 5] = [
        (Verification::Manifest, |_| None, false),
        (Verification::Lengths, |_| None, true),
        (Verification::Lengths, |bytes| Some(bytes.slice(..19)), true),
        (Verification::Lengths, flip, false),
        (Verification::Checksums, flip, true),
    ];
    for (verification, change, finds) in cases {
        let objects = Objects::default();
        block_on(async {
            let (store, attempt, _) = lead(&objects).await;
            publish(&store, attempt, &[2, 3]).await;
            tamper(&objects, &state_key(1, 3), change);
            let found = open(&objects).latest(verification).await.unwrap();
            assert_eq!(found.skipped.len(), usize::from(finds), "{verification:?}");
        });
    }
}

#[test]
fn state_longer_than_one_piece_is_verified_to_its_end() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let long = write(&store, attempt, 2, "keyed", 3 * 1024 * 1024 + 5)
            .await
            .unwrap();
        let empty = write(&store, attempt, 2, "empty", 0).await.unwrap();
        let outcome = store
            .publish(&manifest(attempt, 2, vec![long, empty]))
            .await
            .unwrap();
        assert_eq!(outcome, PublishOutcome::Published);
        let found = store.latest(Verification::Checksums).await.unwrap();
        assert_eq!(found.checkpoint(), Some(CheckpointId(2)));
        tamper(&objects, &state_key(1, 2), |bytes| {
            let mut bytes = bytes.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            Some(bytes.into())
        });
        let error = store.latest(Verification::Checksums).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    });
}

#[test]
fn when_no_checkpoint_can_be_restored_the_job_does_not_silently_start_over() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3]).await;
        tamper(&objects, &manifest_key(1, 2), flip);
        tamper(&objects, &state_key(1, 3), flip);
        let error = open(&objects).latest(Verification::Checksums).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("start fresh"), "{error}");
    });
}

#[test]
fn a_checkpoint_of_another_job_or_of_a_newer_version_is_refused_not_passed_over() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3]).await;
        let mut foreign = manifest(attempt, 3, Vec::new());
        foreign.job = JobId::new("other").unwrap();
        tamper(&objects, &manifest_key(1, 3), |_| Some(foreign.encode().unwrap()));
        let error = open(&objects).latest(Verification::Manifest).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.context("found")),
            (ErrorKind::Invalid, Some("other"))
        );

        let body = "{}";
        let crc = crc32c::crc32c(format!("snapline-manifest\n2\n{body}").as_bytes());
        let newer = format!(r#"{{"format":"snapline-manifest","version":2,"crc32c":{crc},"body":{body}}}"#);
        tamper(&objects, &manifest_key(1, 3), |_| Some(newer.into()));
        let error = open(&objects).latest(Verification::Manifest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    });
}

#[test]
fn starting_over_forgets_the_checkpoints_but_not_the_ids() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3]).await;
        let (fresh, new_attempt) = (open(&objects), AttemptId(2));
        assert_eq!(fresh.claim_attempt(&info(2)).await.unwrap(), new_attempt);
        let restored = fresh.start_over(new_attempt).await.unwrap();
        assert_eq!(
            (restored.checkpoint(), restored.last_used),
            (None, CheckpointId(4))
        );
        // A crash before the first checkpoint does not bring the old ones back.
        let (third, third_attempt, restored) = lead(&objects).await;
        assert_eq!(
            (restored.checkpoint(), restored.last_used),
            (None, CheckpointId(5))
        );
        assert_eq!(
            checkpoint(&store, attempt, 4).await.unwrap(),
            PublishOutcome::Fenced { attempt: new_attempt }
        );
        third.collect_garbage(3).await.unwrap();
        assert!(names(&objects, "checkpoint").contains("a1-e3/manifest.json"));
        publish(&third, third_attempt, &[6]).await;
        third.collect_garbage(3).await.unwrap();
        let left: Vec<_> = names(&objects, "checkpoint").into_iter().collect();
        assert_eq!(left, ["a3-e6/manifest.json", "a3-e6/state/op/0-keyed"]);
        let latest = third.latest(Verification::Checksums).await.unwrap();
        assert_eq!(latest.checkpoint(), Some(CheckpointId(6)));
    });
}

#[test]
fn commits_that_are_done_need_not_be_done_again() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3]).await;
        assert_eq!(store.committed().await.unwrap(), None);
        for id in [2, 3, 3] {
            store.mark_committed(CheckpointId(id)).await.unwrap();
        }
        assert_eq!(store.committed().await.unwrap(), Some(CheckpointId(3)));
        let (_, _, restored) = lead(&objects).await;
        assert_eq!(restored.committed, Some(CheckpointId(3)));
        assert!(restored.unfinished_commits().is_empty());
    });
}

#[test]
fn discarding_touches_only_state_of_this_job() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let operator = OperatorUid::new("manifest.json").unwrap();
        let target = store
            .snapshot_target(attempt, CheckpointId(2), &operator, subtask())
            .unwrap();
        let large = Bytes::from(vec![7; 100_000]);
        let handle = target
            .write_bytes("keyed", large, HandleKind::Full)
            .await
            .unwrap();
        let name = "a1-e2/state/manifest.json/0-keyed";
        assert!(names(&objects, "checkpoint").contains(name));
        let other = CheckpointStore::new(store.storage().clone(), JobId::new("other").unwrap());
        other.discard(std::slice::from_ref(&handle)).await.unwrap();
        assert!(names(&objects, "checkpoint").contains(name));
        store.discard(&[handle]).await.unwrap();
        assert!(names(&objects, "checkpoint").is_empty());
    });
}

#[test]
fn a_publish_that_outlives_its_attempt_does_not_speak_for_the_next_one() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let old_manifest = manifest(attempt, 6, Vec::new());
        let mut old = Box::pin(store.publish(&old_manifest));
        // It has claimed some of the ids before its own when the same process takes over again.
        while !numbers(&objects, "epoch").contains(&3) {
            assert!(futures::poll!(&mut old).is_pending());
        }
        let next = store.claim_attempt(&info(2)).await.unwrap();
        let restored = store.take_over(next, Verification::Manifest).await.unwrap();
        assert_eq!(old.await.unwrap(), PublishOutcome::Fenced { attempt: next });
        let id = restored.last_used.0 + 1;
        publish(&store, next, &[id]).await;
        let latest = store.latest(Verification::Checksums).await.unwrap();
        assert_eq!(latest.checkpoint(), Some(CheckpointId(id)));
    });
}

#[test]
fn a_process_tells_its_own_claims_from_those_of_a_rival() {
    let objects = Objects::default();
    block_on(async {
        let store = open(&objects);
        for nonce in [1, 1, 1, 2, 1] {
            let _ = store.claim_attempt(&info(nonce)).await.unwrap();
        }
        let check = |last, newest| store.check_no_rival(AttemptId(last), AttemptId(newest), 1);
        check(1, 2).await.unwrap();
        check(1, 3).await.unwrap();
        assert_eq!(check(3, 5).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(check(1, 5).await.unwrap_err().kind(), ErrorKind::Conflict);
    });
}

#[test]
fn a_process_that_was_taken_over_does_not_stop_the_one_that_has_taken_over() {
    let objects = Objects::default();
    block_on(async {
        let store = open(&objects);
        // The process 1 leads, 2 takes over, 1 claims another and stops, 2 restarts.
        for nonce in [1, 2, 1, 2] {
            let _ = store.claim_attempt(&info(nonce)).await.unwrap();
        }
        let check = |last, newest, nonce| store.check_no_rival(AttemptId(last), AttemptId(newest), nonce);
        assert_eq!(check(1, 3, 1).await.unwrap_err().kind(), ErrorKind::Conflict);
        check(2, 4, 2).await.unwrap();
    });
}

#[test]
fn every_call_can_be_awaited_on_another_thread() {
    fn check<T: Send>(_: T) {}
    let store = open(&Objects::default());
    let manifest = manifest(AttemptId(1), 1, Vec::new());
    check(store.claim_attempt(&info(1)));
    check(store.take_over(AttemptId(1), Verification::Checksums));
    check(store.start_over(AttemptId(1)));
    check(store.latest(Verification::Checksums));
    check(store.publish(&manifest));
    check(store.mark_committed(CheckpointId(1)));
    check(store.collect_garbage(1));
    check(store.discard(&[]));
    let target = SavepointTarget {
        storage: store.storage().clone(),
        path: StorageKey::new("savepoint").unwrap(),
    };
    let savepoint = target.savepoint();
    check(store.prepare_savepoint(&target));
    check(store.discard_savepoint(AttemptId(1), CheckpointId(1)));
    check(target.write_manifest(&manifest));
    check(savepoint.read(Verification::Checksums));
    check(store.take_over_from(
        AttemptId(1),
        &savepoint,
        ClaimMode::Claim,
        Verification::Checksums,
    ));
    check(store.delete_all());
    check(store.checkpoints());
    check(store.attempt_info(AttemptId(1)));
    check(verify_checkpoint(store.storage().as_ref(), &manifest));
    let to = store.storage().as_ref();
    check(copy_checkpoint(&manifest, store.storage(), to, savepoint.path()));
}
