//! The small objects of the store.

use crate::document::{self, DocumentFormat};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snapline_core::{AttemptId, CheckpointId, Result, Timestamp};
use snapline_state::StorageKey;

const ATTEMPT: DocumentFormat = format("snapline-attempt");
const EPOCH: DocumentFormat = format("snapline-epoch");
const COMMITTED: DocumentFormat = format("snapline-committed");
const BOUNDARY: DocumentFormat = format("snapline-gc-boundary");

const fn format(name: &'static str) -> DocumentFormat {
    DocumentFormat { name, version: 1 }
}

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
    /// Nothing before this record counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) fresh: bool,
}

#[derive(Serialize)]
struct Committed {
    checkpoint: CheckpointId,
}

#[derive(Serialize)]
struct Boundary {
    boundary: CheckpointId,
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
        document::decode(EPOCH, bytes)
    }
}

pub(crate) fn encode_committed(checkpoint: CheckpointId) -> Result<Bytes> {
    document::encode(COMMITTED, &Committed { checkpoint })
}

pub(crate) fn encode_boundary(boundary: CheckpointId) -> Result<Bytes> {
    document::encode(BOUNDARY, &Boundary { boundary })
}
