//! Asking for a savepoint.

use snapline_core::CheckpointId;
use snapline_state::CheckpointStorage;
use std::sync::Arc;

/// Where a savepoint goes, and what becomes of the job.
#[derive(Debug, Clone)]
pub struct SavepointRequest {
    /// The path in the storage, not used by anything else.
    pub path: String,
    /// The storage; that of the job's checkpoints when unset.
    pub storage: Option<Arc<dyn CheckpointStorage>>,
    /// What becomes of the job.
    pub kind: SavepointKind,
}

/// What becomes of a job when its savepoint is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SavepointKind {
    /// It goes on.
    #[default]
    GoOn,
    /// It stops, in the middle of its input: running it again goes on from there.
    Suspend,
    /// It ends as if its input had ended: windows close, final results are emitted.
    Drain,
}

impl SavepointRequest {
    /// A savepoint in the job's storage, after which the job goes on.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            storage: None,
            kind: SavepointKind::GoOn,
        }
    }

    /// In another storage.
    #[must_use]
    pub fn in_storage(self, storage: impl CheckpointStorage) -> Self {
        let storage: Option<Arc<dyn CheckpointStorage>> = Some(Arc::new(storage));
        Self { storage, ..self }
    }

    /// Stops the job with the savepoint, in the middle of its input.
    #[must_use]
    pub fn suspend(self) -> Self {
        let kind = SavepointKind::Suspend;
        Self { kind, ..self }
    }

    /// Ends the job with the savepoint, as if its input had ended.
    #[must_use]
    pub fn drain(self) -> Self {
        let kind = SavepointKind::Drain;
        Self { kind, ..self }
    }
}

impl From<&str> for SavepointRequest {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

/// A savepoint that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavepointInfo {
    /// Its id.
    pub checkpoint: CheckpointId,
    /// The storage and the path, for people.
    pub location: String,
    /// The path, for [`snapline_core::RestoreSettings`].
    pub path: String,
}

impl SavepointInfo {
    /// A savepoint with this id at this path of this storage.
    pub fn new(checkpoint: CheckpointId, storage: &dyn CheckpointStorage, path: &str) -> Self {
        Self {
            checkpoint,
            location: format!("{} {path}", storage.location()),
            path: path.to_owned(),
        }
    }
}
