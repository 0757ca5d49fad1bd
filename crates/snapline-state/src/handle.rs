//! Where in a storage the parts of a snapshot are.

use crate::format::base64_bytes;
use crate::local_copies::LocalCopy;
use crate::pieces::Pieces;
use crate::storage::CheckpointStorage;
use crate::storage_key::StorageKey;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snapline_core::{Error, KeyGroupRange, Result};
use std::ops::Range;

/// A piece of snapshotted state: where it is and how to see that it is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateHandle {
    /// Where the bytes are.
    pub location: StateLocation,
    /// How many bytes.
    pub len: u64,
    /// crc32c of the bytes.
    pub checksum: u32,
    /// The key groups that the piece may have entries of; `None` for state without keys.
    pub key_groups: Option<KeyGroupRange>,
    /// What the piece is.
    pub kind: HandleKind,
}

/// Where the bytes of a [`StateHandle`] are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StateLocation {
    /// In an object of the checkpoint storage.
    File {
        /// The object.
        key: StorageKey,
        /// Where in the object the piece begins, in bytes.
        offset: u64,
    },
    /// In the manifest itself, for pieces too small for an object of their own.
    Inline(#[serde(with = "base64_bytes")] Bytes),
}

/// What a [`StateHandle`] is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HandleKind {
    /// All entries of the tables of one subtask.
    Full,
    /// The entries that have changed since the snapshot before, and the keys that are gone: it is read after
    /// the handles that come before it.
    Delta,
    /// The [`crate::OperatorState`] of one subtask.
    OperatorState,
    /// What was in flight towards one subtask.
    ChannelState,
}

impl StateHandle {
    /// A handle that carries its bytes.
    pub fn inline(bytes: Bytes, kind: HandleKind, key_groups: Option<KeyGroupRange>) -> Self {
        Self {
            len: bytes.len() as u64,
            checksum: crc32c::crc32c(&bytes),
            location: StateLocation::Inline(bytes),
            key_groups,
            kind,
        }
    }

    /// Reads the piece and checks its length and checksum.
    ///
    /// # Errors
    /// `Corrupted` naming the object when it is missing, cut short, or altered; otherwise the storage's error.
    pub async fn read(&self, storage: &dyn CheckpointStorage) -> Result<Bytes> {
        self.read_pieces(storage).await.map(Pieces::into_bytes)
    }

    /// Reads the piece as it lies in memory, when this process still [has it](Self::is_local), and otherwise
    /// from the storage. Its length and checksum are checked either way; a damaged copy is passed over with a warning.
    ///
    /// # Errors
    /// As [`StateHandle::read`].
    pub async fn read_pieces(&self, storage: &dyn CheckpointStorage) -> Result<Pieces> {
        if let Some(copy) = LocalCopy::of(self, storage) {
            match copy.checked() {
                Some(pieces) => return Ok(pieces),
                None => tracing::warn!(
                    file = self.name(),
                    "the copy of a state file in memory is damaged; the file is read"
                ),
            }
        }
        self.read_stored(storage).await.map(Pieces::from)
    }

    /// Whether this process still has the piece in memory, written with the length and checksum of this handle.
    /// Reads nothing.
    pub fn is_local(&self, storage: &dyn CheckpointStorage) -> bool {
        LocalCopy::of(self, storage).is_some()
    }

    /// Looks whether the piece is there and long enough, by reading its last byte: for who does not read it, and lets later
    /// snapshots refer to it.
    ///
    /// # Errors
    /// `Corrupted` naming the object when it is missing or cut short; otherwise the storage's error.
    pub async fn check_length(&self, storage: &dyn CheckpointStorage) -> Result<()> {
        let StateLocation::File { key, offset } = &self.location else {
            return self.read(storage).await.map(drop);
        };
        let end = self.range(*offset)?.end;
        let last = end - self.len.min(1)..end;
        let bytes = storage.get(key, Some(last.clone())).await?;
        let bytes = bytes.ok_or_else(|| Error::corrupted("a state file is missing").with("file", key))?;
        if bytes.len() as u64 != last.end - last.start {
            return Err(Error::corrupted("a state file is too short")
                .with("file", key)
                .with("needed", end));
        }
        Ok(())
    }

    async fn read_stored(&self, storage: &dyn CheckpointStorage) -> Result<Bytes> {
        let bytes = match &self.location {
            StateLocation::Inline(bytes) => bytes.clone(),
            StateLocation::File { key, offset } => storage
                .get(key, Some(self.range(*offset)?))
                .await?
                .ok_or_else(|| Error::corrupted("a state file is missing").with("file", key))?,
        };
        self.check(&bytes)?;
        Ok(bytes)
    }

    /// The bytes of the object that are the piece.
    pub(crate) fn range(&self, offset: u64) -> Result<Range<u64>> {
        let end = offset.checked_add(self.len).ok_or_else(|| {
            Error::corrupted("a state handle has an impossible range")
                .with("file", self.name())
                .with("offset", offset)
                .with("length", self.len)
        })?;
        Ok(offset..end)
    }

    fn check(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 != self.len {
            return Err(Error::corrupted("a state file has the wrong length")
                .with("file", self.name())
                .with("expected", self.len)
                .with("found", bytes.len()));
        }
        if crc32c::crc32c(bytes) != self.checksum {
            return Err(
                Error::corrupted("the checksum of a state file does not match").with("file", self.name())
            );
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        match &self.location {
            StateLocation::Inline(_) => "(inline)",
            StateLocation::File { key, .. } => key.as_str(),
        }
    }
}

/// What a sink has pre-committed, encoded by the sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Committable(#[serde(with = "base64_bytes")] pub Bytes);

/// The state of one subtask of one operator in one checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubtaskState {
    /// Keyed state.
    pub keyed: Vec<StateHandle>,
    /// Operator state.
    pub operator: Option<StateHandle>,
    /// What was in flight towards the subtask: the batches that its barriers overtook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<StateHandle>,
    /// To be committed when the checkpoint is complete.
    pub committables: Vec<Committable>,
    /// Whether the subtask had ended, so that a restore has nothing to run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub finished: bool,
    /// Whether the operator state has union lists, which are whole only with those of all other subtasks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_unions: bool,
    /// Whether the operator was about to emit records of its own accord, so that a loop around it is not over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_unfinished_work: bool,
}

impl SubtaskState {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.handles().next().is_none() && self.committables.is_empty() && !self.finished
    }

    /// All handles.
    pub fn handles(&self) -> impl Iterator<Item = &StateHandle> {
        self.keyed.iter().chain(&self.operator).chain(&self.channels)
    }

    /// The length of all pieces in bytes.
    pub fn len(&self) -> u64 {
        let committables: u64 = self
            .committables
            .iter()
            .map(|committable| committable.0.len() as u64)
            .sum();
        self.handles().map(|handle| handle.len).sum::<u64>() + committables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    #[test]
    fn a_range_that_cannot_be_is_damage() {
        let handle = |len| StateHandle {
            location: StateLocation::File {
                key: StorageKey::new("job/state").unwrap(),
                offset: 0,
            },
            len,
            checksum: 0,
            key_groups: None,
            kind: HandleKind::Full,
        };
        assert_eq!(handle(3).range(7).unwrap(), 7..10);
        assert_eq!(handle(1).range(u64::MAX - 1).unwrap().end, u64::MAX);
        let error = handle(2).range(u64::MAX - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
    }
}
