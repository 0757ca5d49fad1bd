//! Whether the state of a checkpoint is all there.

use crate::manifest::Manifest;
use futures::{FutureExt, StreamExt, TryStreamExt};
use snapline_core::Result;
use snapline_state::{CheckpointStorage, read_files};

/// How many files are looked at at the same time.
const CONCURRENT: usize = 8;

/// How much of a checkpoint is looked at before it is restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// Its manifest: fastest; damaged state shows when it is loaded.
    Manifest,
    /// Also that every file is there and long enough: one small read for each.
    Lengths,
    /// Also that every file has the checksum in the manifest: reads all state.
    #[default]
    Checksums,
}

/// Checks the state of a checkpoint in bounded memory. State of which the process has a
/// [copy](snapline_state::StateHandle::is_local) is not read.
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
                .map(|handle| handle.check_length(storage).boxed())
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
