//! Whether the state of a checkpoint is all there.

use crate::manifest::Manifest;
use futures::{FutureExt, StreamExt, TryStreamExt};
use snapline_core::{Error, Result};
use snapline_state::{CheckpointStorage, StateHandle, StateLocation, StorageKey, read_files};

/// How much is read at a time.
pub(super) const PIECE: u64 = 1024 * 1024;
/// How many files are looked at at the same time.
const CONCURRENT: usize = 8;

/// How much of a checkpoint is looked at before it is restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// Its manifest: fastest; damaged state shows when it is read.
    Manifest,
    /// Also that every file is there and long enough: one small read for each.
    Lengths,
    /// Also that every file has the checksum in the manifest: reads all state once.
    #[default]
    Checksums,
}

/// Checks the state of a checkpoint in bounded memory. State of which the process has a
/// [copy](StateHandle::is_local) is not read.
///
/// # Errors
/// `Corrupted` naming the first file found missing, cut short or altered; otherwise the storage's error.
pub async fn verify_handles(
    storage: &dyn CheckpointStorage,
    manifest: &Manifest,
    verification: Verification,
) -> Result<()> {
    let handles = manifest.handles().filter(|handle| !handle.is_local(storage));
    match verification {
        Verification::Manifest => Ok(()),
        Verification::Lengths => {
            // Boxed one by one: a closure in the stream would keep the caller's future from being `Send`.
            let checks: Vec<_> = handles
                .map(|handle| check_length(storage, handle).boxed())
                .collect();
            let checks = futures::stream::iter(checks);
            checks.buffer_unordered(CONCURRENT).try_collect().await
        }
        Verification::Checksums => {
            let mut parts = read_files(storage, handles);
            while let Some(part) = parts.next().await {
                part.content?;
            }
            Ok(())
        }
    }
}

async fn check_length(storage: &dyn CheckpointStorage, handle: &StateHandle) -> Result<()> {
    match &handle.location {
        StateLocation::File { key, offset } => {
            let last = handle.len.min(1);
            let from = *offset + handle.len - last;
            read(storage, key, from, last).await.map(|_| ())
        }
        _ => handle.read(storage).await.map(|_| ()),
    }
}

pub(super) async fn read(
    storage: &dyn CheckpointStorage,
    key: &StorageKey,
    from: u64,
    len: u64,
) -> Result<bytes::Bytes> {
    let bytes = storage.get(key, Some(from..from + len)).await?;
    let bytes = bytes.ok_or_else(|| Error::corrupted("a state file is missing").with("file", key))?;
    if bytes.len() as u64 != len {
        return Err(Error::corrupted("a state file is too short")
            .with("file", key)
            .with("needed", from + len));
    }
    Ok(bytes)
}
