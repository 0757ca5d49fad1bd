//! Savepoints that nothing of this version has written, and readers that go away.

use crate::support::{Home, forge, longest_file, many_words, snapline};
use serde_json::{Value, json};
use snapline::core::{OperatorUid, SubtaskIndex};
use snapline::state::{ChannelOrigin, ChannelState, HandleKind, RecordedChannel, StateHandle};
use std::io::Read;
use std::process::{Command, Stdio};

fn savepoint(parallelism: u32) -> (Home, String) {
    let home = Home::new();
    home.count(parallelism, &[&many_words(5000)], "savepoints/one");
    let path = home.text("checkpoints/savepoints/one");
    (home, path)
}

#[test]
fn a_damaged_block_is_found_also_when_the_checksum_of_its_file_is_right() {
    let (home, path) = savepoint(1);
    let file = longest_file(&home.path("checkpoints/savepoints"));
    let mut bytes = std::fs::read(&file).unwrap();
    let manifest = home.path("checkpoints/savepoints/one/manifest.json");
    let rewritten = |bytes: &[u8], old: u32| {
        std::fs::write(&file, bytes).unwrap();
        let (from, to) = (
            format!("\"checksum\": {old}"),
            format!("\"checksum\": {}", crc32c::crc32c(bytes)),
        );
        forge(&manifest, 1, |body| {
            assert!(body.contains(&from));
            body.replace(&from, &to)
        });
    };
    let whole = crc32c::crc32c(&bytes);
    rewritten(&bytes, whole);
    snapline(["savepoint", "verify", &path]).with_code(0);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    rewritten(&bytes, whole);
    let found = snapline(["savepoint", "verify", &path, "--json"])
        .with_code(1)
        .json();
    let damage = found["damage"][0].as_str().unwrap();
    assert!(
        damage.contains("block") && damage.contains("operator: counts"),
        "{damage}"
    );
    assert_eq!(found["cut"]["consistent"], true);
}

#[test]
fn a_cut_that_lacks_a_batch_is_not_consistent() {
    let (home, path) = savepoint(2);
    let manifest = home.path("checkpoints/savepoints/one/manifest.json");
    forge(&manifest, 1, |body| {
        let (before, rest) = body.split_once("\"sent\": ").unwrap();
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        format!("{before}\"sent\": 1000000{}", &rest[digits..])
    });
    let found = snapline(["savepoint", "verify", &path, "--json"])
        .with_code(1)
        .json();
    assert_eq!(found["cut"]["consistent"], false, "{found}");
    let text = snapline(["savepoint", "verify", &path]).with_code(1).out;
    assert!(text.contains("NOT consistent"), "{text}");
}

#[test]
fn records_in_flight_are_shown_and_not_rescaled() {
    let (home, path) = savepoint(1);
    let channel = RecordedChannel {
        origin: ChannelOrigin {
            operator: OperatorUid::new("lines").unwrap(),
            subtask: SubtaskIndex(0),
            input: 0,
        },
        batches: vec![b"one".as_slice().into(), b"three".as_slice().into()],
    };
    let state = ChannelState {
        channels: vec![channel],
    };
    let bytes = state.encode().unwrap().concat().into();
    let handle = StateHandle::inline(bytes, HandleKind::ChannelState, None);
    forge(
        &home.path("checkpoints/savepoints/one/manifest.json"),
        1,
        |body| {
            let mut body: Value = serde_json::from_str(body).unwrap();
            body["operators"]["counts"]["subtasks"][0]["channels"] = serde_json::to_value(&handle).unwrap();
            body.to_string()
        },
    );
    let document = snapline(["savepoint", "inspect", &path, "--json"])
        .with_code(0)
        .json();
    let channel = json!({"operator": "counts", "subtask": 0, "from": "lines/0", "batches": 2, "bytes": 8});
    assert_eq!(document["channels"], json!([channel]));
    let to = home.text("checkpoints/savepoints/two");
    let rescale = ["savepoint", "rescale", "--max-parallelism", "9", &path, &to];
    snapline(rescale).error(2, &["in flight", "operator: counts"]);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (home, path) = savepoint(1);
    forge(
        &home.path("checkpoints/savepoints/one/manifest.json"),
        2,
        str::to_owned,
    );
    for verb in ["inspect", "verify", "export"] {
        snapline(["savepoint", verb, &path]).error(2, &["newer version of Snapline", "savepoints/one"]);
    }
}

#[test]
fn a_reader_may_go_away() {
    let (_home, path) = savepoint(1);
    let mut child = Command::new(env!("CARGO_BIN_EXE_snapline"))
        .args(["savepoint", "export", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}
