//! Checkpoints whose state goes to a savepoint.

use super::{CheckpointStore, SavepointTarget, lock};
use crate::manifest::Manifest;
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind, OperatorUid, Result, SubtaskIndex};
use snapline_state::{SnapshotTarget, StateHandle, StateLocation, StorageKey};

/// A savepoint that was asked for.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) target: SavepointTarget,
    /// Its copy in the job's own chain, once there is one.
    pub(super) copied: Option<Manifest>,
}

impl CheckpointStore {
    /// Checks that a savepoint can be written there: to be called before it is triggered.
    ///
    /// # Errors
    /// `Invalid` when the path holds a savepoint already or is a place where this job keeps its
    /// checkpoints; otherwise the storage's error.
    pub async fn prepare_savepoint(&self, target: &SavepointTarget) -> Result<()> {
        if self.layout.is_reserved(&target.path) {
            return Err(
                Error::invalid("the job keeps its checkpoints at this path; choose another path")
                    .with("savepoint", &target.path)
                    .with("job", self.job()),
            );
        }
        target.check_free().await
    }

    /// Makes [`CheckpointStore::snapshot_target`] point to a savepoint for this checkpoint of this
    /// attempt, until the next take-over.
    pub fn register_savepoint(&self, attempt: AttemptId, checkpoint: CheckpointId, target: SavepointTarget) {
        let copied = None;
        lock(&self.targets).insert((attempt, checkpoint), Registered { target, copied });
    }

    /// Takes back [`CheckpointStore::register_savepoint`], when nobody writes to the savepoint any more.
    pub fn unregister_savepoint(&self, attempt: AttemptId, checkpoint: CheckpointId) {
        lock(&self.targets).remove(&(attempt, checkpoint));
    }

    /// Deletes what was written for a savepoint that was given up. One that is complete stays.
    ///
    /// State that arrives later goes to the same place until [`CheckpointStore::unregister_savepoint`]:
    /// [`CheckpointStore::discard`] takes its handles.
    ///
    /// # Errors
    /// The storage's error. Calling it again is safe.
    pub async fn discard_savepoint(&self, attempt: AttemptId, checkpoint: CheckpointId) -> Result<()> {
        let Some(Registered { target, .. }) = self.registered(attempt, checkpoint) else {
            return Ok(());
        };
        match target.savepoint().find().await {
            Ok(found) if self.is_own(&found.manifest, attempt, checkpoint) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            _ => {}
        }
        let folder = format!("{}/", self.layout.savepoint(&target.path, attempt, checkpoint)?);
        let files = target.storage.list(&folder, None).await?;
        target.storage.delete(&files).await
    }

    /// Where one subtask of an operator stores its part of a checkpoint.
    ///
    /// # Errors
    /// None that a valid id could cause.
    pub fn snapshot_target(
        &self,
        attempt: AttemptId,
        checkpoint: CheckpointId,
        operator: &OperatorUid,
        subtask: SubtaskIndex,
    ) -> Result<SnapshotTarget> {
        if let Some(Registered { target, .. }) = self.registered(attempt, checkpoint) {
            let folder = self.layout.savepoint(&target.path, attempt, checkpoint)?;
            let prefix = folder.join(&format!("{operator}/{subtask}"))?;
            return Ok(SnapshotTarget::new(target.storage, prefix).compressed_by(self.codec));
        }
        let prefix = self.layout.state(attempt, checkpoint, operator, subtask)?;
        Ok(SnapshotTarget::new(self.storage.clone(), prefix).compressed_by(self.codec))
    }

    /// Deletes the files of state that nothing refers to.
    ///
    /// # Errors
    /// The storage's error; the garbage collection will find what is left in the job's own folder.
    pub async fn discard(&self, handles: &[StateHandle]) -> Result<()> {
        let mut own = Vec::new();
        let mut foreign = Vec::new();
        for handle in handles {
            let StateLocation::File { key, .. } = &handle.location else {
                continue;
            };
            if key.as_str().starts_with(&self.layout.checkpoints()) {
                own.push(key.clone());
            } else if let Some(target) = self.target_of(key) {
                foreign.push((target, key.clone()));
            }
        }
        own.dedup();
        for (target, key) in foreign {
            target.storage.delete(&[key]).await?;
        }
        self.storage.delete(&own).await
    }

    pub(super) fn registered(&self, attempt: AttemptId, checkpoint: CheckpointId) -> Option<Registered> {
        lock(&self.targets).get(&(attempt, checkpoint)).cloned()
    }

    /// Tasks of an older attempt do not write any more, or nobody reads what they write.
    pub(super) fn forget_targets_before(&self, attempt: AttemptId) {
        lock(&self.targets).retain(|(registered, _), _| *registered >= attempt);
    }

    pub(super) fn is_own(&self, manifest: &Manifest, attempt: AttemptId, checkpoint: CheckpointId) -> bool {
        manifest.job == *self.job() && manifest.attempt == attempt && manifest.checkpoint == checkpoint
    }

    /// The savepoint for which a file was written.
    fn target_of(&self, key: &StorageKey) -> Option<SavepointTarget> {
        let targets = lock(&self.targets);
        let mut registered = targets.iter();
        let found = registered.find(|((attempt, checkpoint), registered)| {
            let folder = self
                .layout
                .savepoint(&registered.target.path, *attempt, *checkpoint);
            folder.is_ok_and(|folder| key.as_str().starts_with(&format!("{folder}/")))
        });
        found.map(|(_, registered)| registered.target.clone())
    }
}
