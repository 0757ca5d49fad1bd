//! Jobs that leave checkpoints behind, and the program that looks at them.

use futures::executor::block_on;
use serde_json::Value;
use snapline::connector::{ChannelSender, Collected};
use snapline::dataflow::{CheckpointScope, SavepointRequest};
use snapline::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) type Counts = BTreeMap<String, u64>;

/// What the program has said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn snapline<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapline"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    Said {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Said {
    /// It has ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// It has failed with a message that has all of these parts.
    #[track_caller]
    pub(crate) fn error(self, code: i32, parts: &[&str]) {
        let said = self.with_code(code);
        for part in parts {
            assert!(said.err.contains(part), "{part:?} is missing: {said:#?}");
        }
    }

    /// The one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// A JSON document for each line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap();
        self.out.lines().map(parse).collect()
    }
}

/// A directory with checkpoints.
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

/// A job that counts the words that a test sends to it.
pub(crate) struct WordCount {
    feed: ChannelSender<String>,
    job: JobHandle,
    results: Collected<(String, u64)>,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The storage of the checkpoints.
    pub(crate) fn checkpoints(&self) -> String {
        self.text("checkpoints")
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn builder(&self) -> snapline::EnvironmentBuilder {
        let storage = FileCheckpointStorage::open(self.path("checkpoints")).unwrap();
        StreamExecutionEnvironment::builder().checkpoint_storage(storage)
    }

    /// A job whose checkpoints come so often.
    pub(crate) fn start(&self, builder: snapline::EnvironmentBuilder, interval: Duration) -> WordCount {
        let env = builder.build().unwrap();
        env.enable_checkpointing(interval);
        env.configure(|settings| {
            if let Some(checkpoints) = &mut settings.checkpoints {
                checkpoints.retained = 10_000;
            }
        });
        let (feed, source) = ChannelSource::bounded(1 << 16);
        let (sink, results) = CollectSink::new();
        env.from_source(source, "lines")
            .uid("lines")
            .flat_map(|line: String, words: &mut Collector<'_, (String, u64)>| {
                line.split_whitespace()
                    .for_each(|word| words.collect((word.to_owned(), 1)));
            })
            .key_by(|(word, _)| word.clone())
            .sum(|(_, count)| count)
            .uid("counts")
            .sink_to(sink)
            .uid("results");
        let job = block_on(env.execute_async("wordcount")).unwrap();
        WordCount { feed, job, results }
    }

    /// Counts these lines after those before, and stops with a checkpoint and a savepoint of this name.
    pub(crate) fn count(&self, parallelism: u32, lines: &[&str], savepoint: &str) {
        let job = self.start(self.builder().parallelism(parallelism), RARELY);
        job.send(lines);
        let request = SavepointRequest::new(savepoint).suspend();
        block_on(job.job.savepoint(request)).unwrap();
        block_on(job.job.wait()).unwrap();
    }
}

/// Too rare to come in the way.
pub(crate) const RARELY: Duration = Duration::from_secs(600);

impl WordCount {
    pub(crate) fn send(&self, lines: &[&str]) {
        let until = self.job.status().records + lines.len() as u64;
        for line in lines {
            block_on(self.feed.send((*line).to_owned())).unwrap();
        }
        self.wait_for(|status| status.records >= until);
    }

    /// Waits until a checkpoint is complete that was started after this.
    pub(crate) fn checkpoint(&self) {
        let done = self.job.status().checkpoints.completed;
        self.wait_for(|status| status.checkpoints.completed > done + 1);
    }

    /// Takes one at once that refers to no older files.
    pub(crate) fn full_checkpoint(&self) {
        block_on(self.job.checkpoint(CheckpointScope::Full)).unwrap();
    }

    /// As a crash would: nothing is written any more.
    pub(crate) fn stop(self) {
        self.job.cancel();
        let _ = block_on(self.job.wait());
    }

    /// Ends the input and returns the last count of each word.
    pub(crate) fn finish(self) -> Counts {
        drop(self.feed);
        block_on(self.job.wait()).unwrap();
        self.results.take().into_iter().collect()
    }

    fn wait_for(&self, wanted: impl Fn(&snapline::dataflow::JobStatus) -> bool) {
        for _ in 0..200_000_000_u64 {
            if wanted(&self.job.status()) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("the job never came to the wanted state: {:?}", self.job.status());
    }
}

/// Changes the manifest of a savepoint as somebody could who knows how its checksum is computed.
pub(crate) fn forge(manifest: &Path, version: u32, edit: impl FnOnce(&str) -> String) {
    let text = std::fs::read_to_string(manifest).unwrap();
    let (_, body) = text.split_once("\"body\": ").unwrap();
    let body = edit(body.trim_end().strip_suffix("\n}").unwrap());
    let format = "snapline-savepoint";
    let checksum = crc32c::crc32c(format!("{format}\n{version}\n{body}").as_bytes());
    let head = format!("{{\"format\": \"{format}\", \"version\": {version}, \"crc32c\": {checksum}, ");
    std::fs::write(manifest, format!("{head}\"body\": {body}\n}}\n")).unwrap();
}

/// So many different words.
pub(crate) fn many_words(count: usize) -> String {
    (0..count).map(|word| format!("word-{word} ")).collect()
}

/// The counts of all words that these lines have.
pub(crate) fn counts_of(lines: &[&str]) -> Counts {
    let mut counts = Counts::new();
    for word in lines.iter().flat_map(|line| line.split_whitespace()) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

/// The longest file of state below a folder.
pub(crate) fn longest_file(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_none_or(|extension| extension != "json") => files.push(path),
                false => {}
            }
        }
    }
    files
        .into_iter()
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap()
}
