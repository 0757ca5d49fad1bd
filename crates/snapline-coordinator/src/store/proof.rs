//! Proving offline that a checkpoint is what it should be.

use crate::manifest::Manifest;
use futures::StreamExt;
use snapline_barrier::{ConsistentCut, CutViolation};
use snapline_core::{Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, StateLocation, read_files};
use std::collections::BTreeSet;

/// What [`verify_checkpoint`] has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct CheckpointProof {
    /// Whether the snapshots of the tasks are a consistent cut, and on what the proof rests.
    pub cut: Result<ConsistentCut, CutViolation>,
    /// How many files were read.
    pub files: usize,
    /// How many bytes of state were compared with their checksums.
    pub bytes: u64,
    /// Pieces of state that are missing, cut short or altered.
    pub damage: Vec<Error>,
}

impl CheckpointProof {
    /// Whether a restore gives what the job had.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.cut.is_ok() && self.damage.is_empty()
    }
}

/// Proves that a stored checkpoint or savepoint is a consistent cut and that all of its state is there,
/// in bounded memory. Everything is looked at, also after something was found.
///
/// # Errors
/// The storage's error: it is not known then.
pub async fn verify_checkpoint(
    storage: &dyn CheckpointStorage,
    manifest: &Manifest,
) -> Result<CheckpointProof> {
    let files: BTreeSet<_> = manifest.files().collect();
    let mut proof = CheckpointProof {
        cut: manifest.verify_cut(),
        files: files.len(),
        bytes: 0,
        damage: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    let mut pieces = Vec::new();
    for handle in manifest.handles() {
        // Subtasks may share a piece of a file.
        if let StateLocation::File { key, offset } = &handle.location
            && !seen.insert((key, offset, handle.len, handle.checksum))
        {
            continue;
        }
        proof.bytes = proof.bytes.saturating_add(handle.len);
        pieces.push(handle);
    }
    let mut parts = read_files(storage, pieces);
    while let Some(part) = parts.next().await {
        match part.content {
            Err(error) if error.kind() == ErrorKind::Corrupted => proof.damage.push(error),
            other => _ = other?,
        }
    }
    drop(parts);
    Ok(proof)
}
