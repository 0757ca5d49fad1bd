//! Records of topics.

mod decode;
mod enumerator;
mod fetching;
mod reader;
mod split;

use crate::client::{Isolation, KafkaRecord, TopicPartition};
use crate::connection::KafkaConnection;
use decode::Decode;
use enumerator::KafkaEnumerator;
use reader::KafkaReader;
use snapline_connector::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::{Data, Error, Result, Timestamp};
use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

pub use split::KafkaSplit;

/// Reads topics, each partition in order, and goes on after a restart at the very next record.
///
/// The offsets are in the checkpoint; those of a consumer group play no part, but can be kept up to date for tools.
/// Each record has its time as its event time.
///
/// ```
/// use snapline_connector_kafka::{KafkaConnection, KafkaSource, KafkaStart};
///
/// let kafka = KafkaConnection::to("localhost:9092");
/// let lines = KafkaSource::new(&kafka, ["lines"], |record| {
///     String::from_utf8(record.value.as_deref().unwrap_or_default().to_vec())
/// })
/// .start(KafkaStart::Earliest)
/// .bounded();
/// ```
pub struct KafkaSource<T> {
    connection: KafkaConnection,
    decode: Decode<T>,
    options: Options,
}

#[derive(Debug, Clone)]
struct Options {
    topics: Vec<String>,
    start: KafkaStart,
    extent: Extent,
    isolation: Isolation,
    undecodable: Undecodable,
    group: Option<String>,
    discovery: Option<Duration>,
}

impl Options {
    /// A source that ends has all of its partitions at the beginning.
    fn discovery_interval(&self) -> Option<Duration> {
        self.discovery.filter(|_| self.extent == Extent::Unbounded)
    }
}

/// Whether reading ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// At the end that each partition has when the job starts at the beginning.
    Bounded,
    /// Never.
    Unbounded,
}

/// Where a job that starts at the beginning begins to read. One that resumes goes on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KafkaStart {
    /// With the first records that are still there.
    #[default]
    Earliest,
    /// Behind the last records that are there.
    Latest,
    /// With the first record of each partition of this time or later; behind the last where there is none.
    Timestamp(Timestamp),
    /// At these offsets; partitions that are not named, with the first record.
    Offsets(BTreeMap<TopicPartition, i64>),
}

/// What happens with a record that cannot be decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undecodable {
    /// The job fails, and names its topic, partition and offset.
    #[default]
    Fail,
    /// It is passed over, and counted in `snapline_kafka_undecodable_records`.
    Skip,
}

impl<T: Data> KafkaSource<T> {
    /// Reads all partitions of these topics and makes a record of the job of each record.
    pub fn new<E: Into<Box<dyn StdError + Send + Sync>>>(
        connection: &KafkaConnection,
        topics: impl IntoIterator<Item = impl Into<String>>,
        decode: impl Fn(&KafkaRecord) -> Result<T, E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            connection: connection.clone(),
            decode: decode::by_record(decode),
            options: Options {
                topics: topics.into_iter().map(Into::into).collect(),
                start: KafkaStart::default(),
                extent: Extent::Unbounded,
                isolation: Isolation::default(),
                undecodable: Undecodable::default(),
                group: None,
                discovery: None,
            },
        }
    }

    /// Begins there; with the first record unless set.
    #[must_use]
    pub fn start(mut self, start: KafkaStart) -> Self {
        self.options.start = start;
        self
    }

    /// Ends where the partitions end when the job starts at the beginning.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.options.extent = Extent::Bounded;
        self
    }

    /// Looks for partitions that were added to the topics, this often, and reads them from their first record. Has no effect
    /// on a source that ends.
    #[must_use]
    pub fn discover_partitions_every(mut self, interval: Duration) -> Self {
        self.options.discovery = Some(interval);
        self
    }

    /// Reads records of open and aborted transactions too, or not, as is the case unless set.
    #[must_use]
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.options.isolation = isolation;
        self
    }

    /// Does this with records that cannot be decoded.
    #[must_use]
    pub fn on_undecodable(mut self, undecodable: Undecodable) -> Self {
        self.options.undecodable = undecodable;
        self
    }

    /// Sets the offsets of this consumer group whenever a checkpoint is complete, for tools that show how far a group is.
    #[must_use]
    pub fn commit_offsets_of(mut self, group: impl Into<String>) -> Self {
        self.options.group = Some(group.into());
        self
    }
}

impl<T: Data> Source for KafkaSource<T> {
    type Item = T;
    type Split = KafkaSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<KafkaSplit>>> {
        if self.options.topics.is_empty() {
            return Err(Error::invalid(
                "a source of kafka needs a topic; name at least one",
            ));
        }
        Ok(Box::new(KafkaEnumerator::new(
            self.connection.clone(),
            self.options.clone(),
        )))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.options.discovery_interval()
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, KafkaSplit>>> {
        Ok(Box::new(KafkaReader::new(
            self.connection.clone(),
            self.options.clone(),
            self.decode.clone(),
        )))
    }
}

impl<T> fmt::Debug for KafkaSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource")
            .field("connection", &self.connection)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
