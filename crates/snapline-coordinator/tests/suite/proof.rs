//! What is proven of a stored checkpoint, and what is listed and copied.

use crate::storage::{Objects, TestStorage};
use crate::world::*;
use bytes::Bytes;
use futures::executor::block_on;
use snapline_barrier::{ChannelCut, CutViolation, RecordedRun, TaskClock, TaskCut, VectorClock};
use snapline_coordinator::{
    CheckpointProof, CheckpointStore, Manifest, PublishOutcome, Savepoint, SubtaskCut, Verification,
    copy_checkpoint, verify_checkpoint,
};
use snapline_core::{
    AttemptId, BarrierAlignment, CheckpointId, CheckpointKind, ErrorKind, OperatorUid, SubtaskId,
};
use snapline_state::{CheckpointStorage, HandleKind, StateHandle, StateLocation, StorageKey};
use std::sync::Arc;

fn cut(operator: &str, clock: Option<(u32, [u64; 2])>, channels: Vec<ChannelCut>) -> SubtaskCut {
    let clock = clock.map(|(task, entries)| TaskClock {
        task,
        clock: VectorClock::from_iter(entries),
    });
    SubtaskCut {
        task: SubtaskId {
            operator: OperatorUid::new(operator).unwrap(),
            index: subtask(),
        },
        cut: TaskCut { clock, channels },
    }
}

fn channel(received: u64, sent: u64, recorded: &[(u64, u64)]) -> ChannelCut {
    let recorded = recorded
        .iter()
        .map(|&(from, to)| RecordedRun { from, to })
        .collect();
    ChannelCut {
        received,
        sent,
        recorded,
    }
}

/// Publishes a checkpoint with these cuts and proves it from what is stored.
fn prove(alignment: BarrierAlignment, cuts: Vec<SubtaskCut>) -> CheckpointProof {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let file = write(&store, attempt, 2, "keyed", 20).await.unwrap();
        let mut manifest = manifest(attempt, 2, vec![file]);
        (manifest.alignment, manifest.cuts) = (alignment, cuts);
        assert_eq!(store.publish(&manifest).await.unwrap(), PublishOutcome::Published);
        let stored = store
            .latest(Verification::Manifest)
            .await
            .unwrap()
            .manifest
            .unwrap();
        verify_checkpoint(store.storage().as_ref(), &stored)
            .await
            .unwrap()
    })
}

#[test]
fn a_consistent_cut_is_proven_from_what_is_stored() {
    let (aligned, unaligned) = (BarrierAlignment::Aligned, BarrierAlignment::Unaligned);
    let clocks = |of_source, of_sink, channel: ChannelCut| {
        vec![
            cut("source", Some((0, of_source)), vec![]),
            cut("sink", Some((1, of_sink)), vec![channel]),
        ]
    };
    let cases = [
        (aligned, clocks([7, 0], [7, 3], channel(5, 5, &[])), true),
        (aligned, clocks([7, 0], [8, 3], channel(5, 5, &[])), false),
        (aligned, clocks([7, 0], [7, 3], channel(4, 5, &[])), false),
        (aligned, clocks([7, 0], [7, 3], channel(3, 5, &[(3, 5)])), true),
        (unaligned, clocks([7, 0], [7, 3], channel(3, 5, &[(3, 5)])), true),
        (unaligned, clocks([7, 0], [7, 3], channel(3, 5, &[(3, 4)])), false),
        (
            BarrierAlignment::AtLeastOnce,
            clocks([7, 0], [9, 3], channel(6, 5, &[])),
            true,
        ),
        (
            BarrierAlignment::AtLeastOnce,
            clocks([7, 0], [9, 3], channel(4, 5, &[])),
            false,
        ),
    ];
    for (alignment, cuts, holds) in cases {
        let proof = prove(alignment, cuts.clone());
        assert_eq!(proof.holds(), holds, "{alignment:?} {cuts:?} {proof:?}");
        assert!(proof.damage.is_empty());
        assert_eq!((proof.files, proof.bytes), (1, 20));
    }
    let proof = prove(aligned, clocks([7, 0], [8, 3], channel(5, 5, &[])));
    let Err(CutViolation::Future { known, by, .. }) = proof.cut else {
        panic!("{proof:?}");
    };
    assert_eq!(
        (known.operator.as_str(), by.operator.as_str()),
        ("source", "sink")
    );
}

/// A checkpoint of every kind of piece: two that share a file, one in the manifest, one of nothing.
async fn rich(store: &CheckpointStore, attempt: AttemptId, id: u64) -> Manifest {
    let long = write(store, attempt, id, "long", 2 * 1024 * 1024 + 7)
        .await
        .unwrap();
    let whole = long.read(store.storage().as_ref()).await.unwrap();
    let StateLocation::File { key, .. } = &long.location else {
        panic!("a file was written");
    };
    let part = |from: usize, to: usize| StateHandle {
        location: StateLocation::File {
            key: key.clone(),
            offset: from as u64,
        },
        len: (to - from) as u64,
        checksum: crc32c::crc32c(&whole[from..to]),
        ..long.clone()
    };
    let middle = 1024 * 1024 + 3;
    let empty = write(store, attempt, id, "empty", 0).await.unwrap();
    let keyed = vec![part(0, middle), part(middle, whole.len()), empty, part(0, middle)];
    let mut manifest = manifest(attempt, id, keyed);
    let state = &mut manifest.operators.get_mut(&operator()).unwrap().subtasks[0];
    let inline = Bytes::from_static(b"offsets");
    state.operator = Some(StateHandle::inline(inline, HandleKind::OperatorState, None));
    state.channels = Some(write(store, attempt, id, "channels", 30).await.unwrap());
    manifest
}

#[test]
fn all_damage_is_found_at_once() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let manifest = rich(&store, attempt, 2).await;
        let storage = store.storage().as_ref();
        let proof = verify_checkpoint(storage, &manifest).await.unwrap();
        assert!(proof.holds(), "{proof:?}");
        assert_eq!((proof.files, proof.bytes), (3, 2 * 1024 * 1024 + 7 + 7 + 30));
        let file = |name| format!("{JOB}/checkpoint/a1-e2/state/op/0-{name}");
        tamper(&objects, &file("long"), |bytes| {
            Some(bytes.slice(..bytes.len() - 1))
        });
        tamper(&objects, &file("channels"), flip);
        tamper(&objects, &file("empty"), |_| None);
        let proof = verify_checkpoint(storage, &manifest).await.unwrap();
        let damage: Vec<_> = proof.damage.iter().map(|error| error.message()).collect();
        let expected = [
            "a state file is too short",
            "a state file is missing",
            "the checksum of a state file does not match",
        ];
        assert_eq!(damage, expected);
        assert!(!proof.holds() && proof.cut.is_ok());
    });
}

#[test]
fn a_savepoint_is_proven_as_a_checkpoint_is() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        savepoint(&store, attempt, 2, "one").await.unwrap();
        let one = target(&store, "one").savepoint();
        let manifest = one.read(Verification::Manifest).await.unwrap();
        assert!(
            verify_checkpoint(one.storage().as_ref(), &manifest)
                .await
                .unwrap()
                .holds()
        );
        tamper(&objects, &savepoint_state("one", 1, 2), flip);
        assert!(
            !verify_checkpoint(one.storage().as_ref(), &manifest)
                .await
                .unwrap()
                .holds()
        );
    });
}

#[test]
fn a_copy_has_the_same_state_and_needs_nothing_of_the_original() {
    let (objects, elsewhere) = (Objects::default(), Objects::default());
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let manifest = rich(&store, attempt, 2).await;
        let to = TestStorage::new(&elsewhere);
        let prefix = StorageKey::new("backup/state").unwrap();
        let copy = copy_checkpoint(&manifest, store.storage(), to.as_ref(), &prefix)
            .await
            .unwrap();
        let copied = elsewhere.lock().unwrap().len();
        assert_eq!(copied, 4, "what is shared is copied once");
        for _again in 0..2 {
            let again = copy_checkpoint(&manifest, store.storage(), to.as_ref(), &prefix)
                .await
                .unwrap();
            assert_eq!(again, copy);
        }
        objects.lock().unwrap().clear();
        let proof = verify_checkpoint(to.as_ref(), &copy).await.unwrap();
        assert!(proof.holds(), "{proof:?}");
        let pieces = |manifest: &Manifest| -> Vec<_> {
            let pieces = manifest
                .handles()
                .map(|handle| (handle.len, handle.checksum, handle.kind));
            pieces.collect()
        };
        assert_eq!(pieces(&copy), pieces(&manifest));
        assert_eq!(copy.sizes.written, 2 * 1024 * 1024 + 7 + 30);

        // Together with its manifest it is a savepoint.
        let storage: Arc<dyn CheckpointStorage> = to;
        let target = snapline_coordinator::SavepointTarget {
            storage: storage.clone(),
            path: StorageKey::new("backup").unwrap(),
        };
        target.write_manifest(&copy).await.unwrap();
        let savepoint = Savepoint::new(storage, target.path);
        assert_eq!(savepoint.read(Verification::Checksums).await.unwrap(), copy);
    });
}

#[test]
fn damage_does_not_spread_to_a_copy() {
    for damaged in ["long", "channels"] {
        let (objects, elsewhere) = (Objects::default(), Objects::default());
        block_on(async {
            let (store, attempt, _) = lead(&objects).await;
            let manifest = rich(&store, attempt, 2).await;
            let key = format!("{JOB}/checkpoint/a1-e2/state/op/0-{damaged}");
            tamper(&objects, &key, flip);
            let to = TestStorage::new(&elsewhere);
            let prefix = StorageKey::new("backup").unwrap();
            let copied = copy_checkpoint(&manifest, store.storage(), to.as_ref(), &prefix).await;
            let error = copied.unwrap_err();
            assert_eq!(
                (error.kind(), error.context("file")),
                (ErrorKind::Corrupted, Some(&*key))
            );
            let visible = elsewhere.lock().unwrap();
            let sound = |content: &Bytes| {
                manifest
                    .handles()
                    .any(|handle| handle.checksum == crc32c::crc32c(content))
            };
            assert!(visible.values().all(sound), "what is visible is whole");
        });
    }
}

#[test]
fn checkpoints_are_listed_newest_first_with_what_is_wrong_with_them() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        assert!(store.checkpoints().await.unwrap().is_empty());
        publish(&store, attempt, &[2]).await;
        let mut stopped = begin_savepoint(&store, attempt, 4, CheckpointKind::Suspend, "one")
            .await
            .unwrap();
        stopped.parent = Some(CheckpointId(2));
        store.publish_savepoint(&stopped).await.unwrap();
        assert_eq!(store.publish(&stopped).await.unwrap(), PublishOutcome::Published);
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[6]).await;
        tamper(&objects, &manifest_key(2, 6), flip);

        let listed = open(&objects).checkpoints().await.unwrap();
        let ids: Vec<_> = listed
            .iter()
            .map(|(id, summary)| (id.0, summary.is_ok()))
            .collect();
        assert_eq!(ids, [(6, false), (4, true), (2, true)]);
        let four = listed[1].1.as_ref().unwrap();
        assert_eq!(
            (four.kind, four.parent),
            (CheckpointKind::Suspend, Some(CheckpointId(2)))
        );
        assert!(four.sizes.written > 16 * 1024);
        assert_eq!(four.path.as_str(), "job/checkpoint/a1-e4");
        let folder = Savepoint::new(store.storage().clone(), four.path.clone());
        assert_eq!(
            folder.read(Verification::Checksums).await.unwrap().checkpoint,
            four.checkpoint
        );

        let attempt = store.claim_attempt(&info(1)).await.unwrap();
        let _ = store.start_over(attempt).await.unwrap();
        assert!(store.checkpoints().await.unwrap().is_empty());
    });
}
