//! The program on a real server that speaks S3.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use futures::executor::block_on;
use snapline::dataflow::CheckpointScope;
use snapline::prelude::*;
use snapline_state_object::ObjectCheckpointStorage;
use snapline_testkit::services::{S3, skip};
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const WORDS: usize = 5000;

/// Where the checkpoints are, and how the program gets there.
struct Place {
    url: String,
    variables: Vec<(&'static str, String)>,
}

impl Place {
    fn on(server: &S3) -> Self {
        let unique = RandomState::new().hash_one(std::process::id());
        let mut variables = vec![
            ("AWS_ENDPOINT", server.endpoint().to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ];
        if server.is_own() {
            variables.extend([
                ("AWS_ACCESS_KEY_ID", "key".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
            ]);
        }
        let url = format!("s3://{}/cli/{unique:x}", server.bucket());
        Self { url, variables }
    }

    fn storage(&self) -> ObjectCheckpointStorage {
        let mut builder = ObjectCheckpointStorage::builder(&self.url);
        for (name, value) in &self.variables {
            builder = builder.option(name.to_lowercase(), value);
        }
        block_on(builder.build()).unwrap()
    }

    /// What the program writes, when it ends with this code.
    #[track_caller]
    fn snapline(&self, code: i32, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_snapline"));
        command.args(arguments).stdin(Stdio::null());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{err}");
        format!("{out}{err}")
    }
}

/// Two checkpoints of a job that counts words.
fn count_words(place: &Place) {
    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(place.storage())
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_secs(600));
    let (feed, source) = ChannelSource::bounded(1 << 16);
    env.from_source(source, "words")
        .uid("words")
        .map(|word: String| (word, 1_u64))
        .key_by(|(word, _)| word.clone())
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(DiscardSink)
        .uid("results");
    let job = block_on(env.execute_async("wordcount")).unwrap();
    for round in 0..2 {
        for word in 0..WORDS {
            block_on(feed.send(format!("word-{}", word + round))).unwrap();
        }
        while job.status().records < ((round + 1) * WORDS) as u64 {
            std::thread::yield_now();
        }
        block_on(job.checkpoint(CheckpointScope::Full)).unwrap();
    }
    job.cancel();
    let _ = block_on(job.wait());
}

#[test]
fn checkpoints_in_a_bucket_are_listed_shown_verified_exported_copied_and_deleted() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let place = Place::on(&server);
    count_words(&place);
    let url = place.url.as_str();
    let of = |command: &str| place.snapline(0, &["checkpoint", command, url]);
    assert_eq!(of("list").matches("full-checkpoint").count(), 2);
    assert!(of("inspect").contains("counts"));
    assert!(of("verify").contains("whole"));
    let exported = of("export");
    let with = |field: &str| exported.lines().filter(|line| line.contains(field)).count();
    assert_eq!(with(r#""state":"#), WORDS + 1);
    assert_ne!(with(r#""list":"splits""#), 0, "{exported}");

    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("copy");
    let local = local.to_str().unwrap();
    place.snapline(0, &["checkpoint", "copy", url, local]);
    assert_eq!(place.snapline(0, &["savepoint", "export", local]), exported);
    let back = format!("{url}/back");
    place.snapline(0, &["savepoint", "copy", local, &back]);
    place.snapline(0, &["savepoint", "diff", local, local]);
    assert_eq!(place.snapline(0, &["savepoint", "export", &back]), exported);
    place.snapline(2, &["savepoint", "copy", local, &back]);
    place.snapline(0, &["savepoint", "delete", &back, "--yes"]);
    place.snapline(2, &["savepoint", "verify", &back]);

    let ids = place.snapline(0, &["checkpoint", "list", url, "--json"]);
    let ids: serde_json::Value = serde_json::from_str(&ids).unwrap();
    assert!(ids["checkpoints"][0]["took"].is_u64(), "{ids}");
    let older = ids["checkpoints"][1]["checkpoint"].to_string();
    place.snapline(0, &["checkpoint", "delete", url, &older, "--yes"]);
    of("verify");
    damage(Path::new(local));
    place.snapline(1, &["savepoint", "verify", local]);
}

#[test]
fn a_bucket_that_is_not_there_is_told() {
    let Ok(server) = S3::start("snapline").map_err(skip) else {
        return;
    };
    let place = Place::on(&server);
    let url = format!("s3://{}-missing/x", server.bucket());
    let said = place.snapline(2, &["checkpoint", "list", &url]);
    assert!(said.contains("there is no such bucket"), "{said}");
}

/// Turns a byte in the middle of the longest state file over.
fn damage(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_none_or(|extension| extension != "json"));
    let longest = files
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&longest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(longest, bytes).unwrap();
}
