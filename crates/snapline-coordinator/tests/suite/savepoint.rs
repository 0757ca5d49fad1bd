//! Savepoints: written beside the chain, whole or not at all, and readable wherever they are.

use crate::storage::{Objects, TestStorage};
use crate::world::*;
use bytes::Bytes;
use futures::executor::block_on;
use snapline_coordinator::{CheckpointStore, PublishOutcome, Savepoint, Verification};
use snapline_core::{CheckpointId, CheckpointKind, ErrorKind};
use snapline_state::{HandleKind, StateLocation, StorageKey};

const PATH: &str = "savepoints/one";

fn at(objects: &Objects, path: &str) -> Savepoint {
    Savepoint::new(TestStorage::new(objects), StorageKey::new(path).unwrap())
}

#[test]
fn a_savepoint_can_be_read_where_it_was_written_and_where_it_was_moved() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let written = savepoint(&store, attempt, 2, PATH).await.unwrap();
        let read = at(&objects, PATH).read(Verification::Checksums).await.unwrap();
        assert_eq!(read, written);

        let moved: Objects = Objects::default();
        for name in names_in(&objects, PATH) {
            let key = StorageKey::new(format!("{PATH}/{name}")).unwrap();
            let content = objects.lock().unwrap()[&key].clone();
            let key = StorageKey::new(format!("elsewhere/{name}")).unwrap();
            moved.lock().unwrap().insert(key, content);
        }
        let read = at(&moved, "elsewhere")
            .read(Verification::Checksums)
            .await
            .unwrap();
        let files: Vec<_> = read.files().map(StorageKey::as_str).collect();
        assert_eq!(files, [savepoint_state("elsewhere", 1, 2)]);
        assert_eq!(read.own_commits(), written.own_commits());
    });
}

#[test]
fn a_savepoint_has_no_part_in_the_chain() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        savepoint(&store, attempt, 2, PATH).await.unwrap();
        assert_eq!(numbers(&objects, "epoch"), [1]);
        assert!(names(&objects, "checkpoint").is_empty());
        publish(&store, attempt, &[3, 4]).await;
        store.collect_garbage(1).await.unwrap();
        let restored = store.latest(Verification::Checksums).await.unwrap();
        assert_eq!(restored.checkpoint(), Some(CheckpointId(4)));
        at(&objects, PATH).read(Verification::Checksums).await.unwrap();
    });
}

/// What is done to the savepoint, and what whoever reads it is told.
type Damage = (&'static str, fn(&Objects), ErrorKind, &'static str);

fn damages() -> [Damage; 7] {
    const MANIFEST: &str = "savepoints/one/manifest.json";
    fn state(objects: &Objects, change: fn(Bytes) -> Option<Bytes>) {
        tamper(objects, &savepoint_state(PATH, 1, 2), change);
    }
    fn newer(_: Bytes) -> Option<Bytes> {
        let crc = crc32c::crc32c(b"snapline-savepoint\n9\n{}");
        Some(format!(r#"{{"format":"snapline-savepoint","version":9,"crc32c":{crc},"body":{{}}}}"#).into())
    }
    [
        (
            "missing",
            |objects| {
                objects
                    .lock()
                    .unwrap()
                    .retain(|key, _| !key.as_str().starts_with(PATH))
            },
            ErrorKind::Invalid,
            "there is no savepoint at this path",
        ),
        (
            "incomplete",
            |objects| tamper(objects, MANIFEST, |_| None),
            ErrorKind::Invalid,
            "never completed",
        ),
        (
            "newer",
            |objects| tamper(objects, MANIFEST, newer),
            ErrorKind::Unsupported,
            "newer version",
        ),
        (
            "damaged manifest",
            |objects| tamper(objects, MANIFEST, flip),
            ErrorKind::Corrupted,
            "document of the checkpoint store",
        ),
        (
            "missing state",
            |objects| state(objects, |_| None),
            ErrorKind::Corrupted,
            "a state file is missing",
        ),
        (
            "altered state",
            |objects| state(objects, flip),
            ErrorKind::Corrupted,
            "checksum of a state file",
        ),
        (
            "short state",
            |objects| state(objects, |bytes| Some(bytes.slice(..99))),
            ErrorKind::Corrupted,
            "too short",
        ),
    ]
}

#[test]
fn a_savepoint_that_is_not_whole_is_refused_by_name() {
    for (case, damage, kind, message) in damages() {
        let objects = Objects::default();
        block_on(async {
            let (store, attempt, _) = lead(&objects).await;
            savepoint(&store, attempt, 2, PATH).await.unwrap();
            damage(&objects);
            let error = at(&objects, PATH)
                .read(Verification::Checksums)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), kind, "{case}: {error}");
            assert!(error.to_string().contains(message), "{case}: {error}");
            assert_eq!(error.context("savepoint"), Some(PATH), "{case}");
        });
    }
}

#[test]
fn a_savepoint_that_is_not_whole_does_not_take_the_place_of_the_checkpoints() {
    for (case, damage, ..) in damages() {
        let objects = Objects::default();
        block_on(async {
            let (store, attempt, _) = lead(&objects).await;
            publish(&store, attempt, &[3]).await;
            savepoint(&store, attempt, 2, PATH).await.unwrap();
            damage(&objects);
            let before = numbers(&objects, "epoch");
            let store = open(&objects);
            let attempt = store.claim_attempt(&info(2)).await.unwrap();
            let savepoint = at(&objects, PATH);
            let error = start_from(&store, attempt, &savepoint).await.unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported),
                "{case}: {error}"
            );
            assert_eq!(numbers(&objects, "epoch"), before, "{case}");
            let restored = store.take_over(attempt, Verification::Checksums).await.unwrap();
            assert_eq!(restored.checkpoint(), Some(CheckpointId(3)), "{case}");
        });
    }
}

#[test]
fn a_path_that_is_taken_is_refused_before_any_state_is_written() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        savepoint(&store, attempt, 2, PATH).await.unwrap();
        let before = objects.lock().unwrap().clone();
        let own = [
            "job/epoch",
            "job/checkpoint/a1-e2",
            "job/attempt/x",
            "job/gc/boundary",
            "job/committed",
        ];
        for path in own.into_iter().chain([PATH]) {
            let error = savepoint(&store, attempt, 3, path).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{path}");
            assert!(error.to_string().contains("choose another path"), "{error}");
            assert_eq!(error.context("savepoint"), Some(path));
        }
        assert_eq!(*objects.lock().unwrap(), before);
        savepoint(&store, attempt, 3, "job/savepoints").await.unwrap();
    });
}

#[test]
fn of_two_savepoints_for_one_path_the_first_to_complete_is_whole_and_the_other_is_told() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let kind = CheckpointKind::Savepoint;
        let first = begin_savepoint(&store, attempt, 2, kind, PATH).await.unwrap();
        let second = begin_savepoint(&store, attempt, 3, kind, PATH).await.unwrap();
        store.publish_savepoint(&second).await.unwrap();
        let error = store.publish_savepoint(&first).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("meanwhile"), "{error}");
        // Publishing again is a retry, also after the other one.
        store.publish_savepoint(&second).await.unwrap();
        for id in [2, 3] {
            store.discard_savepoint(attempt, CheckpointId(id)).await.unwrap();
        }
        let read = at(&objects, PATH).read(Verification::Checksums).await.unwrap();
        assert_eq!(read, second);
        assert_eq!(names_in(&objects, PATH).len(), 2);
    });
}

#[test]
fn a_savepoint_must_not_need_files_of_others() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let inherited = write(&store, attempt, 2, "inherited", 9).await.unwrap();
        let kind = CheckpointKind::Savepoint;
        let mut manifest = begin_savepoint(&store, attempt, 2, kind, PATH).await.unwrap();
        manifest.operators.get_mut(&operator()).unwrap().subtasks[0].operator = Some(inherited);
        let error = store.publish_savepoint(&manifest).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        let incomplete = at(&objects, PATH).read(Verification::Manifest).await.unwrap_err();
        assert!(incomplete.to_string().contains("never completed"));
        let unknown = crate::world::manifest(attempt, 7, Vec::new());
        let error = store.publish_savepoint(&unknown).await.unwrap_err();
        assert!(error.to_string().contains("no target was registered"), "{error}");
    });
}

#[test]
fn a_savepoint_that_was_given_up_leaves_nothing_also_of_what_comes_late() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let (id, kind) = (CheckpointId(2), CheckpointKind::Savepoint);
        begin_savepoint(&store, attempt, 2, kind, PATH).await.unwrap();
        assert_eq!(names_in(&objects, PATH).len(), 1);
        store.discard_savepoint(attempt, id).await.unwrap();
        assert!(names_in(&objects, PATH).is_empty());

        let target = store
            .snapshot_target(attempt, id, &operator(), subtask())
            .unwrap();
        let late = target
            .write_bytes("late", Bytes::from(vec![7; 20_000]), HandleKind::Full)
            .await;
        let late = late.unwrap();
        assert_eq!(names_in(&objects, PATH).len(), 1);
        store.discard(std::slice::from_ref(&late)).await.unwrap();
        assert!(names_in(&objects, PATH).is_empty());

        store.unregister_savepoint(attempt, id);
        let target = store
            .snapshot_target(attempt, id, &operator(), subtask())
            .unwrap();
        let own = target
            .write_bytes("own", Bytes::from(vec![7; 20_000]), HandleKind::Full)
            .await;
        let StateLocation::File { key, .. } = own.unwrap().location else {
            panic!("it is too long for the manifest");
        };
        assert!(key.as_str().starts_with("job/checkpoint/a1-e2/"), "{key}");
    });
}

#[test]
fn the_target_of_an_earlier_attempt_is_not_that_of_a_later_one_with_the_same_id() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        begin_savepoint(&store, attempt, 3, CheckpointKind::Savepoint, PATH)
            .await
            .unwrap();
        let next = store.claim_attempt(&info(1)).await.unwrap();
        let restored = store.take_over(next, Verification::Manifest).await.unwrap();
        assert_eq!(restored.last_used, CheckpointId(2));
        publish(&store, next, &[3]).await;
        assert!(names(&objects, "checkpoint").contains("a2-e3/manifest.json"));
    });
}

/// Takes a savepoint that stops the job.
async fn stop(store: &CheckpointStore, id: u64, kind: CheckpointKind) -> snapline_coordinator::Manifest {
    let attempt = snapline_core::AttemptId(1);
    let manifest = begin_savepoint(store, attempt, id, kind, PATH).await.unwrap();
    store.publish_savepoint(&manifest).await.unwrap();
    for _retry in 0..2 {
        let outcome = store.publish(&manifest).await.unwrap();
        assert_eq!(outcome, PublishOutcome::Published);
    }
    manifest
}

#[test]
fn a_job_that_was_stopped_resumes_whatever_becomes_of_the_savepoint() {
    for kind in [CheckpointKind::Suspend, CheckpointKind::Drain] {
        let objects = Objects::default();
        block_on(async {
            let (store, attempt, _) = lead(&objects).await;
            publish(&store, attempt, &[2]).await;
            let stopped = stop(&store, 5, kind).await;
            let read = at(&objects, PATH).read(Verification::Checksums).await.unwrap();
            assert_eq!(read, stopped);
            objects
                .lock()
                .unwrap()
                .retain(|key, _| !key.as_str().starts_with(PATH));

            let (_, _, restored) = lead(&objects).await;
            assert_eq!(restored.checkpoint(), Some(CheckpointId(5)));
            assert!(restored.savepoint().is_none() && restored.skipped.is_empty());
            let manifest = restored.manifest.as_ref().unwrap();
            assert_eq!(manifest.kind, kind);
            assert_eq!(manifest.own_commits(), stopped.own_commits());
            let (copied, original) = (manifest.handles(), stopped.handles());
            for (copied, original) in copied.zip(original) {
                assert_eq!((copied.len, copied.checksum), (original.len, original.checksum));
            }
            assert_eq!(manifest.sizes.written, stopped.handles().next().unwrap().len);
        });
    }
}

#[test]
fn a_stop_whose_state_cannot_be_copied_is_not_in_the_chain() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2]).await;
        let kind = CheckpointKind::Suspend;
        let manifest = begin_savepoint(&store, attempt, 3, kind, PATH).await.unwrap();
        store.publish_savepoint(&manifest).await.unwrap();
        tamper(&objects, &savepoint_state(PATH, 1, 3), flip);
        let outcome = store.publish(&manifest).await.unwrap();
        let PublishOutcome::NotStored { reason } = outcome else {
            panic!("{outcome:?}");
        };
        assert!(reason.contains("checksum of a state file"), "{reason}");
        let restored = store.latest(Verification::Checksums).await.unwrap();
        assert_eq!(restored.checkpoint(), Some(CheckpointId(2)));
    });
}

#[test]
fn a_stop_that_was_taken_over_is_fenced() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let kind = CheckpointKind::Suspend;
        let manifest = begin_savepoint(&store, attempt, 3, kind, PATH).await.unwrap();
        store.publish_savepoint(&manifest).await.unwrap();
        let (_, newer, _) = lead(&objects).await;
        let outcome = store.publish(&manifest).await.unwrap();
        assert_eq!(outcome, PublishOutcome::Fenced { attempt: newer });
    });
}
