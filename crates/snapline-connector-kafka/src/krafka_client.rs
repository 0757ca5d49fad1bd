//! The client of the crate `krafka`.

mod coordinator;
mod error;
mod fetch;
mod produce;
mod transaction;

use crate::client::{
    ConnectKafka, Isolation, KafkaClient, KafkaFetcher, KafkaProducer, KafkaTransaction, OffsetAt, Outcome,
    PreparedTransaction, TopicPartition,
};
use async_trait::async_trait;
use error::error;
use krafka::admin::{
    AlterConsumerGroupOffsetsOptions, DescribeTopicsOptions, ListConsumerGroupOffsetsOptions,
    ListOffsetsOptions, OffsetSpec,
};
use krafka::consumer::ConsumerBuilder;
use krafka::producer::ProducerBuilder;
use krafka::{Kafka, KafkaBuilder};
use snapline_core::{Error, Result, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The client that is used unless another is given: the crate `krafka`, with all its settings.
///
/// ```
/// use snapline_connector_kafka::krafka::{Compression, Kafka};
/// use snapline_connector_kafka::{KafkaConnection, Krafka};
///
/// let client = Krafka::new(|| Kafka::builder("broker1:9092,broker2:9092").client_id("orders"))
///     .producers(|producer| producer.compression(Compression::Lz4));
/// let connection = KafkaConnection::with_client(client);
/// ```
#[derive(Clone)]
pub struct Krafka {
    connection: Arc<dyn Fn() -> KafkaBuilder + Send + Sync>,
    producers: Arc<dyn Fn(ProducerBuilder) -> ProducerBuilder + Send + Sync>,
    consumers: Arc<dyn Fn(ConsumerBuilder) -> ConsumerBuilder + Send + Sync>,
}

impl Krafka {
    /// Connects as the builder says, which is made anew for each reader, writer and committer.
    pub fn new(connection: impl Fn() -> KafkaBuilder + Send + Sync + 'static) -> Self {
        Self {
            connection: Arc::new(connection),
            producers: Arc::new(|producer| producer),
            consumers: Arc::new(|consumer| consumer),
        }
    }

    /// Sets up the producers of sinks. Idempotence and the timeout of transactions are the sink's.
    #[must_use]
    pub fn producers(
        self,
        set_up: impl Fn(ProducerBuilder) -> ProducerBuilder + Send + Sync + 'static,
    ) -> Self {
        Self {
            producers: Arc::new(set_up),
            ..self
        }
    }

    /// Sets up the consumers of sources. Isolation and offsets are the source's.
    #[must_use]
    pub fn consumers(
        self,
        set_up: impl Fn(ConsumerBuilder) -> ConsumerBuilder + Send + Sync + 'static,
    ) -> Self {
        Self {
            consumers: Arc::new(set_up),
            ..self
        }
    }
}

impl fmt::Debug for Krafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.connection)().fmt(f)
    }
}

#[async_trait]
impl ConnectKafka for Krafka {
    async fn connect(&self) -> Result<Arc<dyn KafkaClient>> {
        let kafka = (self.connection)().connect().await;
        Ok(Arc::new(KrafkaClient {
            kafka: kafka.map_err(|e| error("connecting", e))?,
            settings: self.clone(),
        }))
    }
}

/// What is done by two functions.
const OFFSET: &str = "asking for an offset";

struct KrafkaClient {
    kafka: Kafka,
    settings: Krafka,
}

impl KrafkaClient {
    /// The administrator's call cannot tell a time after the last record from an answer that is missing for now.
    async fn offset_of_time(
        &self,
        TopicPartition { topic, partition }: &TopicPartition,
        time: Timestamp,
    ) -> Result<Option<i64>> {
        let consumer = fetch::consumer(&self.kafka)
            .build()
            .await
            .map_err(|e| error(OFFSET, e))?;
        let found = consumer.offsets_for_times(&[(topic, *partition)], time.0).await;
        let found = found.into_values().next().ok_or_else(|| unanswered(OFFSET))?;
        let found = found.map_err(|e| error(OFFSET, e).with("topic", topic).with("partition", partition))?;
        Ok((found >= 0).then_some(found))
    }

    fn producers(&self) -> ProducerBuilder {
        (self.settings.producers)(self.kafka.producer())
    }
}

#[async_trait]
impl KafkaClient for KrafkaClient {
    async fn partitions(&self, topic: &str) -> Result<Vec<i32>> {
        let admin = self.kafka.admin();
        let described = admin.describe_topics([topic], DescribeTopicsOptions::default());
        let doing = "looking for a topic";
        let mut described = described.await.map_err(|e| error(doing, e))?;
        let topic = described.remove(topic).ok_or_else(|| unanswered(doing))?;
        let topic = topic.map_err(|e| error(doing, e))?;
        Ok(topic
            .partitions
            .iter()
            .map(|partition| partition.partition)
            .collect())
    }

    async fn offset(
        &self,
        partition: &TopicPartition,
        at: OffsetAt,
        isolation: Isolation,
    ) -> Result<Option<i64>> {
        let spec = match at {
            OffsetAt::Earliest => OffsetSpec::Earliest,
            OffsetAt::Latest => OffsetSpec::Latest,
            OffsetAt::Timestamp(timestamp) => return self.offset_of_time(partition, timestamp).await,
        };
        let options = ListOffsetsOptions::default().read_committed(isolation == Isolation::ReadCommitted);
        let listed = self
            .kafka
            .admin()
            .list_offsets([(theirs(partition), spec)], options)
            .await;
        let mut listed = listed.map_err(|e| error(OFFSET, e))?;
        let listed = listed
            .remove(&theirs(partition))
            .ok_or_else(|| unanswered(OFFSET))?;
        let listed = listed.map_err(|e| error(OFFSET, e).with("partition", partition))?;
        Ok((listed.offset >= 0).then_some(listed.offset))
    }

    async fn fetcher(
        &self,
        from: Vec<(TopicPartition, i64)>,
        isolation: Isolation,
    ) -> Result<Box<dyn KafkaFetcher>> {
        let consumer = (self.settings.consumers)(fetch::consumer(&self.kafka));
        fetch::fetcher(consumer, from, isolation).await
    }

    async fn group_offset(&self, group: &str, partition: &TopicPartition) -> Result<Option<i64>> {
        let options = ListConsumerGroupOffsetsOptions::default()
            .require_stable(true)
            .partitions(vec![theirs(partition)]);
        let doing = "asking for the offset of a group";
        let listed = self
            .kafka
            .admin()
            .list_consumer_group_offsets(group, options)
            .await;
        let mut listed = listed.map_err(|e| error(doing, e).with("group", group))?;
        match listed.remove(&theirs(partition)) {
            Some(listed) => Ok(listed.map_err(|e| error(doing, e).with("group", group))?.offset),
            None => Ok(None),
        }
    }

    async fn set_group_offsets(&self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<()> {
        let offsets = offsets
            .iter()
            .map(|(partition, offset)| (theirs(partition), *offset));
        let options = AlterConsumerGroupOffsetsOptions::default();
        let admin = self.kafka.admin();
        let altered = admin.alter_consumer_group_offsets(group, offsets, options).await;
        let doing = "setting offsets of a group";
        let altered = altered.map_err(|e| error(doing, e).with("group", group))?;
        let refused = altered.into_values().find_map(std::result::Result::err);
        refused.map_or(Ok(()), |e| Err(error(doing, e).with("group", group)))
    }

    async fn producer(&self) -> Result<Box<dyn KafkaProducer>> {
        produce::producer(self.producers()).await
    }

    async fn begin(&self, transactional_id: &str, timeout: Duration) -> Result<Box<dyn KafkaTransaction>> {
        transaction::begin(&self.kafka, self.producers(), transactional_id, timeout).await
    }

    async fn commit(&self, transaction: &PreparedTransaction) -> Result<Outcome> {
        transaction::commit(&self.kafka, transaction).await
    }

    async fn fence(&self, transactional_id: &str, timeout: Duration) -> Result<()> {
        transaction::fence(self.producers(), transactional_id, timeout).await
    }
}

fn theirs(partition: &TopicPartition) -> krafka::admin::TopicPartition {
    krafka::admin::TopicPartition::new(partition.topic.clone(), partition.partition)
}

fn unanswered(doing: &'static str) -> Error {
    Error::unavailable("kafka has answered without what was asked for").with("while", doing)
}
