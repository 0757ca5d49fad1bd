//! From Kafka to Kafka, exactly once.

use crate::support::{Counted, KEYS, assert_exactly_once, environment, panic_at, wait_for};
use futures::executor::block_on;
use snapline::ErrorKind;
use snapline::prelude::*;
use snapline_connector_kafka::krafka::Record;
use snapline_connector_kafka::krafka::testing::FakeBroker;
use snapline_connector_kafka::{KafkaConnection, KafkaSink, KafkaSource, Krafka, NewRecord};
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

const NUMBERS: u64 = 20_000;

/// A cluster in memory with the numbers in two partitions.
fn cluster() -> Arc<FakeBroker> {
    let broker = FakeBroker::start_in_memory(1);
    assert!(broker.create_topic("numbers", 2) && broker.create_topic("counts", 3));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let client = broker.kafka().connect().await.unwrap();
        let producer = client.producer().build().await.unwrap();
        for number in 0..NUMBERS {
            let record = Record::new("numbers", number.to_string()).partition((number % 2) as i32);
            let _delivery = producer.enqueue(record).await.unwrap();
        }
        producer.close().await.unwrap();
    });
    Arc::new(broker)
}

fn connection(broker: &Arc<FakeBroker>) -> KafkaConnection {
    let broker = broker.clone();
    KafkaConnection::with_client(Krafka::new(move || broker.kafka()))
}

/// Counts the numbers in the topic by their remainder, and writes every update.
fn count(
    env: &StreamExecutionEnvironment,
    kafka: &KafkaConnection,
    visit: impl Fn(u64) + Clone + Send + Sync + 'static,
) {
    let numbers = KafkaSource::new(kafka, ["numbers"], |record| {
        u64::from_str(std::str::from_utf8(record.value.as_deref().unwrap()).unwrap())
    });
    let counts = KafkaSink::new(kafka, "counts", |(key, count): &Counted| {
        Ok::<_, Infallible>(NewRecord::value(count.to_string()).key(key.to_string()))
    });
    env.from_source(numbers.bounded(), "numbers")
        .map(move |number| {
            visit(number);
            (number % KEYS, 1)
        })
        .key_by(|(key, _)| *key)
        .sum(|(_, count)| count)
        .uid("counts")
        .sink_to(counts)
        .uid("results");
}

/// What those see who read committed records.
fn committed(broker: &FakeBroker) -> Vec<Counted> {
    let number = |bytes: &Option<_>| {
        let bytes: &[u8] = bytes.as_ref().map(AsRef::as_ref).unwrap();
        std::str::from_utf8(bytes).unwrap().parse().unwrap()
    };
    let records = broker.committed_records("counts").unwrap();
    records
        .iter()
        .map(|record| (number(&record.key), number(&record.value)))
        .collect()
}

#[test]
fn numbers_are_counted_from_kafka_to_kafka_once_through_failures_and_new_processes() {
    let broker = cluster();
    let kafka = connection(&broker);
    let storage = MemoryCheckpointStorage::new();
    for parallelism in [2, 3] {
        let env = environment(parallelism, storage.clone());
        let fails = panic_at(NUMBERS / 8);
        count(&env, &kafka, move |number| {
            fails(number);
            (0..100).for_each(|_| std::thread::yield_now());
        });
        let job = block_on(env.execute_async("test")).unwrap();
        let is_over = |state| matches!(state, JobState::Finished | JobState::Failed);
        wait_for(&job, |status| {
            status.checkpoints.completed > 0 || is_over(status.state)
        });
        job.cancel();
        let _ = block_on(job.wait());
    }
    let env = environment(2, storage);
    count(&env, &kafka, |_| {});
    let ended = block_on(env.execute("test")).unwrap();
    assert!(ended.status.restored.is_some(), "{:?}", ended.status);
    assert_exactly_once(&committed(&broker), NUMBERS);
}

#[test]
fn transactions_that_time_out_before_the_next_checkpoint_are_refused() {
    let kafka = KafkaConnection::to("nowhere:9092");
    let env = environment(1, MemoryCheckpointStorage::new());
    env.enable_checkpointing(Duration::from_secs(60));
    let numbers = KafkaSink::new(&kafka, "numbers", |number: &u64| {
        Ok::<_, Infallible>(NewRecord::value(number.to_string()))
    });
    env.from_source(SequenceSource::new(0..9), "numbers")
        .sink_to(numbers.transaction_timeout(Duration::from_secs(60)));
    let error = block_on(env.execute("test")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(
        error.context("interval of checkpoints in seconds"),
        Some("60"),
        "{error}"
    );
}
