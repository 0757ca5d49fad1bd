//! A folder that is watched for new files while the job runs, stops and goes on.

use crate::support::{environment, run, wait_for};
use async_trait::async_trait;
use futures::executor::block_on;
use snapline::connector::{
    DiscoveredSplits, DiscoveryContext, ReaderContext, SeenSplits, Source, SourceReader, SplitEnumerator,
};
use snapline::connectors::file::FileSplit;
use snapline::prelude::*;
use snapline::{Error, Result};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const LINES: u64 = 500;

/// A folder into which files come, whole.
struct Inbox(TempDir);

impl Inbox {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn receive(&self, file: u64) {
        receive(self.path(), file);
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn source(&self) -> FileSource<String> {
        FileSource::lines(self.path())
            .watch(Duration::from_millis(5))
            .until_exists(self.path().join(".end"))
    }
}

fn env(
    inbox: &Inbox,
    parallelism: u32,
    storage: &MemoryCheckpointStorage,
    sink: CollectSink<String>,
) -> StreamExecutionEnvironment {
    let env = environment(parallelism, storage.clone());
    env.from_source(inbox.source(), "inbox").rebalance().sink_to(sink);
    env
}

/// A file with so many numbers comes into a folder, whole.
fn receive(folder: &Path, file: u64) {
    let numbers = (file * LINES..(file + 1) * LINES).map(|number| format!("{number}\n"));
    let hidden = folder.join(".coming");
    fs::write(&hidden, numbers.collect::<String>()).unwrap();
    fs::rename(hidden, folder.join(format!("{file}.log"))).unwrap();
}

fn all(files: u64) -> Vec<u64> {
    (0..files * LINES).collect()
}

fn numbers(lines: Vec<String>) -> Vec<u64> {
    let mut numbers: Vec<u64> = lines.iter().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn files_that_come_while_a_job_runs_stops_and_goes_on_are_read_once() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    inbox.receive(0);
    let mut files = 1;
    for parallelism in [1, 3, 2] {
        let env = env(&inbox, parallelism, &storage, sink.clone());
        let job = block_on(env.execute_async("test")).unwrap();
        for _ in 0..2 {
            inbox.receive(files);
            files += 1;
            let before = job.status().checkpoints.completed;
            wait_for(&job, |status| status.checkpoints.completed >= before + 3);
        }
        job.cancel();
        let _ = block_on(job.wait());
        // What was read to its end may be taken away; what comes while nobody looks is read as well.
        inbox.receive(files);
        files += 1;
    }
    fs::write(inbox.path().join(".end"), "").unwrap();
    run(&env(&inbox, 2, &storage, sink)).unwrap();
    assert_eq!(numbers(results.take()), all(files));
}

#[test]
fn a_job_waits_for_files_until_it_is_told_that_none_will_come() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    let job = block_on(env(&inbox, 2, &storage, sink).execute_async("test")).unwrap();
    wait_for(&job, |status| status.checkpoints.completed >= 3);
    assert_eq!(
        job.status().state,
        JobState::Running,
        "there is nothing to read, and it runs"
    );
    inbox.receive(0);
    inbox.receive(1);
    fs::write(inbox.path().join(".end"), "").unwrap();
    block_on(job.wait()).unwrap();
    assert_eq!(numbers(results.take()), all(2));
}

#[test]
fn a_folder_that_vanishes_fails_the_job_with_its_name() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let env = env(&inbox, 1, &storage, CollectSink::new().0);
    env.configure(|settings| settings.restart = Some(RestartSettings::None));
    let job = block_on(env.execute_async("test")).unwrap();
    wait_for(&job, |status| status.checkpoints.completed >= 1);
    fs::remove_dir_all(inbox.path()).unwrap();
    let error = block_on(job.wait()).unwrap_err();
    assert_eq!(error.kind(), snapline::ErrorKind::Invalid);
    let text = error.to_string();
    assert!(
        text.contains(inbox.path().to_str().unwrap()) && text.contains("inbox"),
        "{text}"
    );
}

/// An inbox that cannot be looked at sometimes: one look panics, and another one says that it failed.
struct Flighty {
    inner: FileSource<String>,
    looks: Arc<AtomicU64>,
}

struct FlightyEnumerator {
    inner: Box<dyn SplitEnumerator<FileSplit>>,
    looks: Arc<AtomicU64>,
}

impl Source for Flighty {
    type Item = String;
    type Split = FileSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<FileSplit>>> {
        Ok(Box::new(FlightyEnumerator {
            inner: self.inner.enumerator()?,
            looks: self.looks.clone(),
        }))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn reader(&self, context: ReaderContext) -> Result<Box<dyn SourceReader<String, FileSplit>>> {
        self.inner.reader(context)
    }
}

#[async_trait]
impl SplitEnumerator<FileSplit> for FlightyEnumerator {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<FileSplit>> {
        self.inner.discover(context).await
    }

    async fn discover_new(
        &mut self,
        context: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<FileSplit>> {
        let found = self.inner.discover_new(context, seen).await?;
        match self.looks.fetch_add(1, Ordering::SeqCst) {
            3 => Err(Error::unavailable("the inbox cannot be looked at")),
            6 => panic!("planned"),
            _ => Ok(found),
        }
    }
}

#[test]
fn a_look_that_fails_is_repeated_and_one_that_panics_restarts_the_job() {
    let (inbox, storage) = (Inbox::new(), MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    let looks = Arc::<AtomicU64>::default();
    let source = Flighty {
        inner: inbox.source(),
        looks: looks.clone(),
    };
    let env = environment(2, storage);
    env.from_source(source, "inbox").rebalance().sink_to(sink);
    let job = block_on(env.execute_async("test")).unwrap();
    for file in 0..5 {
        inbox.receive(file);
        wait_for(&job, |_| looks.load(Ordering::SeqCst) > 2 * file);
    }
    wait_for(&job, |status| status.restarts > 0);
    fs::write(inbox.path().join(".end"), "").unwrap();
    let status = block_on(job.wait()).unwrap().status;
    assert!(
        status.incidents.iter().any(|incident| incident.contains("inbox")),
        "{:?}",
        status.incidents
    );
    assert_eq!(numbers(results.take()), all(5));
}

mod killed {
    //! A process that reads an inbox and is killed, again and again.

    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    /// Where the process finds its inbox and keeps its checkpoints and results.
    const ROOT: &str = "SNAPLINE_WATCHED_ROOT";

    fn job(root: &Path, parallelism: u32) -> StreamExecutionEnvironment {
        let storage = FileCheckpointStorage::open(root.join("checkpoints")).unwrap();
        let env = environment(parallelism, storage);
        let source = FileSource::lines(root.join("inbox"))
            .watch(Duration::from_millis(2))
            .until_exists(root.join("end"));
        env.from_source(source, "inbox")
            .rebalance()
            .sink_to(FileSink::lines(root.join("results")));
        env
    }

    #[test]
    #[ignore = "the test below starts it and kills it"]
    fn a_process_says_when_it_has_a_checkpoint() {
        let Ok(root) = std::env::var(ROOT) else { return };
        let job = block_on(job(Path::new(&root), 2).execute_async("test")).unwrap();
        for count in 1.. {
            wait_for(&job, |status| status.checkpoints.completed >= count);
            println!("checkpoint {count}");
        }
    }

    /// Starts the process, and lets it come so far.
    fn start(root: &Path, checkpoints: usize) -> Child {
        let worker = "watched_files::killed::a_process_says_when_it_has_a_checkpoint";
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", worker, "--ignored", "--nocapture"])
            .env(ROOT, root)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let reached = said
            .map_while(std::io::Result::ok)
            .filter(|line| line.contains("checkpoint "));
        assert_eq!(
            reached.take(checkpoints).count(),
            checkpoints,
            "it ended by itself"
        );
        process
    }

    #[test]
    fn files_that_come_while_a_process_is_killed_again_and_again_are_read_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("inbox");
        fs::create_dir(&folder).unwrap();
        for file in 0..8 {
            receive(&folder, 2 * file);
            let mut process = start(root.path(), 1 + file as usize % 3);
            receive(&folder, 2 * file + 1);
            process.kill().unwrap();
            process.wait().unwrap();
        }
        fs::write(root.path().join("end"), "").unwrap();
        run(&job(root.path(), 3)).unwrap();
        let mut lines = Vec::new();
        for entry in fs::read_dir(root.path().join("results")).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with("part-") {
                lines.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
            }
        }
        assert_eq!(numbers(lines), all(16));
    }
}
