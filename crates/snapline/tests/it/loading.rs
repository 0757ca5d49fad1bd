//! What is read, and what is done, before a job that comes back goes on.

use crate::counting::{Counting, counts_after, launch};
use crate::support::wait_for;
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use snapline::Result;
use snapline::backends::file::FileStateBackend;
use snapline::connector::{CollectedPart, Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline::core::{AttemptId, CheckpointId};
use snapline::dataflow::CheckpointScope;
use snapline::prelude::*;
use snapline::state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEYS: u64 = 150_000;
/// So many of them change between two checkpoints.
const CHANGED: u64 = 8_000;

/// A storage that counts how many bytes of each state file are read.
#[derive(Debug, Clone, Default)]
struct Watched {
    storage: MemoryCheckpointStorage,
    read: Arc<Mutex<BTreeMap<StorageKey, u64>>>,
}

impl Watched {
    /// How many bytes of each file were read since the last time.
    fn take(&self) -> BTreeMap<StorageKey, u64> {
        std::mem::take(&mut *self.read.lock().unwrap())
    }

    fn state_files(&self) -> Vec<StorageKey> {
        let mut keys = block_on(self.storage.list("", None)).unwrap();
        keys.retain(|key| key.as_str().contains("/state/"));
        keys
    }

    fn lengths(&self) -> BTreeMap<StorageKey, u64> {
        let length = |key: StorageKey| {
            let bytes = block_on(self.storage.get(&key, None)).unwrap().unwrap();
            (key, bytes.len() as u64)
        };
        self.state_files().into_iter().map(length).collect()
    }
}

#[async_trait]
impl CheckpointStorage for Watched {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        self.storage.location()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        self.storage.create(key, bytes).await
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        self.storage.put(key, content).await
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let bytes = self.storage.get(key, range).await?;
        if let Some(bytes) = bytes.as_ref().filter(|_| key.as_str().contains("/state/")) {
            *self.read.lock().unwrap().entry(key.clone()).or_default() += bytes.len() as u64;
        }
        Ok(bytes)
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        self.storage.list(prefix, after).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        self.storage.delete(keys).await
    }
}

fn environment(storage: &Watched, backend: &Option<FileStateBackend>) -> StreamExecutionEnvironment {
    let builder = StreamExecutionEnvironment::builder()
        .parallelism(1)
        .checkpoint_storage(storage.clone());
    let builder = match backend {
        Some(backend) => builder.state_backend(backend.clone()),
        None => builder,
    };
    let env = builder.build().unwrap();
    env.enable_checkpointing(Duration::from_secs(600));
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.retained = 10;
        }
    });
    env
}

/// A full checkpoint and one of changes, which needs it.
fn two_checkpoints(env: &StreamExecutionEnvironment) {
    let job = Counting::start(env, "counting", KEYS);
    for count in [KEYS, CHANGED] {
        job.feed(0..count);
        block_on(job.job().checkpoint(CheckpointScope::Usual)).unwrap();
    }
    job.stop();
}

#[test]
fn each_byte_of_state_is_read_once_when_a_process_takes_over() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = |name: &str| FileStateBackend::builder(directory.path().join(name)).build();
    for (before, after) in [(None, None), (Some(on_disk("before")), Some(on_disk("after")))] {
        let storage = Watched::default();
        two_checkpoints(&environment(&storage, &before));
        drop(before);
        storage.take();
        let lengths = storage.lengths();
        assert!(lengths.len() >= 2, "{lengths:?}");
        let job = Counting::start(&environment(&storage, &after), "counting", KEYS);
        job.feed(0..10);
        assert_eq!(storage.take(), lengths);
        assert_eq!(job.finish(), counts_after(&[KEYS, CHANGED, 10], KEYS));
    }
}

#[test]
fn who_goes_on_with_the_files_on_the_disk_reads_one_byte_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let backend = Some(FileStateBackend::builder(directory.path()).build());
    let storage = Watched::default();
    two_checkpoints(&environment(&storage, &backend));
    storage.take();
    let ones = storage.state_files().into_iter().map(|key| (key, 1)).collect();
    let job = Counting::start(&environment(&storage, &backend), "counting", KEYS);
    job.feed(0..10);
    assert_eq!(storage.take(), ones);
    assert_eq!(job.finish(), counts_after(&[KEYS, CHANGED, 10], KEYS));
}

/// A sink that notes when it is told to recover, and when a writer is opened.
struct Noting {
    inner: CollectSink<(u64, u64)>,
    notes: Notes,
}

type Notes = Arc<Mutex<Vec<String>>>;

struct NotingCommitter {
    inner: Box<dyn Committer<CollectedPart<(u64, u64)>>>,
    notes: Notes,
}

impl Sink<(u64, u64)> for Noting {
    type Committable = CollectedPart<(u64, u64)>;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<(u64, u64), Self::Committable>>> {
        self.notes.lock().unwrap().push("writer".to_owned());
        self.inner.writer(context)
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<Self::Committable>>> {
        Ok(Box::new(NotingCommitter {
            inner: self.inner.committer(context)?,
            notes: self.notes.clone(),
        }))
    }
}

#[async_trait]
impl Committer<CollectedPart<(u64, u64)>> for NotingCommitter {
    async fn commit(&mut self, parts: Vec<CollectedPart<(u64, u64)>>) -> Result<()> {
        self.inner.commit(parts).await
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let restored = restored.map(|checkpoint| checkpoint.0);
        self.notes.lock().unwrap().push(format!("recover {restored:?}"));
        self.inner.recover(attempt, restored.map(CheckpointId)).await
    }
}

/// What a sink is told when the job comes back.
fn notes_of(storage: &Watched) -> Vec<String> {
    let notes = Notes::default();
    let sink = Noting {
        inner: CollectSink::new().0,
        notes: notes.clone(),
    };
    let (feed, job) = launch(&environment(storage, &None), "counting", KEYS, sink);
    block_on(feed.send(1)).unwrap();
    wait_for(&job, |status| {
        status.records > 0 || status.state == JobState::Failed
    });
    job.cancel();
    let _ = block_on(job.wait());
    let notes = notes.lock().unwrap();
    notes.clone()
}

/// The checkpoint with which a sink recovered before a writer was opened. Its number is not known, because one that was given up
/// had a number as well.
fn restored(notes: &[String]) -> u64 {
    let [recover, writer] = notes else {
        panic!("{notes:?}");
    };
    assert_eq!(writer, "writer");
    let number = recover
        .strip_prefix("recover Some(")
        .and_then(|rest| rest.strip_suffix(')'));
    number.unwrap().parse().unwrap()
}

#[test]
fn no_output_is_touched_before_it_is_certain_what_is_restored() {
    let storage = Watched::default();
    two_checkpoints(&environment(&storage, &None));
    let newest = restored(&notes_of(&storage));
    let mut files = storage.state_files();
    let newest_file = files.pop().unwrap();
    block_on(storage.delete(&[newest_file])).unwrap();
    assert!(restored(&notes_of(&storage)) < newest);
    block_on(storage.delete(&files)).unwrap();
    assert!(notes_of(&storage).is_empty());
}
