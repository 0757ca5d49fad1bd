//! Taking over a job.

use super::claim::{Claim, Scan};
use super::record::{AttemptInfo, EpochRecord};
use super::{Chain, CheckpointStore, Current, Restored, Verification, lock};
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind, Result};
use snapline_state::Created;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often a race is run again before the storage is taken to be out of order.
const TRIES: usize = 1000;

impl CheckpointStore {
    /// Claims the next attempt. This alone takes nothing away from the attempt before.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn claim_attempt(&self, info: &AttemptInfo) -> Result<AttemptId> {
        let newest = self.numbers(&self.layout.attempts()).await?.last().copied();
        let mut attempt = AttemptId(newest.unwrap_or(0)).next();
        while let Created::AlreadyExists(_) = self
            .storage
            .create(&self.layout.attempt(attempt)?, info.encode()?)
            .await?
        {
            attempt = attempt.next();
        }
        Ok(attempt)
    }

    /// Checks that nobody else has claimed an attempt between two of this process: `last`, which it has
    /// led, and `newest`, which it has just claimed. A claim whose answer was lost may lie between them.
    ///
    /// # Errors
    /// `Conflict` when somebody has; otherwise the storage's error.
    pub async fn check_no_rival(&self, last: AttemptId, newest: AttemptId, nonce: u64) -> Result<()> {
        for attempt in (last.next().0..newest.0).map(AttemptId) {
            let claim = self.storage.get(&self.layout.attempt(attempt)?, None).await?;
            let claim = claim.map(|bytes| AttemptInfo::decode(&bytes)).transpose()?;
            if claim.is_none_or(|claim| claim.nonce != nonce) {
                return Err(
                    Error::conflict("another process leads this job; this one must stop")
                        .with("attempt", newest)
                        .with("attempt of the other", attempt),
                );
            }
        }
        Ok(())
    }

    /// Takes the job over and says what to restore.
    ///
    /// First it claims an epoch that repeats the newest one: from then on no older attempt can
    /// complete a checkpoint. Then it looks for the newest checkpoint that can be read, see
    /// [`CheckpointStore::latest`].
    ///
    /// # Errors
    /// `Conflict` when a newer attempt has taken over; otherwise those of
    /// [`CheckpointStore::latest`]. Calling it again is safe.
    pub async fn take_over(&self, attempt: AttemptId, verification: Verification) -> Result<Restored> {
        let head = self.fence(attempt, Resume::Newest).await?;
        let restored = self.latest(verification).await?;
        self.restrict_copies(restored.manifest.as_ref());
        let current = restored.manifest.as_ref().map(|manifest| {
            let key = self.layout.manifest(manifest.attempt, manifest.checkpoint)?;
            let checkpoint = manifest.checkpoint;
            Ok::<_, Error>(Current {
                checkpoint,
                manifest: key,
            })
        });
        let damaged = restored.skipped.iter().map(|(id, _)| *id).collect();
        self.lead(attempt, head, current.transpose()?, damaged);
        Ok(Restored {
            last_used: head,
            ..restored
        })
    }

    /// Takes the job over and starts at the beginning: the checkpoints that there are will not be
    /// restored any more, but ids go on.
    ///
    /// # Errors
    /// `Conflict` when a newer attempt has taken over; otherwise the storage's error.
    pub async fn start_over(&self, attempt: AttemptId) -> Result<Restored> {
        let head = self.fence(attempt, Resume::Nothing).await?;
        self.restrict_copies(None);
        self.lead(attempt, head, None, BTreeSet::new());
        Ok(Restored {
            manifest: None,
            last_used: head,
            committed: None,
            skipped: Vec::new(),
        })
    }

    /// Claims the next epoch, whatever it takes.
    async fn fence(&self, attempt: AttemptId, resume: Resume) -> Result<CheckpointId> {
        for _ in 0..TRIES {
            let scan = self.scan().await?;
            let newest = self.newest_record(&scan).await?;
            if let Some((_, newest)) = newest.as_ref().filter(|(_, newest)| newest.attempt > attempt) {
                return Err(
                    Error::conflict("another process leads this job; this one must stop")
                        .with("attempt", attempt)
                        .with("attempt of the other", newest.attempt),
                );
            }
            let id = scan.last_used().next();
            let readable = newest.filter(|(newest, _)| *newest == scan.last_used());
            let record = self.fence_record(attempt, resume, readable.map(|(_, record)| record));
            if let Claim::Won = self.claim(id, &record).await? {
                return Ok(id);
            }
        }
        Err(Error::unavailable(
            "the job could not be taken over: each time another process was faster",
        ))
    }

    /// A newest record that cannot be read is not repeated but left to be found, so that it is told.
    fn fence_record(&self, attempt: AttemptId, resume: Resume, newest: Option<EpochRecord>) -> EpochRecord {
        let manifest = match resume {
            Resume::Newest => newest.and_then(|newest| newest.manifest),
            Resume::Nothing => None,
        };
        let owner = manifest.as_ref().and_then(|manifest| self.layout.owner(manifest));
        EpochRecord {
            attempt,
            manifest,
            parent: owner.map(|(_, checkpoint)| checkpoint),
            fresh: resume == Resume::Nothing,
        }
    }

    /// The newest record that can be read.
    async fn newest_record(&self, scan: &Scan) -> Result<Option<(CheckpointId, EpochRecord)>> {
        for id in scan.epochs.iter().rev().copied() {
            match self.record(id).await {
                Ok(record) => return Ok(Some((id, record))),
                Err(error) if error.kind() == ErrorKind::Corrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn lead(
        &self,
        attempt: AttemptId,
        head: CheckpointId,
        current: Option<Current>,
        damaged: BTreeSet<CheckpointId>,
    ) {
        lock(&self.chain).replace(Chain {
            attempt,
            head,
            current,
            damaged: Arc::new(damaged),
        });
    }
}

/// What the record of a take-over says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resume {
    Newest,
    Nothing,
}
