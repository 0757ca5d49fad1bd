//! Copying a checkpoint from one place to another.

use super::verify::{PIECE, read};
use crate::manifest::{Manifest, handles_mut};
use futures::stream::{self, StreamExt};
use snapline_core::{Error, Result};
use snapline_state::{ByteStream, CheckpointStorage, StateHandle, StateLocation, StorageKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A piece of a file.
type Piece = (StorageKey, u64, u64);

/// Copies all state of a checkpoint to files named `{prefix}/{operator}/{subtask}-...` and returns the
/// manifest that refers to the copies, which is not stored anywhere.
///
/// It reads and writes a piece at a time, and verifies every checksum on the way. Pieces that several
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
    stream::try_unfold(start, move |(done, checksum)| {
        let (storage, handle) = (storage.clone(), handle.clone());
        async move {
            let StateLocation::File { key, offset } = &handle.location else {
                return Ok(None);
            };
            let len = PIECE.min(handle.len - done);
            if len == 0 {
                return match checksum == handle.checksum {
                    true => Ok(None),
                    false => {
                        Err(Error::corrupted("the checksum of a state file does not match").with("file", key))
                    }
                };
            }
            let bytes = read(storage.as_ref(), key, offset + done, len).await?;
            let checksum = crc32c::crc32c_append(checksum, &bytes);
            Ok(Some((bytes, (done + len, checksum))))
        }
    })
    .boxed()
}
