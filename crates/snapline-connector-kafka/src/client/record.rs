//! Records as Kafka has them: bytes with a key, headers and a time.

use bytes::Bytes;
use snapline_core::Timestamp;
use std::sync::Arc;

/// Headers in their order; names may repeat, values may be null.
pub type Headers = Vec<(String, Option<Bytes>)>;

/// A record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KafkaRecord {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition of the topic.
    pub partition: i32,
    /// The position in the partition.
    pub offset: i64,
    /// When it was made or appended, as the topic is set.
    pub timestamp: Timestamp,
    /// The key, if it has one.
    pub key: Option<Bytes>,
    /// The value; `None` where the key was deleted.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
}

impl KafkaRecord {
    /// A record of a partition, without key, value and headers, of the beginning of time.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32, offset: i64) -> Self {
        Self {
            topic: topic.into(),
            partition,
            offset,
            timestamp: Timestamp(0),
            key: None,
            value: None,
            headers: Headers::new(),
        }
    }
}

/// A record to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewRecord {
    /// The topic; that of the sink unless set.
    pub topic: Option<String>,
    /// The partition; chosen by the key unless set.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` deletes the key in a compacted topic.
    pub value: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
    /// The time of the record; when it is sent unless set.
    pub timestamp: Option<Timestamp>,
}

impl NewRecord {
    /// A record with this value.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Self {
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// A record that deletes a key in a compacted topic.
    pub fn tombstone(key: impl Into<Bytes>) -> Self {
        Self::default().key(key)
    }

    /// Sets the key, which chooses the partition.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), Some(value.into())));
        self
    }

    /// Sends it to another topic than that of the sink.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Sends it to this partition, whatever its key.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Gives it this time.
    #[must_use]
    pub fn timestamp(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}
