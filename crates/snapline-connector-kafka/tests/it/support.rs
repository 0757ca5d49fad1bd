//! A cluster in memory, and ways to drive readers and writers without a job.
#![expect(
    clippy::unwrap_used,
    reason = "what these functions cannot do is a failed test"
)]

use futures::future::poll_fn;
use snapline_connector::{
    Committer, CommitterContext, ReaderContext, ReaderStatus, Sink, SinkWriter, Source, SourceReader,
    WriterContext,
};
use snapline_connector_kafka::krafka::testing::FakeBroker;
use snapline_connector_kafka::krafka::{Kafka, Record};
use snapline_connector_kafka::{
    KafkaCommittable, KafkaConnection, KafkaSink, KafkaSource, KafkaSplit, Krafka, NewRecord,
};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, Result, SubtaskIndex};
use std::convert::Infallible;
use std::sync::Arc;

/// The topic of most tests.
pub(crate) const TOPIC: &str = "numbers";

/// A cluster in memory.
#[derive(Clone)]
pub(crate) struct Cluster(pub(crate) Arc<FakeBroker>);

impl Cluster {
    /// One server and the topic with so many partitions.
    pub(crate) fn with_partitions(partitions: i32) -> Self {
        let broker = FakeBroker::start_in_memory(1);
        assert!(broker.create_topic(TOPIC, partitions));
        Self(Arc::new(broker))
    }

    /// The same, with a version of the protocol of transactions.
    pub(crate) fn with_transactions(version: i16) -> Self {
        let cluster = Self::with_partitions(2);
        cluster.0.set_transaction_version(version);
        cluster
    }

    /// How a source or sink reaches it.
    pub(crate) fn connection(&self) -> KafkaConnection {
        let broker = self.0.clone();
        KafkaConnection::with_client(Krafka::new(move || broker.kafka()))
    }

    /// A client of the test's own.
    pub(crate) async fn client(&self) -> Kafka {
        self.0.kafka().connect().await.unwrap()
    }

    /// Writes texts to a partition.
    pub(crate) async fn produce(&self, partition: i32, values: impl IntoIterator<Item = impl ToString>) {
        let producer = self.client().await.producer().build().await.unwrap();
        for value in values {
            let record = Record::new(TOPIC, value.to_string()).partition(partition);
            let _written = producer.send(record.timestamp(1000)).await.unwrap();
        }
        producer.close().await.unwrap();
    }

    /// The values that whoever reads committed records sees, sorted.
    pub(crate) fn committed(&self) -> Vec<u64> {
        let records = self.0.committed_records(TOPIC).unwrap();
        let value = |value: &[u8]| std::str::from_utf8(value).unwrap().parse().unwrap();
        let mut values: Vec<u64> = records
            .iter()
            .map(|record| value(record.value.as_ref().unwrap()))
            .collect();
        values.sort_unstable();
        values
    }

    /// Whether nobody has to wait for the end of a transaction.
    pub(crate) fn has_no_open_transaction(&self) -> bool {
        (0..2).all(|partition| {
            self.0.last_stable_offset(TOPIC, partition) == self.0.next_offset(TOPIC, partition)
        })
    }
}

/// A source of texts.
pub(crate) fn texts(cluster: &Cluster) -> KafkaSource<String> {
    KafkaSource::new(&cluster.connection(), [TOPIC], |record| {
        String::from_utf8(record.value.as_deref().unwrap_or_default().to_vec())
    })
}

/// The splits of a source at the beginning.
pub(crate) async fn discover(source: &KafkaSource<String>) -> Result<Vec<KafkaSplit>> {
    let context = snapline_connector::DiscoveryContext { parallelism: 1 };
    source.enumerator()?.discover(&context).await
}

/// A reader of a source.
pub(crate) fn reader(
    source: &KafkaSource<String>,
    splits: Vec<KafkaSplit>,
) -> Box<dyn SourceReader<String, KafkaSplit>> {
    let context = ReaderContext {
        job: JobId::from_text("job"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
    };
    let mut reader = source.reader(context).unwrap();
    reader.add_splits(splits);
    reader
}

/// The next records of a reader, at most `limit`; none at its end.
pub(crate) async fn read(
    reader: &mut dyn SourceReader<String, KafkaSplit>,
    limit: usize,
) -> Result<Vec<String>> {
    let mut batch = Batch::new();
    loop {
        let status = poll_fn(|cx| reader.poll_batch(cx, &mut batch, limit)).await?;
        if !batch.is_empty() || status == ReaderStatus::EndOfData {
            return Ok(batch.records);
        }
    }
}

/// Exactly so many records.
pub(crate) async fn read_exactly(
    reader: &mut dyn SourceReader<String, KafkaSplit>,
    count: usize,
) -> Vec<String> {
    let mut records = Vec::new();
    while records.len() < count {
        let more = read(reader, count - records.len()).await.unwrap();
        assert!(!more.is_empty(), "only {records:?} of {count} records");
        records.extend(more);
    }
    records
}

/// All records that are left.
pub(crate) async fn drain(reader: &mut dyn SourceReader<String, KafkaSplit>) -> Result<Vec<String>> {
    let mut records = Vec::new();
    loop {
        let more = read(reader, 3).await?;
        if more.is_empty() {
            return Ok(records);
        }
        records.extend(more);
    }
}

/// A sink of numbers.
pub(crate) fn numbers(cluster: &Cluster) -> KafkaSink<u64> {
    KafkaSink::new(&cluster.connection(), TOPIC, |number: &u64| {
        let record = NewRecord::value(number.to_string());
        Ok::<_, Infallible>(record.partition(i32::from(number % 2 == 1)))
    })
}

pub(crate) type Writer = Box<dyn SinkWriter<u64, KafkaCommittable>>;

/// The writer of a subtask of two in an attempt.
pub(crate) fn writer(sink: &KafkaSink<u64>, subtask: u32, attempt: u64) -> Writer {
    let context = WriterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        subtask: SubtaskIndex(subtask),
        parallelism: 2,
        attempt: AttemptId(attempt),
    };
    sink.writer(context).unwrap()
}

/// The committer of an attempt.
pub(crate) fn committer(sink: &KafkaSink<u64>, attempt: u64) -> Box<dyn Committer<KafkaCommittable>> {
    let context = CommitterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        attempt: AttemptId(attempt),
    };
    sink.committer(context).unwrap()
}

/// Writes numbers as a task does.
pub(crate) async fn write(writer: &mut Writer, numbers: impl IntoIterator<Item = u64>) -> Result<()> {
    poll_fn(|cx| writer.poll_ready(cx)).await?;
    let mut batch = Batch::from(numbers.into_iter().collect::<Vec<_>>());
    writer.write(&mut batch)?;
    assert!(batch.is_empty());
    Ok(())
}

/// Pre-commits what was written.
pub(crate) async fn prepare(writer: &mut Writer, checkpoint: u64) -> Result<Vec<KafkaCommittable>> {
    writer.prepare_commit(CheckpointId(checkpoint))?.await
}
