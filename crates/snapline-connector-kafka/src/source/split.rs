//! A partition, and from where it is still to be read.

use crate::client::TopicPartition;
use serde::{Deserialize, Serialize};
use snapline_connector::SourceSplit;

/// A partition with the offset of the next record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaSplit {
    /// The partition.
    pub(super) partition: TopicPartition,
    /// The offset of the next record.
    pub(super) next: i64,
    /// The offset at which reading ends, if it does.
    pub(super) end: Option<i64>,
}

impl KafkaSplit {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The offset of the next record.
    pub fn next_offset(&self) -> i64 {
        self.next
    }

    /// Whether it is read to its end.
    pub(super) fn is_finished(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

impl SourceSplit for KafkaSplit {
    /// What is left, or the same for all that have no end.
    fn weight(&self) -> u64 {
        self.end
            .map_or(1, |end| u64::try_from(end - self.next).unwrap_or(0))
    }
}
