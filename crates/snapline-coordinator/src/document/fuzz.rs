//! Whatever bytes are stored: an answer or an error, never a panic.

use super::*;
use crate::manifest::{self, Manifest};
use crate::store::AttemptInfo;
use crate::store::record::{Epoch, EpochRecord};
use proptest::prelude::*;
use serde_json::{Value, json};
use snapline_core::{CheckpointId, ErrorKind, MaxParallelism};

/// A document of each format, with everything in it that there can be.
fn samples() -> [(DocumentFormat, Value); 4] {
    let handle = |location: Value| {
        json!({
            "location": location, "len": 10, "checksum": 7, "key_groups": {"start": 0, "end": 64}, "kind": "full",
        })
    };
    let file = handle(json!({"file": {"key": "job/checkpoint/a7-e12/state/op/0-keyed", "offset": 3}}));
    let inline = handle(json!({"inline": "b2Zmc2V0cw=="}));
    let commit = json!({"checkpoint": 11, "operator": "sink", "subtask": 0, "committables": ["cGFydA=="]});
    let cut = json!({
        "task": {"operator": "op", "index": 0},
        "clock": {"task": 0, "clock": [4, 5]},
        "channels": [{"received": 3, "sent": 5, "recorded": [{"from": 3, "to": 5}]}],
    });
    let state = json!({
        "keyed": [file.clone()], "operator": inline, "channels": file, "committables": ["cGFydA=="], "finished": true,
    });
    let manifest = json!({
        "job": "job", "attempt": 7, "checkpoint": 12, "parent": 11, "kind": "suspend",
        "alignment": {"aligned-with-timeout": {"timeout_ms": 100}}, "finished": false, "created": 1_700_000,
        "max_parallelism": 128, "sizes": {"total": 30, "written": 20},
        "operators": {"op": {"name": "Op", "parallelism": 1, "subtasks": [state]}},
        "uncommitted": [commit], "cuts": [cut.clone(), cut],
    });
    let era = json!({
        "began": 4, "offset": 500,
        "origin": {"path": "sp/one", "location": "there", "identity": 99, "claim": "claim"},
    });
    let epoch = json!({
        "attempt": 7, "manifest": "job/checkpoint/a7-e12/manifest.json", "parent": 11, "era": era,
    });
    let attempt = json!({"host": "here", "nonce": 5, "started": 1_700_000, "parallelism": 4});
    let format = |name| DocumentFormat { name, version: 1 };
    [
        (manifest::FORMAT, manifest.clone()),
        (format("snapline-savepoint"), manifest),
        (format("snapline-epoch"), epoch),
        (format("snapline-attempt"), attempt),
    ]
}

/// Decodes, and does with the answer what a restore does before it reads any state.
fn read(format: DocumentFormat, bytes: &[u8]) -> Result<()> {
    match format.name {
        "snapline-epoch" => EpochRecord::decode(bytes).map(|record| {
            let newest = record.era.offset.checkpoint(Epoch(3));
            let _ = record.era.offset.beyond(newest, Epoch(3)).epoch(newest);
        }),
        "snapline-attempt" => AttemptInfo::decode(bytes).map(drop),
        _ => {
            let mut manifest = Manifest::decode_as(format, bytes)?;
            let _ = (
                manifest.verify_cut(),
                manifest.commits_after(Some(CheckpointId(3))),
            );
            let _ = manifest.check_compatible(MaxParallelism::DEFAULT);
            let _ = (manifest.files().count(), manifest.handles_mut().count());
            assert!(manifest.checkpoint.next() > manifest.checkpoint);
            Ok(())
        }
    }
}

fn is_an_answer(format: DocumentFormat, bytes: &[u8]) -> bool {
    let kind = read(format, bytes).map_err(|error| error.kind());
    matches!(
        kind,
        Ok(()) | Err(ErrorKind::Corrupted | ErrorKind::Unsupported | ErrorKind::Invalid)
    )
}

/// What may stand in the place of something else.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![
            Just(0),
            Just(1),
            Just(u64::MAX),
            Just(u64::MAX / 2),
            Just(u64::MAX / 2 + 1)
        ]
        .prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("../../etc/passwd")),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"file": {"key": "x", "offset": u64::MAX}})),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    Replace(Value),
    Remove,
    /// An element of a list, or a field under another name.
    Repeat,
}

fn change() -> impl Strategy<Value = (usize, Change)> {
    let change = prop_oneof![
        4 => odd().prop_map(Change::Replace),
        1 => Just(Change::Remove),
        1 => Just(Change::Repeat),
    ];
    (0..200_usize, change)
}

/// Counts down to the place of the change, depth first.
fn apply(value: &mut Value, at: &mut usize, change: &Change) -> bool {
    let keys: Vec<String> = match value {
        Value::Object(fields) => fields.keys().cloned().collect(),
        Value::Array(elements) => (0..elements.len()).map(|index| index.to_string()).collect(),
        _ => return false,
    };
    for key in keys {
        if *at == 0 {
            change_at(value, &key, change);
            return true;
        }
        *at -= 1;
        let child = match value {
            Value::Object(fields) => fields.get_mut(&key),
            Value::Array(elements) => key.parse().ok().and_then(|index: usize| elements.get_mut(index)),
            _ => None,
        };
        if child.is_some_and(|child| apply(child, at, change)) {
            return true;
        }
    }
    false
}

fn change_at(value: &mut Value, key: &str, change: &Change) {
    match (value, change) {
        (Value::Object(fields), Change::Replace(odd)) => drop(fields.insert(key.to_owned(), odd.clone())),
        (Value::Object(fields), Change::Remove) => drop(fields.remove(key)),
        (Value::Object(fields), Change::Repeat) => {
            let field = fields[key].clone();
            fields.insert(format!("{key}-2"), field);
        }
        (Value::Array(elements), change) => {
            let index: usize = key.parse().unwrap();
            match change {
                Change::Replace(odd) => elements[index] = odd.clone(),
                Change::Remove => drop(elements.remove(index)),
                Change::Repeat => elements.push(elements[index].clone()),
            }
        }
        _ => {}
    }
}

#[test]
fn the_samples_are_valid() {
    for (format, sample) in samples() {
        read(format, &encode(format, &sample).unwrap()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn a_document_that_is_whole_but_makes_no_sense_is_an_error(
        sample in 0..4_usize,
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let (format, mut value) = samples()[sample].clone();
        for (at, change) in &changes {
            apply(&mut value, &mut at.clone(), change);
        }
        let bytes = encode(format, &value).unwrap();
        prop_assert!(is_an_answer(format, &bytes), "{}", value);
    }

    #[test]
    fn arbitrary_bytes_are_an_error(sample in 0..4_usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (format, _) = samples()[sample].clone();
        prop_assert!(read(format, &bytes).is_err());
        prop_assert!(is_an_answer(format, &bytes));
    }

    #[test]
    fn a_frame_with_another_content_is_an_error(
        sample in 0..4_usize,
        version in any::<u32>(),
        name in "[a-z-]{0,20}",
        body in odd(),
    ) {
        let (format, value) = samples()[sample].clone();
        let newer = DocumentFormat { version, ..format };
        let found = read(format, &encode(newer, &value).unwrap());
        let expected = (version != format.version).then_some(ErrorKind::Unsupported);
        prop_assert_eq!(found.map_err(|error| error.kind()).err(), expected);
        prop_assert!(is_an_answer(format, &encode(format, &body).unwrap()));
        let document = json!({"format": name, "version": version, "crc32c": version, "body": body});
        prop_assert!(is_an_answer(format, document.to_string().as_bytes()));
    }
}
