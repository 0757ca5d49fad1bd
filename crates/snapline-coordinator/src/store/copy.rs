//! Copying a checkpoint from one place to another.

use crate::manifest::{Manifest, handles_mut};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use snapline_core::{Error, Result};
use snapline_state::{ByteStream, CheckpointStorage, StateHandle, StateLocation, StorageKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much is read at a time.
const PIECE: u64 = 1024 * 1024;
/// So many pieces are read at the same time.
const AT_ONCE: u64 = 8;

/// A piece of a file.
type Piece = (StorageKey, u64, u64);

/// Copies all state of a checkpoint to files named `{prefix}/{operator}/{subtask}-...` and returns the
/// manifest that refers to the copies, which is not stored anywhere.
///
/// It reads and writes a few pieces at a time, and verifies every checksum on the way. Pieces that several
/// subtasks share are copied once. Copying again replaces the copies.
///
/// # Errors
/// `Corrupted` naming the file when the state is not what its checksum says; otherwise the storages'
/// errors. Copies that were made stay behind.
pub async fn copy_checkpoint(
    manifest: &Manifest,
    from: &Arc<dyn CheckpointStorage>,
    to: &dyn CheckpointStorage,
    prefix: &StorageKey,
) -> Result<Manifest> {
    let mut copy = manifest.clone();
    let mut copied: BTreeMap<Piece, StorageKey> = BTreeMap::new();
    copy.sizes.written = 0;
    for (uid, operator) in &mut copy.operators {
        for (subtask, state) in operator.subtasks.iter_mut().enumerate() {
            for (index, handle) in handles_mut(state).enumerate() {
                let StateLocation::File { key, offset } = &handle.location else {
                    continue;
                };
                let piece = (key.clone(), *offset, handle.len);
                let copy_key = match copied.get(&piece) {
                    Some(key) => key.clone(),
                    None => {
                        let name = format!("{uid}/{subtask}-{index}");
                        let key = copy_file(handle, from, to, prefix.join(&name)?).await?;
                        copy.sizes.written = copy.sizes.written.saturating_add(handle.len);
                        copied.insert(piece, key.clone());
                        key
                    }
                };
                handle.location = StateLocation::File {
                    key: copy_key,
                    offset: 0,
                };
            }
        }
    }
    Ok(copy)
}

/// Copies one piece of state to a file of its own.
async fn copy_file(
    handle: &StateHandle,
    from: &Arc<dyn CheckpointStorage>,
    to: &dyn CheckpointStorage,
    key: StorageKey,
) -> Result<StorageKey> {
    let content = content(from.clone(), handle.clone());
    let stored = to.put(&key, content).await?;
    if (stored.len, stored.checksum) == (handle.len, handle.checksum) {
        return Ok(key);
    }
    Err(Error::corrupted("a state file was altered while it was copied").with("file", key))
}

/// The bytes of a piece of state. The stream fails at its end when they are not what the checksum says,
/// so that nothing becomes visible at its destination.
fn content(storage: Arc<dyn CheckpointStorage>, handle: StateHandle) -> ByteStream {
    let start = (0_u64, 0_u32);
    let steps = stream::try_unfold(start, move |(done, checksum)| {
        let (storage, handle) = (storage.clone(), handle.clone());
        async move {
            if done < handle.len {
                let (pieces, checksum) = step(&*storage, &handle, done, checksum).await?;
                let done = handle.len.min(done + AT_ONCE * PIECE);
                return Ok(Some((stream::iter(pieces.into_iter().map(Ok)), (done, checksum))));
            }
            match checksum == handle.checksum {
                true => Ok(None),
                false => Err(altered(&handle)),
            }
        }
    });
    steps.try_flatten().boxed()
}

fn altered(handle: &StateHandle) -> Error {
    let error = Error::corrupted("the checksum of a state file does not match");
    match &handle.location {
        StateLocation::File { key, .. } => error.with("file", key),
        _ => error,
    }
}

/// The next pieces, read at the same time, and the checksum of all up to them.
async fn step(
    storage: &dyn CheckpointStorage,
    handle: &StateHandle,
    done: u64,
    checksum: u32,
) -> Result<(Vec<Bytes>, u32)> {
    let StateLocation::File { key, offset } = &handle.location else {
        return Err(Error::internal("state in a manifest has no file to copy"));
    };
    let pieces = (0..AT_ONCE)
        .map(|number| done + number * PIECE)
        .take_while(|start| *start < handle.len);
    let reads = pieces.map(|start| read(storage, key, offset + start, PIECE.min(handle.len - start)).boxed());
    let pieces = try_join_all(reads.collect::<Vec<_>>()).await?;
    let append = |checksum, piece: &Bytes| crc32c::crc32c_append(checksum, piece);
    let checksum = pieces.iter().fold(checksum, append);
    Ok((pieces, checksum))
}

async fn read(storage: &dyn CheckpointStorage, key: &StorageKey, from: u64, len: u64) -> Result<Bytes> {
    let bytes = storage.get(key, Some(from..from + len)).await?;
    let bytes = bytes.ok_or_else(|| Error::corrupted("a state file is missing").with("file", key))?;
    if bytes.len() as u64 != len {
        return Err(Error::corrupted("a state file is too short")
            .with("file", key)
            .with("needed", from + len));
    }
    Ok(bytes)
}
