//! Deleting one checkpoint by hand.

use super::{CheckpointStore, Savepoint, StoredCheckpoint, Verification, layout};
use snapline_core::{CheckpointId, Error, Result};
use snapline_state::StorageKey;

impl CheckpointStore {
    /// Deletes one checkpoint, claiming nothing, and returns how many files are gone.
    ///
    /// The job should not be running: a checkpoint that it is just taking may build on the deleted one.
    /// Its record stays, so that its number is not used again; a restore passes it over. The newest checkpoint
    /// is not deleted, and neither is one that a newer one has taken files from.
    ///
    /// # Errors
    /// `Invalid` when there is no such checkpoint, when it is the newest, or when it is needed, saying by
    /// which; `Unsupported` or `Corrupted` when a newer one cannot be read, because it may be needed by that.
    /// Otherwise the storage's error: calling it again goes on.
    pub async fn delete_checkpoint(&self, checkpoint: CheckpointId) -> Result<usize> {
        let checkpoints = self.checkpoints().await?;
        let Some(at) = checkpoints.iter().position(|(id, _)| *id == checkpoint) else {
            return Err(self.refuse("there is no such checkpoint; list those there are", checkpoint));
        };
        if at == 0 {
            return Err(self.refuse(
                "the newest checkpoint is what the job resumes from and cannot be deleted; run the job fresh instead",
                checkpoint,
            ));
        }
        for (newer, summary) in checkpoints.into_iter().take(at) {
            let path = match summary {
                Ok(summary) => summary.path,
                Err(error) if StoredCheckpoint::is_gone(&error) => continue,
                Err(error) => return Err(error.with("newer checkpoint", newer)),
            };
            let folder = Savepoint::new(self.storage.clone(), path);
            let manifest = folder.read(Verification::Manifest).await?;
            if manifest.files().any(|file| self.is_of(file, checkpoint)) {
                let refused = self.refuse(
                    "a newer checkpoint has taken files from this one and cannot be restored without; delete that first",
                    checkpoint,
                );
                return Err(refused.with("newer checkpoint", newer));
            }
        }
        self.delete_files(checkpoint).await
    }

    /// The manifest goes first: whoever looks finds a whole checkpoint or none.
    async fn delete_files(&self, checkpoint: CheckpointId) -> Result<usize> {
        let mut files = self.storage.list(&self.layout.checkpoints(), None).await?;
        files.retain(|file| self.is_of(file, checkpoint));
        let (manifests, state): (Vec<_>, Vec<_>) = files
            .into_iter()
            .partition(|file| file.name() == layout::MANIFEST);
        self.storage.delete(&manifests).await?;
        self.storage.delete(&state).await?;
        Ok(manifests.len() + state.len())
    }

    fn refuse(&self, message: &str, checkpoint: CheckpointId) -> Error {
        Error::invalid(message)
            .with("checkpoint", checkpoint)
            .with("job", self.job())
    }

    fn is_of(&self, file: &StorageKey, checkpoint: CheckpointId) -> bool {
        self.layout
            .owner(file)
            .is_some_and(|(_, owner)| owner == checkpoint)
    }
}
