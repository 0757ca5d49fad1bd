//! What the sink of Kafka costs beside a loop that hands the same records to the same client: one transaction of many batches,
//! from the first connection to the commit, into a broker in memory.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be made is of no use"
)]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::future::poll_fn;
use snapline_connector::{CommitterContext, Sink, WriterContext};
use snapline_connector_kafka::krafka::Record;
use snapline_connector_kafka::krafka::testing::FakeBroker;
use snapline_connector_kafka::{KafkaConnection, KafkaSink, Krafka, NewRecord};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, SubtaskIndex};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOPIC: &str = "numbers";
const BATCHES: u64 = 100;
const BATCH: u64 = 1000;
const LENGTHS: [usize; 2] = [16, 200];

/// An empty topic of a cluster in memory.
fn cluster() -> Arc<FakeBroker> {
    let broker = FakeBroker::start_in_memory(1);
    assert!(broker.create_topic(TOPIC, 4));
    Arc::new(broker)
}

fn key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn value(number: u64, length: usize) -> Vec<u8> {
    let mut value = vec![0; length];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

async fn write_by_hand(broker: &FakeBroker, length: usize) {
    let kafka = broker.kafka().connect().await.unwrap();
    let producer = kafka.producer().build_transactional("by-hand").await.unwrap();
    producer.begin().unwrap();
    for number in 0..BATCHES * BATCH {
        let record = Record::new(TOPIC, value(number, length)).key(key(number));
        let _delivery = producer.enqueue(record).await.unwrap();
    }
    producer.commit().await.unwrap();
}

async fn write_by_sink(broker: &Arc<FakeBroker>, length: usize) {
    let of_sink = broker.clone();
    let connection = KafkaConnection::with_client(Krafka::new(move || of_sink.kafka()));
    let sink = KafkaSink::new(&connection, TOPIC, move |number: &u64| {
        Ok::<_, Infallible>(NewRecord::value(value(*number, length)).key(key(*number)))
    });
    let mut writer = sink.writer(writer_context()).unwrap();
    for batch in 0..BATCHES {
        poll_fn(|cx| writer.poll_ready(cx)).await.unwrap();
        let numbers: Vec<u64> = (batch * BATCH..(batch + 1) * BATCH).collect();
        writer.write(&mut Batch::from(numbers)).unwrap();
    }
    let committables = writer.prepare_commit(CheckpointId(1)).unwrap().await.unwrap();
    let mut committer = sink.committer(committer_context()).unwrap();
    committer.commit(committables).await.unwrap();
}

fn writer_context() -> WriterContext {
    WriterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
        attempt: AttemptId(1),
    }
}

fn committer_context() -> CommitterContext {
    CommitterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        attempt: AttemptId(1),
    }
}

fn workers() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn transaction(c: &mut Criterion) {
    let mut group = c.benchmark_group("kafka");
    group
        .throughput(Throughput::Elements(BATCHES * BATCH))
        .sample_size(10);
    let runtime = workers();
    for length in LENGTHS {
        group.bench_function(BenchmarkId::new("by hand", length), |bencher| {
            bencher.iter_batched(
                cluster,
                |broker| {
                    runtime.block_on(write_by_hand(&broker, length));
                    broker
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("sink", length), |bencher| {
            bencher.iter_batched(
                cluster,
                |broker| {
                    runtime.block_on(write_by_sink(&broker, length));
                    broker
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, transaction);
criterion_main!(benches);
