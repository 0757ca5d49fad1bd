//! Making a checkpoint or savepoint complete.

use super::targets::Registered;
use super::{CheckpointStore, copy_checkpoint, layout, lock};
use crate::manifest::Manifest;
use snapline_core::{AttemptId, Error, Result};
use snapline_state::StateLocation;

/// What became of [`CheckpointStore::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a caller must treat every outcome")]
pub enum PublishOutcome {
    /// The checkpoint is complete.
    Published,
    /// Another attempt has taken over; the checkpoint will never be complete.
    Fenced {
        /// The attempt that leads.
        attempt: AttemptId,
    },
    /// The manifest could not be stored, so nothing was claimed by this call.
    NotStored {
        /// What the storage said.
        reason: String,
    },
}

impl CheckpointStore {
    /// Makes a checkpoint complete: stores its manifest, then claims its epoch.
    ///
    /// Of a savepoint that stops the job, the checkpoint is a copy in the job's own folder, so that the job
    /// resumes from it whatever becomes of the savepoint.
    ///
    /// Calling it again with the same manifest is a retry of the same claim.
    ///
    /// # Errors
    /// `Unavailable` when the outcome is not known: call again with the same manifest. Any other
    /// kind: nothing was claimed by this call.
    pub async fn publish(&self, manifest: &Manifest) -> Result<PublishOutcome> {
        self.check_leads(manifest)?;
        let Some(registered) = self.registered(manifest.attempt, manifest.checkpoint) else {
            return self.publish_checkpoint(manifest).await;
        };
        match self.copy_to_chain(manifest, registered).await {
            Ok(copied) => self.publish_checkpoint(&copied).await,
            Err(error) => Ok(PublishOutcome::NotStored {
                reason: error.to_string(),
            }),
        }
    }

    /// Makes a savepoint complete: writes its manifest to the target that was registered for it.
    /// Calling it again with the same manifest changes nothing.
    ///
    /// # Errors
    /// `Unavailable` when it is not known whether the savepoint is complete: call again with the same
    /// manifest. Any other kind: it is not; `Invalid` when the target holds another savepoint.
    pub async fn publish_savepoint(&self, manifest: &Manifest) -> Result<()> {
        let registered = self.registered(manifest.attempt, manifest.checkpoint);
        let Some(Registered { target, .. }) = registered.filter(|_| manifest.job == *self.job()) else {
            return Err(Error::internal("no target was registered for this savepoint")
                .with("checkpoint", manifest.checkpoint));
        };
        target.write_manifest(manifest).await
    }

    /// A retry finds the copy that was made.
    async fn copy_to_chain(&self, manifest: &Manifest, registered: Registered) -> Result<Manifest> {
        let Registered { target, copied } = registered;
        if let Some(copied) = copied {
            return Ok(copied);
        }
        let (attempt, checkpoint) = (manifest.attempt, manifest.checkpoint);
        // The job ends with this checkpoint: what it kept of others makes room for what is copied.
        self.restrict_copies(None);
        let folder = layout::state_folder(self.job(), attempt, checkpoint)?;
        let copied = copy_checkpoint(manifest, &target.storage, self.storage.as_ref(), &folder).await?;
        if let Some(registered) = lock(&self.targets).get_mut(&(attempt, checkpoint)) {
            registered.copied = Some(copied.clone());
        }
        Ok(copied)
    }

    async fn publish_checkpoint(&self, manifest: &Manifest) -> Result<PublishOutcome> {
        let chain = self.chain()?;
        let (id, attempt) = (manifest.checkpoint, manifest.attempt);
        let key = self.layout.manifest(attempt, id)?;
        if chain
            .current
            .as_ref()
            .is_some_and(|current| current.manifest == key)
        {
            return Ok(PublishOutcome::Published);
        }
        let newest = chain.newest_id();
        if id <= newest {
            return Err(Error::internal("an id that is used already cannot be published")
                .with("checkpoint", id)
                .with("newest", newest));
        }
        self.check_own_files(manifest)?;
        if let Err(error) = self.put(&key, manifest.encode()?).await {
            return Ok(PublishOutcome::NotStored {
                reason: error.to_string(),
            });
        }
        self.claim_up_to(chain, manifest, key).await
    }

    fn check_leads(&self, manifest: &Manifest) -> Result<()> {
        let leading = self.chain()?.attempt;
        if manifest.attempt == leading && manifest.job == *self.job() {
            return Ok(());
        }
        Err(
            Error::internal("a manifest of another job or attempt cannot be published")
                .with("attempt", manifest.attempt)
                .with("leading", leading),
        )
    }

    /// A checkpoint must not depend on what others delete.
    fn check_own_files(&self, manifest: &Manifest) -> Result<()> {
        let folder = self.layout.checkpoints();
        let foreign = manifest.handles().find_map(|handle| match &handle.location {
            StateLocation::File { key, .. } if !key.as_str().starts_with(&folder) => Some(key),
            _ => None,
        });
        match foreign {
            None => Ok(()),
            Some(key) => Err(
                Error::internal("a checkpoint needs a file that does not belong to its job")
                    .with("file", key),
            ),
        }
    }
}
