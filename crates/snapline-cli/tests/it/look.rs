//! Commands that only read.

use crate::support::{Counts, Home, RARELY, counts_of, longest_file, many_words, snapline};
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use snapline::prelude::{CollectionSource, DiscardSink, FileSink};
use std::time::Duration;

const FIRST: [&str; 2] = ["a rose is a rose", "is a rose"];
const SECOND: [&str; 1] = ["a daisy"];

/// Two checkpoints and two savepoints of a job.
fn two() -> Home {
    let home = Home::new();
    home.count(2, &FIRST, "savepoints/one");
    home.count(2, &SECOND, "savepoints/two");
    home
}

/// The ids of all checkpoints, newest first.
pub(crate) fn ids(home: &Home) -> Vec<u64> {
    let listed = snapline(["checkpoint", "list", &home.checkpoints(), "--json"]);
    let listed = listed.json()["checkpoints"].as_array().unwrap().clone();
    let readable = listed.iter().filter(|row| row["state"] == "readable");
    readable.map(|row| row["checkpoint"].as_u64().unwrap()).collect()
}

/// The counts that an export shows.
pub(crate) fn exported(lines: &[Value]) -> Counts {
    let mut counts = Counts::new();
    for line in lines.iter().filter(|line| line["state"].is_string()) {
        assert_eq!(line["operator"], "counts");
        let word = line["key"].as_str().unwrap().to_owned();
        let value = &line["value"];
        let count = value.as_u64().or_else(|| value[1].as_u64()).unwrap();
        assert!(counts.insert(word, count).is_none(), "a key is there twice");
    }
    counts
}

#[test]
fn all_checkpoints_are_listed_newest_first() {
    let home = two();
    let listed = snapline(["checkpoint", "list", &home.checkpoints()]).with_code(0);
    let lines: Vec<&str> = listed.out.lines().collect();
    assert_eq!(lines.len(), 3, "{listed:#?}");
    assert!(lines[0].starts_with("JOB") && lines[0].contains("CHECKPOINT"));
    assert!(
        lines[1..]
            .iter()
            .all(|line| line.starts_with("wordcount") && line.ends_with("readable"))
    );
    let ids = ids(&home);
    assert!(ids.len() == 2 && ids[0] > ids[1], "{ids:?}");

    let savepoints = snapline(["savepoint", "list", &home.checkpoints(), "--json"]).with_code(0);
    let paths = savepoints.json()["savepoints"].clone();
    let paths: Vec<&Value> = paths.as_array().unwrap().iter().map(|row| &row["path"]).collect();
    assert_eq!(paths, ["savepoints/one", "savepoints/two"]);
}

#[test]
fn looking_changes_nothing_in_the_directory() {
    let home = two();
    let unfinished = home.path("checkpoints/.tmp");
    std::fs::remove_dir_all(&unfinished).unwrap();
    for verb in ["list", "inspect", "verify", "export"] {
        snapline(["checkpoint", verb, &home.checkpoints()]).with_code(0);
    }
    assert!(!unfinished.exists());
}

#[test]
fn kinds_are_named_as_in_the_manifest() {
    let home = Home::new();
    let job = home.start(home.builder(), RARELY);
    job.send(&FIRST);
    job.full_checkpoint();
    job.stop();
    for command in ["list", "inspect"] {
        // The exit code is another matter: an earlier checkpoint that the stop has cut off is listed too.
        let shown = snapline(["checkpoint", command, &home.checkpoints()]);
        assert!(shown.out.contains("full-checkpoint"), "{shown:#?}");
    }
}

#[test]
fn a_checkpoint_shows_its_operators_states_and_files() {
    let home = two();
    let url = format!("file://{}", home.checkpoints());
    for arguments in [
        vec!["checkpoint", "inspect", &home.checkpoints(), "--json"],
        vec!["checkpoint", "inspect", &url, "--job", "wordcount", "--json"],
        vec![
            "savepoint",
            "inspect",
            &home.text("checkpoints/savepoints/two"),
            "--json",
        ],
    ] {
        let document = snapline(arguments).with_code(0).json();
        let states = document["states"].as_array().unwrap();
        assert_eq!(states.len(), 1, "{document:#}");
        assert_eq!(states[0]["operator"], "counts");
        assert_eq!(states[0]["key"], "String");
        assert_eq!(states[0]["entries"], 4);
        assert_eq!(states[0]["schema"], "known");
        let operators = document["operators"].as_array().unwrap();
        assert!(
            operators
                .iter()
                .any(|row| row["operator"] == "counts" && row["parallelism"] == 2)
        );
        assert!(!document["files"].as_array().unwrap().is_empty());
    }
    let table = snapline(["checkpoint", "inspect", &home.checkpoints()])
        .with_code(0)
        .out;
    for part in [
        "checkpoint:",
        "max parallelism",
        "operators:",
        "states:",
        "files:",
        "counts",
        "String",
    ] {
        assert!(table.contains(part), "{part:?} is missing in {table}");
    }
}

#[test]
fn a_checkpoint_shows_its_lists_and_what_its_sinks_have_to_commit() {
    let home = Home::new();
    std::fs::write(home.path("text"), "a rose\nis a rose\n").unwrap();
    let env = home.builder().build().unwrap();
    env.enable_checkpointing(RARELY);
    env.read_text_file(&home.text("text"))
        .sink_to(FileSink::lines(home.path("lines")));
    block_on(env.execute("copying")).unwrap();
    let document = snapline(["checkpoint", "inspect", &home.checkpoints(), "--json"])
        .with_code(0)
        .json();
    assert_eq!(document["lists"][0]["list"], "opened", "{document:#}");
    assert!(
        document["committables"][0]["bytes"].as_u64().unwrap() > 0,
        "{document:#}"
    );
    let kind = document["checkpoint"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["property"] == "kind");
    assert_eq!(kind.unwrap()["value"], "final");
}

#[test]
fn an_export_has_every_word_with_its_count() {
    let home = two();
    let newest = snapline(["checkpoint", "export", &home.checkpoints(), "--json"]).with_code(0);
    assert_eq!(
        exported(&newest.lines()),
        counts_of(&[&FIRST[..], &SECOND].concat())
    );
    let older = ids(&home)[1].to_string();
    let first = [
        "checkpoint",
        "export",
        &home.checkpoints(),
        "--checkpoint",
        &older,
    ];
    assert_eq!(exported(&snapline(first).with_code(0).lines()), counts_of(&FIRST));
    let one = home.text("checkpoints/savepoints/one");
    let of_savepoint = snapline(["savepoint", "export", &one, "--operator", "counts"]).with_code(0);
    assert_eq!(exported(&of_savepoint.lines()), counts_of(&FIRST));
    let nothing = snapline(["savepoint", "export", &one, "--state", "other"]).with_code(0);
    assert_eq!(nothing.out, "");
    snapline(["savepoint", "export", &one, "--operator", "other"])
        .error(2, &["no state of such an operator", "counts"]);
}

/// Cannot be made up: a schema of it is not known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32")]
struct Picky(u32);

impl TryFrom<u32> for Picky {
    type Error = &'static str;

    fn try_from(number: u32) -> Result<Self, &'static str> {
        match number {
            42.. => Ok(Self(number)),
            _ => Err("too small"),
        }
    }
}

#[test]
fn keys_and_values_without_a_schema_are_shown_as_bytes() {
    let home = Home::new();
    let env = home.builder().build().unwrap();
    env.enable_checkpointing(RARELY);
    env.from_source(CollectionSource::new(vec![42_u32, 43, 42]), "numbers")
        .map(|number| (Picky(number), 1_u64))
        .key_by(|(number, _)| number.clone())
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(DiscardSink);
    block_on(env.execute("picky")).unwrap();
    let mut lines = snapline(["checkpoint", "export", &home.checkpoints()])
        .with_code(0)
        .lines();
    lines.retain(|line| line["operator"] == "counts");
    lines.sort_by_key(|line| line["key_bytes"].to_string());
    let line = |key: &str, value: &str| json!({"operator": "counts", "state": lines[0]["state"], "key_bytes": key, "value_bytes": value});
    assert_eq!(lines, [line("0x2a", "0x02"), line("0x2b", "0x01")]);
    let document = snapline(["checkpoint", "inspect", &home.checkpoints(), "--json"]).json();
    assert_eq!(document["states"][0]["schema"], "unknown");
}

#[test]
fn a_difference_is_exactly_the_changed_keys() {
    let home = two();
    let ids = ids(&home);
    let (older, newer) = (ids[1].to_string(), ids[0].to_string());
    let diff = [
        "checkpoint",
        "diff",
        &home.checkpoints(),
        &older,
        &newer,
        "--json",
    ];
    let mut lines = snapline(diff).with_code(1).lines();
    let last = lines.pop().unwrap();
    assert_eq!(last["differs"], true);
    let totals = last["totals"].as_array().unwrap();
    let of_counts = totals.iter().find(|row| row["operator"] == "counts").unwrap();
    let numbers = ["added", "removed", "changed", "same"].map(|name| of_counts[name].as_u64().unwrap());
    assert_eq!(numbers, [1, 0, 1, 2]);
    lines.sort_by_key(|line| line["key"].to_string());
    assert_eq!(lines.len(), 2, "{lines:?}");
    let what = |line: &Value| json!([line["change"], line["key"]]);
    assert_eq!(what(&lines[0]), json!(["changed", "a"]));
    assert_eq!(what(&lines[1]), json!(["added", "daisy"]));
    assert_ne!(lines[0]["before"], lines[0]["after"]);

    let back = [
        "checkpoint",
        "diff",
        &home.checkpoints(),
        &newer,
        &older,
        "--limit",
        "1",
    ];
    let back = snapline(back).with_code(1).out;
    assert!(back.contains("and 1 more"), "{back}");
    let same = ["checkpoint", "diff", &home.checkpoints(), &newer, &newer];
    snapline(same).with_code(0);
    let (one, two) = (
        home.text("checkpoints/savepoints/one"),
        home.text("checkpoints/savepoints/two"),
    );
    snapline(["savepoint", "diff", &one, &two, "--operator", "counts"]).with_code(1);
}

#[test]
fn damage_is_found_and_named() {
    let home = Home::new();
    home.count(1, &[&many_words(5000)], "savepoints/one");
    let verify = ["checkpoint", "verify", &home.checkpoints(), "--json"];
    let whole = snapline(verify).with_code(0).json();
    assert_eq!(whole["whole"], true);
    assert_eq!(whole["entries"], 5000);
    assert_eq!(whole["cut"]["consistent"], true);

    let file = longest_file(&home.path("checkpoints/wordcount"));
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for (damaged, message) in [(&flipped[..], "checksum"), (&good[..good.len() - 1], "too short")] {
        std::fs::write(&file, damaged).unwrap();
        let found = snapline(verify).with_code(1).json();
        let damage = found["damage"][0].as_str().unwrap().to_owned();
        assert!(
            damage.contains(message) && damage.contains("wordcount/"),
            "{damage}"
        );
        let text = snapline(&verify[..3]).with_code(1).out;
        assert!(text.contains("NOT whole"), "{text}");
    }
    std::fs::write(&file, good).unwrap();
    snapline(verify).with_code(0);
}

#[test]
fn a_checkpoint_of_changes_shows_what_it_inherits() {
    let home = incremental();
    let document = snapline(["checkpoint", "inspect", &home.checkpoints(), "--json"]).json();
    let files = document["files"].as_array().unwrap();
    let origin = |row: &Value| row["origin"].as_str().unwrap().to_owned();
    assert!(
        files
            .iter()
            .any(|row| origin(row).starts_with("inherited from a1-e")),
        "{files:#?}"
    );
    assert!(files.iter().any(|row| row["kind"] == "delta"), "{files:#?}");
    let exported = exported(&snapline(["checkpoint", "export", &home.checkpoints()]).lines());
    assert_eq!(
        exported,
        counts_of(&[&many_words(5000), "word-7 word-8", "word-8"])
    );
    snapline(["checkpoint", "verify", &home.checkpoints()]).with_code(0);
}

/// The newest checkpoint has files of one that is still there.
pub(crate) fn incremental() -> Home {
    let home = Home::new();
    let builder = home.builder().parallelism(1);
    let job = home.start(builder, Duration::from_millis(20));
    job.send(&[&many_words(5000)]);
    job.checkpoint();
    job.send(&["word-7 word-8"]);
    job.checkpoint();
    job.send(&["word-8"]);
    job.checkpoint();
    job.stop();
    home
}

#[test]
fn what_is_not_there_is_told_with_what_is() {
    let home = two();
    let storage = home.checkpoints();
    let newest = ids(&home)[0].to_string();
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["checkpoint", "list", "/no/such/directory"],
            &["no such directory", "/no/such/directory"],
        ),
        (
            &["checkpoint", "inspect", &storage, "--job", "other"],
            &["no such job", "wordcount"],
        ),
        (
            &["checkpoint", "inspect", &storage, "--checkpoint", "999"],
            &["no such checkpoint", &newest],
        ),
        (
            &["savepoint", "inspect", &home.text("checkpoints/savepoints/three")],
            &["no savepoint at this path"],
        ),
        (&["checkpoint", "list"], &["STORAGE"]),
        (
            &[
                "savepoint",
                "inspect",
                &home.text("checkpoints/savepoints/drei äpfel"),
            ],
            &["ASCII"],
        ),
    ];
    for (arguments, parts) in cases {
        snapline(arguments).error(2, parts);
    }
    let manifest = home.path("checkpoints/savepoints/one/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"created\"", "\"greated\"")).unwrap();
    snapline(["savepoint", "verify", &home.text("checkpoints/savepoints/one")]).error(1, &["checksum"]);
    let help = snapline(["checkpoint", "verify", "--help"]).with_code(0).out;
    assert!(help.contains("Exit codes"), "{help}");
}
