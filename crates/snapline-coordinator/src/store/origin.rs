//! Starting a job from a savepoint.

use super::lead::Resume;
use super::savepoint::Found;
use super::{CheckpointStore, Restored, Savepoint, Verification};
use crate::manifest::Manifest;
use serde::{Deserialize, Serialize};
use snapline_core::{AttemptId, ClaimMode, Error, ErrorKind, Result};
use snapline_state::StorageKey;

/// The savepoint from which a job was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// Where it was.
    pub(crate) path: StorageKey,
    /// The storage, for people: it may have another name tomorrow.
    pub(crate) location: String,
    /// Tells it from another savepoint at the same path; `None` when it could not be read any more.
    pub(crate) identity: Option<u32>,
    /// Whose it is.
    pub(crate) claim: ClaimMode,
}

impl Origin {
    /// Whether a job that was started from the other one goes on when it is told to start from this.
    ///
    /// What a savepoint holds counts, not what its path is called today. Only when it is not there any
    /// more, as it may be once the job has checkpoints of its own, the path has to do.
    pub(super) fn continues(&self, other: &Self) -> bool {
        match (self.identity, other.identity) {
            (Some(identity), Some(other)) => identity == other,
            _ => self.path == other.path,
        }
    }

    /// What cannot be read any more is still known from before.
    #[must_use]
    pub(super) fn or_identity(self, other: &Self) -> Self {
        Self {
            identity: self.identity.or(other.identity),
            ..self
        }
    }
}

impl CheckpointStore {
    /// Takes the job over and starts from a savepoint, or from the newest checkpoint since it was
    /// started from that savepoint.
    ///
    /// The first time, the checkpoints that there are do not count any more: a savepoint takes their
    /// place, of this job or of another. Before anything is written it is verified as asked. Ids go on
    /// after those of the job and after that of the savepoint. Called again with the same savepoint, by
    /// this process or a later one, it resumes from the newest checkpoint since then, or from the savepoint
    /// again when there is none. Another savepoint starts over from that one.
    ///
    /// [`Restored::storage`] says from where the state has to be read, and
    /// [`Restored::unfinished_commits`] has all that the savepoint had pre-committed.
    ///
    /// With [`ClaimMode::Claim`] the savepoint is deleted by [`CheckpointStore::collect_garbage`] once
    /// there is a checkpoint of the job's own, otherwise never.
    ///
    /// # Errors
    /// `Invalid` when the savepoint is needed but missing, incomplete or damaged, `Unsupported` when a
    /// newer version of Snapline wrote it: nothing has changed then. `Conflict` when a newer attempt
    /// has taken over; otherwise those of [`CheckpointStore::latest`]. Calling it again is safe.
    pub async fn take_over_from(
        &self,
        attempt: AttemptId,
        savepoint: &Savepoint,
        claim: ClaimMode,
        verification: Verification,
    ) -> Result<Restored> {
        let (mut found, origin) = self.find_origin(savepoint, claim).await?;
        if !self.has_started_from(&origin).await? {
            found = verify(savepoint, found, verification).await?;
        }
        // If it cannot be used, the fence still finds that it is not needed when another process has
        // started from it meanwhile.
        let id = match &found {
            Ok(found) => Ok(found.manifest.checkpoint),
            Err(error) => Err(error.clone()),
        };
        let fence = self.fence(attempt, &Resume::From { origin, id }).await?;
        let mut restored = self.newest(verification).await?;
        restored.last_used = fence.last_used();
        if restored.manifest.is_none() {
            match verify(savepoint, found, verification).await? {
                Ok(found) => restored.start_from(savepoint.clone(), found.manifest),
                Err(error) => return Err(self.none_left(restored.skipped).unwrap_or(error)),
            }
        }
        let claimed = (claim == ClaimMode::Claim).then(|| savepoint.clone());
        self.lead(attempt, fence, &restored, claimed)?;
        Ok(restored)
    }

    /// The manifest of the savepoint, if [`CheckpointStore::take_over_from`] would restore that: a look
    /// whether it fits the job, before the job is taken over. `None` when the job has started from it
    /// already, or when it cannot be used. Writes nothing, and verifies no state.
    ///
    /// # Errors
    /// `Invalid` when a checkpoint of a job is to be claimed; otherwise the storage's error.
    pub async fn look_at_savepoint(
        &self,
        savepoint: &Savepoint,
        claim: ClaimMode,
    ) -> Result<Option<Manifest>> {
        let (found, origin) = self.find_origin(savepoint, claim).await?;
        let has_started = self.has_started_from(&origin).await?;
        let found = found.ok().filter(|_| !has_started);
        Ok(found.map(|found| found.manifest))
    }

    /// The savepoint, or why it cannot be used, which matters only when it is needed.
    async fn find_origin(&self, savepoint: &Savepoint, claim: ClaimMode) -> Result<(Result<Found>, Origin)> {
        let found = find(savepoint, claim).await?;
        let origin = Origin {
            path: savepoint.path().clone(),
            location: savepoint.storage().location(),
            identity: found.as_ref().ok().map(|found| found.identity),
            claim,
        };
        Ok((found, origin))
    }

    async fn has_started_from(&self, origin: &Origin) -> Result<bool> {
        let newest = self.newest_record(&self.scan().await?).await?;
        let last = newest.and_then(|(_, newest)| newest.era.origin);
        Ok(last.is_some_and(|last| origin.continues(&last)))
    }
}

async fn find(savepoint: &Savepoint, claim: ClaimMode) -> Result<Result<Found>> {
    match savepoint.find().await {
        Ok(found) if found.is_checkpoint && claim == ClaimMode::Claim => Err(Error::invalid(
            "a checkpoint of a job cannot be claimed, because that job deletes it; restore it with no-claim",
        )
        .with("savepoint", savepoint.path())),
        Ok(found) => Ok(Ok(found)),
        Err(error) => Ok(Err(unusable(error)?)),
    }
}

/// Verifies the state of a savepoint, once.
async fn verify(
    savepoint: &Savepoint,
    found: Result<Found>,
    verification: Verification,
) -> Result<Result<Found>> {
    match found {
        Ok(mut found) if !found.is_verified => match savepoint.verify(&found, verification).await {
            Ok(()) => {
                found.is_verified = true;
                Ok(Ok(found))
            }
            Err(error) => Ok(Err(unusable(error)?)),
        },
        other => Ok(other),
    }
}

/// Why a savepoint cannot be used; the outer error may be cured by trying again.
fn unusable(error: Error) -> Result<Error> {
    match error.kind() {
        ErrorKind::Corrupted => Ok(Error::invalid(
            "the savepoint is damaged and cannot be restored; restore another one, or unset restore",
        )
        .because(error)),
        ErrorKind::Invalid | ErrorKind::Unsupported => Ok(error),
        _ => Err(error),
    }
}
