//! Records to topics, visible when the checkpoint that contains them is complete.

mod committer;
mod ids;
mod outbox;
mod registry;
mod sender;
mod slots;
mod writer;

use crate::client::{NewRecord, PreparedTransaction};
use crate::connection::KafkaConnection;
use committer::KafkaCommitter;
use ids::Ids;
use serde::{Deserialize, Serialize};
use slots::Slots;
use snapline_connector::{Committer, CommitterContext, NoCommitter, Sink, SinkWriter, WriterContext};
use snapline_core::{CheckpointId, CheckpointSettings, Error, Result};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use writer::{Encode, KafkaWriter};

/// Writes records to topics, by transactions that are committed when the checkpoint is complete.
///
/// ```
/// use snapline_connector_kafka::{KafkaConnection, KafkaSink, NewRecord};
/// use std::convert::Infallible;
///
/// let kafka = KafkaConnection::to("localhost:9092");
/// let counts = KafkaSink::new(&kafka, "counts", |(word, count): &(String, u64)| {
///     Ok::<_, Infallible>(NewRecord::value(count.to_string()).key(word.clone()))
/// });
/// ```
pub struct KafkaSink<T> {
    encode: Encode<T>,
    options: Options,
    /// Shared by the writers and the committer of a process.
    slots: Arc<Slots>,
}

#[derive(Debug, Clone)]
struct Options {
    connection: KafkaConnection,
    topic: String,
    guarantee: Guarantee,
    prefix: String,
    timeout: Duration,
    existing: ExistingOutput,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

/// What happens when a job starts from before what this sink has already committed: at the beginning, or at an older
/// checkpoint. What is in a topic cannot be removed again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingOutput {
    /// The job does not start.
    #[default]
    Refuse,
    /// The records since then are written a second time.
    Repeat,
}

/// The timeout of transactions unless one is set: the longest that servers permit unless they are set up otherwise.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

impl<T: 'static> KafkaSink<T> {
    /// Writes what `encode` makes of each record to this topic, or to the one that it names.
    pub fn new<E: Into<Box<dyn StdError + Send + Sync>>>(
        connection: &KafkaConnection,
        topic: impl Into<String>,
        encode: impl Fn(&T) -> Result<NewRecord, E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            encode: writer::by_record(encode),
            options: Options {
                connection: connection.clone(),
                topic: topic.into(),
                guarantee: Guarantee::ExactlyOnce,
                prefix: "snapline".to_owned(),
                timeout: TIMEOUT,
                existing: ExistingOutput::default(),
            },
            slots: Arc::default(),
        }
    }

    /// Writes at once, without transactions: what is written after a checkpoint is written again when the job restarts
    /// from it. Nobody has to wait for checkpoints to see records.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.options.guarantee = Guarantee::AtLeastOnce;
        self
    }

    /// Begins the transactional ids, and the names of the groups that hold their tokens, with this; `snapline` unless set.
    /// Job and operator follow. A job that resumes must have the same.
    #[must_use]
    pub fn transactional_id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.options.prefix = prefix.into();
        self
    }

    /// How long a transaction may be open; 15 minutes unless set. It has to be longer than the longest time from one
    /// checkpoint to the next plus the longest outage of the job after which its output must still be there. The
    /// servers permit as much as their `transaction.max.timeout.ms`.
    #[must_use]
    pub fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// Does this when the job starts from before what was committed.
    #[must_use]
    pub fn on_existing(mut self, existing: ExistingOutput) -> Self {
        self.options.existing = existing;
        self
    }
}

/// A transaction that waits for its checkpoint to be complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaCommittable {
    transaction: PreparedTransaction,
    subtask: u32,
    slot: u32,
    checkpoint: CheckpointId,
}

impl<T: 'static> Sink<T> for KafkaSink<T> {
    type Committable = KafkaCommittable;

    fn check(&self, checkpoints: &CheckpointSettings) -> Result<()> {
        let interval = Duration::from_millis(checkpoints.interval_ms);
        if self.options.guarantee == Guarantee::AtLeastOnce || self.options.timeout > interval {
            return Ok(());
        }
        Err(Error::invalid(
            "transactions time out before the next checkpoint, so that nothing would ever be committed; take checkpoints \
             more often, or raise the transaction timeout (at the servers transaction.max.timeout.ms)",
        )
        .with("transaction timeout in seconds", self.options.timeout.as_secs_f64())
        .with("interval of checkpoints in seconds", interval.as_secs_f64()))
    }

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, KafkaCommittable>>> {
        let (encode, topic) = (self.encode.clone(), self.options.topic.clone());
        let orders = sender::start(self.options.clone(), self.slots.clone(), context)?;
        Ok(Box::new(KafkaWriter::new(encode, topic, orders)))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<KafkaCommittable>>> {
        if self.options.guarantee == Guarantee::AtLeastOnce {
            return Ok(Box::new(NoCommitter));
        }
        let ids = Ids::new(&self.options.prefix, &context.job, &context.operator);
        let committer = KafkaCommitter::new(self.options.clone(), ids, context.attempt, self.slots.clone());
        Ok(Box::new(committer))
    }
}

impl<T> fmt::Debug for KafkaSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSink")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
