//! Taking over a job.

use super::claim::{Claim, Scan};
use super::origin::Origin;
use super::record::{AttemptInfo, Epoch, EpochRecord, Era};
use super::{Chain, CheckpointStore, Current, Restored, Savepoint, Verification, lock};
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind, Result};
use snapline_state::Created;
use std::sync::Arc;

/// How often a race is run again before the storage is taken to be out of order.
const TRIES: usize = 1000;

/// The record with which an attempt has taken over.
#[derive(Debug)]
pub(super) struct Fence {
    head: Epoch,
    record: EpochRecord,
}

impl Fence {
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.record.era.origin.as_ref()
    }

    pub(super) fn last_used(&self) -> CheckpointId {
        self.record.era.offset.checkpoint(self.head)
    }
}

/// What the record of a take-over says.
#[derive(Debug, Clone)]
pub(super) enum Resume {
    /// What the record before it says.
    Newest,
    /// Nothing before it counts.
    Nothing,
    /// The same, unless the job has already started from this savepoint.
    From {
        origin: Origin,
        /// The id of the savepoint; or why the job cannot start from it.
        id: Result<CheckpointId>,
    },
}

impl CheckpointStore {
    /// Claims the next attempt. This alone takes nothing away from the attempt before.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn claim_attempt(&self, info: &AttemptInfo) -> Result<AttemptId> {
        loop {
            let newest = self.numbers(&self.layout.attempts()).await?.last().copied();
            let mut attempt = AttemptId(newest.unwrap_or(0)).next();
            while let Created::AlreadyExists(_) = self
                .storage
                .create(&self.layout.attempt(attempt)?, info.encode()?)
                .await?
            {
                attempt = attempt.next();
            }
            // The name of an attempt that has led may be free because it was collected. Who has found
            // it so was slow, and looks again.
            let newest = self.newest_record(&self.scan().await?).await?;
            if newest.is_none_or(|(_, newest)| newest.attempt < attempt) {
                return Ok(attempt);
            }
        }
    }

    /// What the leader of an attempt has told of itself; `None` when it is not known any more.
    ///
    /// # Errors
    /// `Corrupted` when it cannot be read; otherwise the storage's error.
    pub async fn attempt_info(&self, attempt: AttemptId) -> Result<Option<AttemptInfo>> {
        let key = self.layout.attempt(attempt)?;
        let bytes = self.storage.get(&key, None).await?;
        let info = bytes.map(|bytes| AttemptInfo::decode(&bytes)).transpose();
        info.map_err(|error| error.with("file", &key))
    }

    /// Checks that nobody else has claimed an attempt between two of this process: `last`, which it has
    /// led, and `newest`, which it has just claimed. A claim whose answer was lost may lie between them, and that of
    /// a process from which this one has taken over: it has found `last` between two of its own, and has stopped.
    ///
    /// # Errors
    /// `Conflict` when somebody has; otherwise the storage's error.
    pub async fn check_no_rival(&self, last: AttemptId, newest: AttemptId, nonce: u64) -> Result<()> {
        for attempt in (last.next().0..newest.0).map(AttemptId) {
            let rival = match self.attempt_info(attempt).await? {
                Some(claim) if claim.nonce == nonce => continue,
                claim => claim,
            };
            let has_stopped = match rival {
                Some(rival) => self.has_claimed_before(last, rival.nonce).await?,
                None => false,
            };
            if !has_stopped {
                return Err(
                    Error::conflict("another process leads this job; this one must stop")
                        .with("attempt", newest)
                        .with("attempt of the other", attempt),
                );
            }
        }
        Ok(())
    }

    /// Whether a process has claimed an attempt before this one.
    async fn has_claimed_before(&self, attempt: AttemptId, nonce: u64) -> Result<bool> {
        let numbers = self.numbers(&self.layout.attempts()).await?;
        for earlier in numbers.into_iter().rev().filter(|number| *number < attempt.0) {
            let info = self.attempt_info(AttemptId(earlier)).await?;
            if info.is_some_and(|info| info.nonce == nonce) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the job over and says what to restore.
    ///
    /// First it claims an epoch that repeats the newest one: from then on no older attempt can
    /// complete a checkpoint. Then it looks for the newest checkpoint that can be read, see
    /// [`CheckpointStore::latest`].
    ///
    /// # Errors
    /// `Conflict` when a newer attempt has taken over; `Invalid` when the job was started from a
    /// savepoint and has no checkpoint since, see [`CheckpointStore::take_over_from`]; otherwise those
    /// of [`CheckpointStore::latest`]. Calling it again is safe.
    pub async fn take_over(&self, attempt: AttemptId, verification: Verification) -> Result<Restored> {
        let fence = self.fence(attempt, &Resume::Newest).await?;
        let mut restored = self.latest(verification).await?;
        restored.last_used = fence.last_used();
        if let (None, Some(origin)) = (&restored.manifest, fence.origin()) {
            return Err(Error::invalid(
                "the job was started from a savepoint and has no checkpoint since then; set restore to the savepoint \
                 again, or start fresh",
            )
            .with("job", self.job())
            .with("savepoint", &origin.path)
            .with("storage", &origin.location));
        }
        self.lead(attempt, fence, &restored, None)?;
        Ok(restored)
    }

    /// Takes the job over and starts at the beginning: the checkpoints that there are will not be
    /// restored any more, but ids go on.
    ///
    /// # Errors
    /// `Conflict` when a newer attempt has taken over; otherwise the storage's error.
    pub async fn start_over(&self, attempt: AttemptId) -> Result<Restored> {
        let fence = self.fence(attempt, &Resume::Nothing).await?;
        let restored = Restored::nothing(self.storage.clone(), fence.last_used());
        self.lead(attempt, fence, &restored, None)?;
        Ok(restored)
    }

    /// Claims the next epoch, whatever it takes.
    pub(super) async fn fence(&self, attempt: AttemptId, resume: &Resume) -> Result<Fence> {
        for _ in 0..TRIES {
            let scan = self.scan().await?;
            let newest = self.newest_record(&scan).await?;
            if let Some((_, newest)) = newest.as_ref().filter(|(_, newest)| newest.attempt > attempt) {
                return Err(led_by_another(newest.attempt).with("attempt", attempt));
            }
            let head = scan.last_used().next();
            let record = self.fence_record(attempt, resume, head, newest)?;
            if let Claim::Won = self.claim(head, &record).await? {
                return Ok(Fence { head, record });
            }
        }
        Err(Error::unavailable(
            "the job could not be taken over: each time another process was faster",
        ))
    }

    fn fence_record(
        &self,
        attempt: AttemptId,
        resume: &Resume,
        head: Epoch,
        newest: Option<(Epoch, EpochRecord)>,
    ) -> Result<EpochRecord> {
        let last = newest
            .as_ref()
            .map(|(_, newest)| newest.era.clone())
            .unwrap_or_default();
        let began = Some(head);
        let era = match resume {
            Resume::Newest => last,
            Resume::Nothing => Era {
                began,
                offset: last.offset,
                origin: None,
            },
            Resume::From { origin, id } => match last.origin.as_ref().filter(|last| origin.continues(last)) {
                Some(last_origin) => Era {
                    origin: Some(origin.clone().or_identity(last_origin)),
                    ..last
                },
                None => Era {
                    began,
                    offset: last.offset.beyond(id.clone()?, head),
                    origin: Some(origin.clone()),
                },
            },
        };
        // A newest record that cannot be read is not repeated but left to be found, so that it is told.
        let repeated = newest.filter(|(newest, _)| newest.next() == head && era.includes(head));
        let manifest = repeated.and_then(|(_, newest)| newest.manifest);
        let owner = manifest.as_ref().and_then(|manifest| self.layout.owner(manifest));
        Ok(EpochRecord {
            attempt,
            manifest,
            parent: owner.map(|(_, checkpoint)| checkpoint),
            era,
        })
    }

    /// The newest record that can be read.
    pub(super) async fn newest_record(&self, scan: &Scan) -> Result<Option<(Epoch, EpochRecord)>> {
        for id in scan.epochs.iter().rev().copied() {
            match self.record(id).await {
                Ok(record) => return Ok(Some((id, record))),
                Err(error) if error.kind() == ErrorKind::Corrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn lead(
        &self,
        attempt: AttemptId,
        fence: Fence,
        restored: &Restored,
        claimed: Option<Savepoint>,
    ) -> Result<()> {
        let own = restored
            .manifest
            .as_ref()
            .filter(|_| restored.savepoint().is_none());
        self.restrict_copies(own);
        let current = own.map(|manifest| {
            Ok::<_, Error>(Current {
                checkpoint: manifest.checkpoint,
                manifest: self.layout.manifest(manifest.attempt, manifest.checkpoint)?,
            })
        });
        let damaged = restored.skipped.iter().map(|(id, _)| *id).collect();
        let chain = Chain {
            attempt,
            head: fence.head,
            era: fence.record.era,
            current: current.transpose()?,
            damaged: Arc::new(damaged),
            claimed,
        };
        lock(&self.chain).replace(chain);
        self.forget_targets_before(attempt);
        Ok(())
    }
}

pub(super) fn led_by_another(other: AttemptId) -> Error {
    Error::conflict("another process leads this job; this one must stop").with("attempt of the other", other)
}
