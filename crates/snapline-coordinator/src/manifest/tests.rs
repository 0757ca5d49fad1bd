//! A manifest comes back as it was, or its damage is noticed.

use super::*;
use proptest::prelude::*;
use snapline_barrier::{ChannelCut, RecordedRun};
use snapline_core::{ErrorKind, KeyGroupRange};
use snapline_state::HandleKind;

fn uid(text: &str) -> OperatorUid {
    OperatorUid::new(text).unwrap()
}

fn file(name: &str, offset: u64, len: u64) -> StateHandle {
    StateHandle {
        location: StateLocation::File {
            key: StorageKey::new(name).unwrap(),
            offset,
        },
        len,
        checksum: 7,
        key_groups: Some(KeyGroupRange::new(0, 64)),
        kind: HandleKind::Full,
    }
}

fn commit(checkpoint: u64, operator: &str, subtask: u32, text: &'static str) -> SubtaskCommit {
    SubtaskCommit {
        checkpoint: CheckpointId(checkpoint),
        operator: uid(operator),
        subtask: SubtaskIndex(subtask),
        committables: vec![Committable(Bytes::from_static(text.as_bytes()))],
    }
}

fn sample() -> Manifest {
    let keyed = SubtaskState {
        keyed: vec![file("job/checkpoint/a7-e12/state/sum/0-keyed", 0, 10)],
        operator: Some(StateHandle::inline(
            Bytes::from_static(b"offsets"),
            HandleKind::OperatorState,
            None,
        )),
        committables: Vec::new(),
        ..SubtaskState::default()
    };
    let sink = SubtaskState {
        committables: commit(12, "sink", 1, "part-2").committables,
        ..SubtaskState::default()
    };
    let operator = |name: &str, subtasks: Vec<SubtaskState>| OperatorManifest {
        name: name.to_owned(),
        parallelism: subtasks.len() as u32,
        subtasks,
    };
    Manifest {
        job: JobId::new("job").unwrap(),
        attempt: AttemptId(7),
        checkpoint: CheckpointId(12),
        parent: Some(CheckpointId(11)),
        kind: CheckpointKind::Checkpoint,
        alignment: BarrierAlignment::Aligned,
        finished: false,
        took_ms: None,
        created: Timestamp(1_700_000_000_000),
        max_parallelism: MaxParallelism::DEFAULT,
        sizes: ManifestSizes {
            total: 23,
            written: 10,
        },
        operators: BTreeMap::from([
            (uid("sum"), operator("Sum \u{2211} \"quoted\"", vec![keyed])),
            (uid("sink"), operator("Sink", vec![SubtaskState::default(), sink])),
        ]),
        uncommitted: vec![commit(10, "sink", 0, "part-0"), commit(11, "sink", 1, "part-1")],
        cuts: vec![SubtaskCut {
            task: SubtaskId {
                operator: uid("sum"),
                index: SubtaskIndex(0),
            },
            cut: TaskCut {
                clock: None,
                channels: vec![ChannelCut {
                    received: 5,
                    sent: 5,
                    recorded: vec![],
                }],
            },
        }],
    }
}

#[test]
fn a_manifest_comes_back_as_it_was() {
    let bytes = sample().encode().unwrap();
    assert_eq!(Manifest::decode(&bytes).unwrap(), sample());
}

#[test]
fn a_manifest_can_be_read_with_cat() {
    let text = String::from_utf8(sample().encode().unwrap().to_vec()).unwrap();
    let lines = [
        "  \"format\": \"snapline-manifest\",",
        "  \"version\": 1,",
        "  \"checkpoint\": 12,",
        "  \"finished\": false,",
        "          \"received\": 5,",
    ];
    for line in lines {
        assert!(text.lines().any(|found| found == line), "{line:?} not in {text}");
    }
}

#[test]
fn a_newer_version_is_refused_by_name_and_another_format_is_damage() {
    let newer = DocumentFormat { version: 2, ..FORMAT };
    let error = Manifest::decode(&document::encode(newer, &sample()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.context("format version"), Some("2"));
    let other = DocumentFormat {
        name: "snapline-epoch",
        ..FORMAT
    };
    let error = Manifest::decode(&document::encode(other, &sample()).unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
}

#[test]
fn a_handle_with_an_impossible_range_is_damage() {
    let mut far = sample();
    far.operators.get_mut(&uid("sum")).unwrap().subtasks[0].keyed = vec![file("job/x", u64::MAX, 1)];
    let text = String::from_utf8(sample().encode().unwrap().to_vec()).unwrap();
    assert!(text.contains("\"end\": 64"), "{text}");
    let mut backwards: serde_json::Value = serde_json::to_value(sample()).unwrap();
    let keyed = &mut backwards["operators"]["sum"]["subtasks"][0]["keyed"][0];
    keyed["key_groups"] = serde_json::json!({"start": 9, "end": 3});
    for damaged in [
        far.encode().unwrap(),
        document::encode(FORMAT, &backwards).unwrap(),
    ] {
        assert_eq!(
            Manifest::decode(&damaged).unwrap_err().kind(),
            ErrorKind::Corrupted
        );
    }
}

#[test]
fn numbers_that_cannot_be_are_damage() {
    let mut backwards = sample();
    backwards.alignment = BarrierAlignment::AtLeastOnce;
    let run = RecordedRun { from: 5, to: 3 };
    backwards.cuts[0].cut.channels[0].recorded = vec![run];
    let mut last = sample();
    last.checkpoint = CheckpointId(u64::MAX);
    for damaged in [backwards, last] {
        let error = Manifest::decode(&damaged.encode().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
    }
}

#[test]
fn a_manifest_without_an_alignment_is_of_an_aligned_checkpoint() {
    let mut older = serde_json::to_value(sample()).unwrap();
    older.as_object_mut().unwrap().remove("alignment");
    let older = document::encode(FORMAT, &older).unwrap();
    assert_eq!(Manifest::decode(&older).unwrap(), sample());
}

#[test]
fn commits_come_oldest_first_and_only_those_that_are_not_done() {
    let of = |committed: Option<u64>| -> Vec<u64> {
        let commits = sample().commits_after(committed.map(CheckpointId));
        commits.iter().map(|commit| commit.checkpoint.0).collect()
    };
    assert_eq!(of(None), [10, 11, 12]);
    assert_eq!(of(Some(9)), [10, 11, 12]);
    assert_eq!(of(Some(10)), [11, 12]);
    assert_eq!(of(Some(12)), [0; 0]);
    assert_eq!(sample().own_commits(), [commit(12, "sink", 1, "part-2")]);
}

#[test]
fn the_maximum_parallelism_cannot_change() {
    sample().check_compatible(MaxParallelism::DEFAULT).unwrap();
    let error = sample()
        .check_compatible(MaxParallelism::new(64).unwrap())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("of the checkpoint: 128, of the job: 64"),
        "{error}"
    );
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(usize, u8),
    Set(usize, u8),
    Truncate(usize),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0..4096_usize;
    prop_oneof![
        (at.clone(), 1..=255_u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        at.clone().prop_map(Damage::Truncate),
        (at.clone(), 1..64_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        (at, 1..64_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let len = bytes.len().max(1);
    let end = |at: usize, count: usize| (at + count).min(bytes.len());
    match *damage {
        _ if bytes.is_empty() => {}
        Damage::Flip(at, bits) => bytes[at % len] ^= bits,
        Damage::Set(at, byte) => bytes[at % len] = byte,
        Damage::Truncate(at) => bytes.truncate(at % len),
        Damage::Remove(at, count) => {
            let range = at % len..end(at % len, count);
            bytes.drain(range);
        }
        Damage::Repeat(at, count) => {
            let part = bytes[at % len..end(at % len, count)].to_vec();
            bytes.splice(at % len..at % len, part);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_noticed_and_never_panics(damages in prop::collection::vec(damage(), 1..4)) {
        let mut bytes = sample().encode().unwrap().to_vec();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        match Manifest::decode(&bytes) {
            Ok(manifest) => prop_assert_eq!(manifest, sample()),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupted),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Manifest::decode(&bytes).is_err());
    }
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = sample().encode().unwrap();
    for len in 0..bytes.len() - 1 {
        assert!(Manifest::decode(&bytes[..len]).is_err(), "{len}");
    }
}
