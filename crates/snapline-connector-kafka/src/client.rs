//! What a source and a sink need of a client of Kafka, so that another one can be plugged in.
//!
//! All is asynchronous, by batch, and runs on a Tokio runtime. Every wait is bounded by the client: what the cluster does not
//! answer in time fails with `Unavailable`.

mod record;

pub use record::{Headers, KafkaRecord, NewRecord};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline_core::{Result, Timestamp};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: String,
    /// The number of the partition.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A position in a partition that has to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetAt {
    /// The first record that is still there.
    Earliest,
    /// Behind the last record that can be read.
    Latest,
    /// The first record of this time or later.
    Timestamp(Timestamp),
}

/// Which records of transactions are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Those of committed transactions.
    #[default]
    ReadCommitted,
    /// Those of open and aborted ones as well.
    ReadUncommitted,
}

/// Connects to a cluster.
#[async_trait]
pub trait ConnectKafka: fmt::Debug + Send + Sync + 'static {
    /// Opens a client.
    ///
    /// # Errors
    /// `Unavailable` when no server answers, `Invalid` when the settings or credentials are refused.
    async fn connect(&self) -> Result<Arc<dyn KafkaClient>>;
}

/// A client of one cluster.
///
/// # Contract
/// * `fence` ends what was open under a transactional id: no producer that has begun under it before can write or commit.
/// * `commit` commits exactly the transaction that was prepared, never another one of the same transactional id; once that
///   has happened it answers `Committed` again, or `NotOpen`.
#[async_trait]
pub trait KafkaClient: Send + Sync + 'static {
    /// The partitions of a topic, in order.
    ///
    /// # Errors
    /// `Invalid` when there is no such topic.
    async fn partitions(&self, topic: &str) -> Result<Vec<i32>>;

    /// A position in a partition. `None` when no record is as new as a time.
    ///
    /// # Errors
    /// `Invalid` when there is no such partition.
    async fn offset(
        &self,
        partition: &TopicPartition,
        at: OffsetAt,
        isolation: Isolation,
    ) -> Result<Option<i64>>;

    /// Reads partitions, each from an offset.
    ///
    /// # Errors
    /// `Invalid` when there is no such partition.
    async fn fetcher(
        &self,
        from: Vec<(TopicPartition, i64)>,
        isolation: Isolation,
    ) -> Result<Box<dyn KafkaFetcher>>;

    /// The offset that a consumer group has committed, no transaction being about to change it.
    ///
    /// # Errors
    /// What keeps the group from being asked.
    async fn group_offset(&self, group: &str, partition: &TopicPartition) -> Result<Option<i64>>;

    /// Sets offsets of a consumer group that has no members.
    ///
    /// # Errors
    /// What keeps the group from being changed.
    async fn set_group_offsets(&self, group: &str, offsets: &[(TopicPartition, i64)]) -> Result<()>;

    /// Opens an idempotent producer without transactions.
    ///
    /// # Errors
    /// What keeps it from being opened.
    async fn producer(&self) -> Result<Box<dyn KafkaProducer>>;

    /// Begins a transaction. An open one of the same transactional id is aborted.
    ///
    /// # Errors
    /// `Invalid` when the cluster does not permit such a timeout.
    async fn begin(&self, transactional_id: &str, timeout: Duration) -> Result<Box<dyn KafkaTransaction>>;

    /// Commits a prepared transaction, whichever process has prepared it.
    ///
    /// # Errors
    /// `Unavailable` when it is not known what has happened; to be called again.
    async fn commit(&self, transaction: &PreparedTransaction) -> Result<Outcome>;

    /// Ends what is open under a transactional id, and every producer of it.
    ///
    /// # Errors
    /// What keeps it from being ended.
    async fn fence(&self, transactional_id: &str, timeout: Duration) -> Result<()>;
}

/// Reads partitions in order.
#[async_trait]
pub trait KafkaFetcher: Send {
    /// Waits for records for a moment. A future that is dropped has taken none.
    ///
    /// # Errors
    /// `Invalid` when records were removed before they were read, `Unavailable` when the cluster does not answer.
    async fn fetch(&mut self) -> Result<Vec<KafkaRecord>>;

    /// Up to where everything that can be read was handed out: past the last record by what transactions leave behind.
    async fn position(&mut self, partition: &TopicPartition) -> Option<i64>;

    /// From now on hands out no records of these partitions, and of all others.
    async fn pause(&mut self, paused: &[TopicPartition]);
}

/// Writes records in order.
#[async_trait]
pub trait KafkaProducer: Send {
    /// Passes records on; waits while the client's buffer is full.
    ///
    /// # Errors
    /// What keeps them, or records from before, from being written.
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()>;

    /// Waits until all records are durable.
    ///
    /// # Errors
    /// What has kept any of them from being written.
    async fn flush(&mut self) -> Result<()>;
}

/// An open transaction. When it is dropped unprepared it is aborted, if there is still time.
#[async_trait]
pub trait KafkaTransaction: KafkaProducer {
    /// Flushes, adds `token` and leaves the transaction open for [`KafkaClient::commit`].
    ///
    /// # Errors
    /// What has kept any record from being written.
    async fn prepare(self: Box<Self>, token: &Token) -> Result<PreparedTransaction>;
}

/// An offset of a consumer group that becomes visible with a transaction: whether it is there tells later, without
/// doubt, whether the transaction was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The consumer group, used for nothing else.
    pub group: String,
    /// Some partition that exists.
    pub partition: TopicPartition,
    /// The offset.
    pub offset: i64,
}

/// What names an open transaction for any process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedTransaction {
    /// Under which id it was begun.
    pub transactional_id: String,
    /// The id that the cluster has given to the producer.
    pub producer_id: i64,
    /// The epoch of the producer, which is of this transaction alone.
    pub epoch: i16,
    /// The version of the protocol of transactions with which it was begun.
    pub version: u8,
}

/// What has become of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a committer must treat both")]
pub enum Outcome {
    /// It is committed.
    Committed,
    /// It is not open any more: committed long ago, or aborted. With what the cluster has said.
    NotOpen(String),
}
