//! Whether the state of a checkpoint is all there.

use crate::manifest::Manifest;
use futures::{FutureExt, StreamExt, TryStreamExt};
use snapline_core::{Error, Result};
use snapline_state::{CheckpointStorage, StateHandle, StateLocation, StorageKey};

/// How much is read at a time.
pub(super) const PIECE: u64 = 1024 * 1024;
/// How many pieces of state are read at the same time.
pub(super) const CONCURRENT: usize = 8;

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
    // Boxed one by one: a closure in the stream would keep the caller's future from being `Send`.
    let mut checks = Vec::new();
    for handle in manifest.handles().filter(|handle| !handle.is_local(storage)) {
        checks.push(match verification {
            Verification::Manifest => continue,
            Verification::Lengths => check_length(storage, handle).boxed(),
            Verification::Checksums => check_content(storage, handle).boxed(),
        });
    }
    let checks = futures::stream::iter(checks);
    checks.buffer_unordered(CONCURRENT).try_collect().await
}

async fn check_length(storage: &dyn CheckpointStorage, handle: &StateHandle) -> Result<()> {
    match &handle.location {
        StateLocation::File { key, offset } => {
            let last = handle.len.min(1);
            let from = *offset + handle.len - last;
            read(storage, key, from, last).await.map(|_| ())
        }
        _ => check_content(storage, handle).await,
    }
}

pub(super) async fn check_content(storage: &dyn CheckpointStorage, handle: &StateHandle) -> Result<()> {
    let (key, offset) = match &handle.location {
        StateLocation::File { key, offset } => (key, *offset),
        _ => return handle.read(storage).await.map(|_| ()),
    };
    let (mut done, mut checksum) = (0, 0);
    while done < handle.len || done == 0 {
        let len = PIECE.min(handle.len - done);
        let bytes = read(storage, key, offset + done, len).await?;
        checksum = crc32c::crc32c_append(checksum, &bytes);
        done += len;
        if len == 0 {
            break;
        }
    }
    if checksum != handle.checksum {
        return Err(Error::corrupted("the checksum of a state file does not match").with("file", key));
    }
    Ok(())
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
