//! The sink on a store in memory.

use super::*;
use futures::executor::block_on;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, SubtaskIndex};
use snapline_testkit::sink::{Record, Subject};

fn encode(record: &Record, buffer: &mut Vec<u8>) {
    buffer.extend(format!("{} {}\n", record.key, record.value).into_bytes());
}

fn decode(line: &str) -> Record {
    let (key, value) = line.split_once(' ').unwrap();
    Record {
        key: key.parse().unwrap(),
        value: value.parse().unwrap(),
    }
}

/// All objects with their content; those of the sink itself apart.
fn objects(store: &InMemory) -> (Vec<String>, Vec<String>) {
    use futures::TryStreamExt;
    let all = block_on(store.list(None).try_collect::<Vec<_>>()).unwrap();
    let names = all.into_iter().map(|object| object.location);
    let (own, visible): (Vec<_>, Vec<_>) = names.partition(|name| name.as_ref().contains("/_snapline/"));
    let content = |path: Path| {
        let bytes = block_on(async { store.get(&path).await.unwrap().bytes().await.unwrap() });
        String::from_utf8(bytes.to_vec()).unwrap()
    };
    let visible = visible.into_iter().map(content).collect();
    (visible, own.iter().map(ToString::to_string).collect())
}

fn visible(store: &InMemory) -> Vec<Record> {
    let (visible, _) = objects(store);
    visible
        .iter()
        .flat_map(|object| object.lines())
        .map(decode)
        .collect()
}

/// A subject whose parts and objects are this long.
fn subject(part_size: usize, roll_at: u64) -> Subject {
    subject_of(move |sink| sink.part_size(part_size).roll_at(roll_at))
}

/// A subject with these settings.
fn subject_of(with: impl Fn(ObjectSink<Record>) -> ObjectSink<Record> + Send + Sync + 'static) -> Subject {
    let store = Arc::new(InMemory::new());
    let (read, listed) = (store.clone(), store.clone());
    let open = move || with(ObjectSink::over(store.clone(), "out", encode).unwrap());
    let left = move || {
        let (_, mut own) = objects(&listed);
        own.retain(|name| name.contains("/uploads/"));
        own
    };
    Subject::exactly_once(open, move || visible(&read)).left_behind(left)
}

snapline_testkit::sink_suite!(one_object_each, subject(1 << 20, 128 << 20));
snapline_testkit::sink_suite!(small_parts, subject(5, 1 << 10));
snapline_testkit::sink_suite!(small_objects, subject(10, 20));
snapline_testkit::sink_suite!(
    folders,
    subject_of(|sink| by_digit(sink.part_size(5).roll_at(1 << 10)))
);

/// Folders by the last digit of the key.
fn by_digit(sink: ObjectSink<Record>) -> ObjectSink<Record> {
    sink.bucket_by(|record| format!("digit={}/all", record.key % 10))
}

struct Job {
    sink: ObjectSink<Record>,
    attempt: u64,
}

impl Job {
    fn writer(&self) -> Box<dyn SinkWriter<Record, ObjectSinkPart>> {
        let context = WriterContext {
            job: JobId::new("job").unwrap(),
            operator: OperatorUid::new("sink").unwrap(),
            subtask: SubtaskIndex(0),
            parallelism: 1,
            attempt: AttemptId(self.attempt),
        };
        self.sink.writer(context).unwrap()
    }

    fn committer_of(&self, job: &str) -> Box<dyn Committer<ObjectSinkPart>> {
        let context = CommitterContext {
            job: JobId::new(job).unwrap(),
            operator: OperatorUid::new("sink").unwrap(),
            attempt: AttemptId(self.attempt),
        };
        self.sink.committer(context).unwrap()
    }

    fn recover(&self, restored: Option<u64>) -> Result<()> {
        let mut committer = self.committer_of("job");
        block_on(committer.recover(AttemptId(self.attempt), restored.map(CheckpointId)))
    }
}

fn job(store: &Arc<InMemory>, attempt: u64) -> Job {
    let sink = ObjectSink::over(store.clone(), "out", encode).unwrap();
    Job { sink, attempt }
}

fn prepared(
    writer: &mut Box<dyn SinkWriter<Record, ObjectSinkPart>>,
    key: u64,
    checkpoint: u64,
) -> Vec<ObjectSinkPart> {
    let mut batch = Batch::from(vec![Record { key, value: 0 }]);
    writer.write(&mut batch).unwrap();
    block_on(writer.prepare_commit(CheckpointId(checkpoint)).unwrap()).unwrap()
}

fn keys(store: &InMemory) -> Vec<u64> {
    let mut keys: Vec<u64> = visible(store).iter().map(|record| record.key).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn an_older_checkpoint_takes_back_what_later_ones_made_visible_also_the_first_of_an_attempt() {
    let store = Arc::new(InMemory::new());
    let first = job(&store, 1);
    first.recover(None).unwrap();
    let (mut writer, mut committer) = (first.writer(), first.committer_of("job"));
    for checkpoint in [1, 2] {
        let parts = prepared(&mut writer, checkpoint, checkpoint);
        block_on(committer.commit(parts)).unwrap();
    }
    let second = job(&store, 2);
    second.recover(Some(2)).unwrap();
    let parts = prepared(&mut second.writer(), 3, 3);
    block_on(second.committer_of("job").commit(parts)).unwrap();
    assert_eq!(keys(&store), [1, 2, 3]);
    job(&store, 3).recover(Some(2)).unwrap();
    assert_eq!(keys(&store), [1, 2]);
    job(&store, 4).recover(Some(1)).unwrap();
    assert_eq!(keys(&store), [1]);
}

#[test]
fn output_that_is_not_as_expected_keeps_a_job_from_starting() {
    let store = Arc::new(InMemory::new());
    let first = job(&store, 1);
    let gone = first.recover(Some(4)).unwrap_err();
    assert!(gone.to_string().contains("the output is gone"), "{gone}");
    first.recover(None).unwrap();
    let parts = prepared(&mut first.writer(), 1, 1);
    block_on(first.committer_of("job").commit(parts)).unwrap();
    // Of a history of the job whose checkpoints are gone attempts may have the same numbers, or later ones.
    for attempt in [0, 1, 2] {
        let full = job(&store, attempt).recover(None).unwrap_err();
        assert!(full.to_string().contains("already has results"), "{full}");
    }
    let mut stranger = job(&store, 2).committer_of("other");
    let foreign = block_on(stranger.recover(AttemptId(2), Some(CheckpointId(1)))).unwrap_err();
    assert!(foreign.to_string().contains("another sink"), "{foreign}");
    let mut replacing = job(&store, 0);
    replacing.sink = replacing.sink.on_existing(ExistingOutput::Replace);
    replacing.recover(None).unwrap();
    assert_eq!(keys(&store), [0; 0]);
}

#[test]
fn an_upload_that_somebody_has_aborted_is_told_and_not_passed_over() {
    let store = Arc::new(InMemory::new());
    let job = job(&store, 1);
    job.recover(None).unwrap();
    let parts = prepared(&mut job.writer(), 1, 1);
    let path = Path::from(format!("out/{}", parts[0].name));
    block_on(store.abort_multipart(&path, &parts[0].upload)).unwrap();
    let error = block_on(job.committer_of("job").commit(parts)).unwrap_err();
    assert!(error.to_string().contains("lifecycle rule"), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_do() {
    let sink = |url: &str| ObjectSink::<u64>::lines(url);
    let cases = [
        (sink("s4://bucket"), "no object store has such URLs"),
        (sink("memory:///out").suffix("a/b"), "must not have a '/'"),
        (sink("memory:///out").part_size(0), "raise the part size"),
        (sink("memory:///out").part_size(1), "10,000 parts"),
        (sink("file:///tmp/snapline-no-sink"), "FileSink"),
    ];
    for (sink, expected) in cases {
        let error = sink.place().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn writers_and_committers_of_a_sink_have_one_store() {
    let sink = ObjectSink::with_encoder("memory:///out", encode);
    let job = Job { sink, attempt: 1 };
    job.recover(None).unwrap();
    let parts = prepared(&mut job.writer(), 1, 1);
    block_on(job.committer_of("job").commit(parts)).unwrap();
}

/// The folders of all objects that readers see.
fn folders(store: &InMemory) -> Vec<String> {
    use futures::TryStreamExt;
    let all = block_on(store.list(None).try_collect::<Vec<_>>()).unwrap();
    let names = all.iter().map(|object| object.location.as_ref());
    let visible = names.filter(|name| !name.contains("/_snapline/"));
    let folders = visible.filter_map(|name| Some(name.rsplit_once('/')?.0.to_owned()));
    folders.collect()
}

#[test]
fn each_record_is_in_the_folder_of_its_bucket_and_taken_back_from_there() {
    let store = Arc::new(InMemory::new());
    let bucketed = |attempt| {
        let Job { sink, attempt } = job(&store, attempt);
        Job {
            sink: by_digit(sink),
            attempt,
        }
    };
    let first = bucketed(1);
    first.recover(None).unwrap();
    let mut writer = first.writer();
    for (key, checkpoint) in [(12, 1), (23, 2)] {
        let parts = prepared(&mut writer, key, checkpoint);
        block_on(first.committer_of("job").commit(parts)).unwrap();
    }
    assert_eq!(folders(&store), ["out/digit=2/all", "out/digit=3/all"]);

    assert!(
        bucketed(2).recover(None).is_err(),
        "results of before were not seen"
    );
    bucketed(2).recover(Some(1)).unwrap();
    assert_eq!(keys(&store), [12]);
}

#[test]
fn a_sink_below_another_with_buckets_keeps_its_objects() {
    let store = Arc::new(InMemory::new());
    let inner = Job {
        sink: ObjectSink::over(store.clone(), "out/inner", encode).unwrap(),
        attempt: 1,
    };
    inner.recover(None).unwrap();
    let parts = prepared(&mut inner.writer(), 7, 1);
    block_on(inner.committer_of("job").commit(parts)).unwrap();
    let Job { sink, attempt } = job(&store, 1);
    let outer = Job {
        sink: by_digit(sink).on_existing(ExistingOutput::Replace),
        attempt,
    };
    outer.recover(None).unwrap();
    assert_eq!(keys(&store), [7]);
}

#[test]
fn with_many_buckets_no_more_than_some_parts_wait_in_memory() {
    let store = Arc::new(InMemory::new());
    let Job { sink, attempt } = job(&store, 1);
    let many = Job {
        sink: sink
            .part_size(100)
            .roll_at(10_000)
            .bucket_by(|record: &Record| format!("key={}", record.key % 50)),
        attempt,
    };
    many.recover(None).unwrap();
    let mut writer = many.writer();
    let records = (0..2_000).map(|key| Record { key, value: 0 });
    writer
        .write(&mut Batch::from(records.collect::<Vec<_>>()))
        .unwrap();
    let parts = block_on(writer.prepare_commit(CheckpointId(1)).unwrap()).unwrap();
    assert!(
        parts.len() > 50,
        "each bucket has one object, so all of them waited"
    );
    block_on(many.committer_of("job").commit(parts)).unwrap();
    assert_eq!(keys(&store), (0..2_000).collect::<Vec<_>>());
    for folder in folders(&store) {
        assert!(folder.starts_with("out/key="), "{folder}");
    }
}

#[test]
fn a_bucket_that_a_store_would_name_otherwise_is_refused() {
    let store = Arc::new(InMemory::new());
    for bucket in ["a#b", "50%", "../up", "a//b"] {
        let Job { sink, attempt } = job(&store, 1);
        let sink = sink.bucket_by(move |_: &Record| bucket);
        let mut writer = Job { sink, attempt }.writer();
        let error = writer
            .write(&mut Batch::from(vec![Record { key: 1, value: 0 }]))
            .unwrap_err();
        assert_eq!(
            error.context("given"),
            Some(format!("{bucket:?}").as_str()),
            "{error}"
        );
    }
}
