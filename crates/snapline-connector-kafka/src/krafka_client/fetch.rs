//! Reads partitions.

use super::error::error;
use crate::client::{Isolation, KafkaFetcher, KafkaRecord, TopicPartition};
use async_trait::async_trait;
use krafka::Kafka;
use krafka::consumer::{AutoOffsetReset, Consumer, ConsumerBuilder, ConsumerRecord, IsolationLevel};
use snapline_core::{Result, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one fetch waits for records.
const WAIT: Duration = Duration::from_millis(250);

/// How many records one fetch hands out at the most.
const RECORDS: i32 = 4096;

/// A consumer as it is before the user sets it up.
pub(super) fn consumer(kafka: &Kafka) -> ConsumerBuilder {
    kafka
        .consumer_without_group()
        .max_poll_records(RECORDS)
        .fetch_max_wait(WAIT)
}

pub(super) async fn fetcher(
    consumer: ConsumerBuilder,
    from: Vec<(TopicPartition, i64)>,
    isolation: Isolation,
) -> Result<Box<dyn KafkaFetcher>> {
    let isolation = match isolation {
        Isolation::ReadCommitted => IsolationLevel::ReadCommitted,
        Isolation::ReadUncommitted => IsolationLevel::ReadUncommitted,
    };
    let consumer = consumer
        .isolation_level(isolation)
        .auto_offset_reset(AutoOffsetReset::None);
    let doing = "opening partitions";
    let consumer = consumer.build().await.map_err(|e| error(doing, e))?;
    for (topic, partitions) in by_topic(from.iter().map(|(partition, _)| partition)) {
        let assigned = consumer.assign(topic, partitions).await;
        assigned.map_err(|e| error(doing, e).with("topic", topic))?;
    }
    for (TopicPartition { topic, partition }, offset) in &from {
        let sought = consumer.seek(topic, *partition, *offset).await;
        sought.map_err(|e| error(doing, e).with("topic", topic).with("partition", partition))?;
    }
    let all = from.into_iter().map(|(partition, _)| partition).collect();
    Ok(Box::new(Fetcher { consumer, all }))
}

struct Fetcher {
    consumer: Consumer,
    all: Vec<TopicPartition>,
}

#[async_trait]
impl KafkaFetcher for Fetcher {
    async fn fetch(&mut self) -> Result<Vec<KafkaRecord>> {
        let records = self.consumer.poll(WAIT).await.map_err(|e| error("reading", e))?;
        Ok(records.into_iter().map(ours).collect())
    }

    async fn position(&mut self, partition: &TopicPartition) -> Option<i64> {
        self.consumer
            .position(&partition.topic, partition.partition)
            .await
    }

    async fn pause(&mut self, paused: &[TopicPartition]) {
        let (paused, resumed): (Vec<_>, Vec<_>) =
            self.all.iter().partition(|partition| paused.contains(partition));
        for (topic, partitions) in by_topic(paused) {
            self.consumer.pause(topic, &partitions).await;
        }
        for (topic, partitions) in by_topic(resumed) {
            self.consumer.resume(topic, &partitions).await;
        }
    }
}

fn by_topic<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> BTreeMap<&'a str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    topics
}

fn ours(record: ConsumerRecord) -> KafkaRecord {
    KafkaRecord {
        topic: record.topic,
        partition: record.partition,
        offset: record.offset,
        timestamp: Timestamp(record.timestamp),
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}
