//! The small objects of the store.

use super::origin::Origin;
use crate::document::{self, DocumentFormat};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snapline_core::{AttemptId, CheckpointId, Error, Result, Timestamp};
use snapline_state::StorageKey;
use std::fmt;

const ATTEMPT: DocumentFormat = format("snapline-attempt");
const EPOCH: DocumentFormat = format("snapline-epoch");
const COMMITTED: DocumentFormat = format("snapline-committed");
const BOUNDARY: DocumentFormat = format("snapline-gc-boundary");

const fn format(name: &'static str) -> DocumentFormat {
    DocumentFormat { name, version: 1 }
}

/// No job gets this far; a higher number is damage.
pub(crate) const LAST_ID: u64 = u64::MAX / 2;

/// The number of an epoch record. Records are dense, and so are their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Epoch(pub(crate) u64);

/// By how much the ids of checkpoints are ahead of the numbers of their records.
///
/// It is 0 unless the job was started from a savepoint with an id that the job had not reached:
/// checkpoints must not come to be that are older than the one from which the job started, because
/// sinks tell by the id what has been written since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct IdOffset(u64);

/// Who leads an attempt, for people who look at the storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptInfo {
    /// The machine.
    pub host: String,
    /// Different for every process: it tells a retry from a rival.
    pub nonce: u64,
    /// When the attempt started.
    pub started: Timestamp,
    /// The parallelism of the job.
    pub parallelism: u32,
}

/// The content of an epoch record.
///
/// The record of a completed checkpoint names its manifest. That of a take-over, or of a checkpoint
/// that was given up, repeats the manifest of the record before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EpochRecord {
    /// Who wrote it.
    pub(crate) attempt: AttemptId,
    /// What to restore; `None`: see the record before this one.
    pub(crate) manifest: Option<StorageKey>,
    /// The completed checkpoint before this record.
    pub(crate) parent: Option<CheckpointId>,
    /// How the job began that the record belongs to. Every record repeats it, so that the first one
    /// can be collected.
    #[serde(default)]
    pub(crate) era: Era,
}

/// What all records have in common from one start of the job to the next one that did not resume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Era {
    /// The record of that start; nothing up to it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) began: Option<Epoch>,
    /// By how much ids are ahead.
    #[serde(skip_serializing_if = "IdOffset::is_zero")]
    pub(crate) offset: IdOffset,
    /// The savepoint from which the job was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Origin>,
}

#[derive(Serialize)]
struct Committed {
    checkpoint: CheckpointId,
}

#[derive(Serialize)]
struct Boundary {
    boundary: Epoch,
}

impl Epoch {
    /// The number after this one. Names end before the numbers do.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Era {
    /// Whether a record with this number counts.
    pub(crate) fn includes(&self, epoch: Epoch) -> bool {
        self.began.is_none_or(|began| epoch > began)
    }
}

impl IdOffset {
    /// The checkpoint that the record with this number is about.
    pub(crate) fn checkpoint(self, epoch: Epoch) -> CheckpointId {
        CheckpointId(epoch.0.saturating_add(self.0))
    }

    /// The number of the record of a checkpoint; 0, which no record has, for one before the offset.
    pub(crate) fn epoch(self, checkpoint: CheckpointId) -> Epoch {
        Epoch(checkpoint.0.saturating_sub(self.0))
    }

    /// The smallest offset from this one on with which the record stands for an id after `last`.
    #[must_use]
    pub(crate) fn beyond(self, last: CheckpointId, epoch: Epoch) -> Self {
        Self(self.0.max(last.0.saturating_add(1).saturating_sub(epoch.0)))
    }

    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl AttemptInfo {
    pub(crate) fn encode(&self) -> Result<Bytes> {
        document::encode(ATTEMPT, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        document::decode(ATTEMPT, bytes)
    }
}

impl EpochRecord {
    pub(crate) fn encode(&self) -> Result<Bytes> {
        document::encode(EPOCH, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let record: Self = document::decode(EPOCH, bytes)?;
        if record.era.offset.0 > LAST_ID {
            return Err(Error::corrupted("an epoch record has an impossible offset"));
        }
        Ok(record)
    }
}

pub(crate) fn encode_committed(checkpoint: CheckpointId) -> Result<Bytes> {
    document::encode(COMMITTED, &Committed { checkpoint })
}

pub(crate) fn encode_boundary(boundary: Epoch) -> Result<Bytes> {
    document::encode(BOUNDARY, &Boundary { boundary })
}
