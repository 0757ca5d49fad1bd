//! Deleting all checkpoints of a job that was cancelled for good.

use super::claim::Claim;
use super::lead::led_by_another;
use super::record::{Epoch, EpochRecord, Era};
use super::{CheckpointStore, lock};
use snapline_core::{Error, Result};

impl CheckpointStore {
    /// Deletes all checkpoints of the job: the next run begins at the beginning.
    ///
    /// What is left is one record that says so, and which attempts and ids were used: names are used
    /// once, also after this. Savepoints stay, also a claimed one, which may be all that is left of a
    /// job that was cancelled before its first checkpoint.
    ///
    /// Nothing of this attempt may be running any more; it cannot publish after this.
    ///
    /// # Errors
    /// `Conflict` when a newer attempt has taken over: nothing is deleted. Otherwise the storage's
    /// error; calling it again is safe, and the checkpoints do not come back.
    pub async fn delete_all(&self) -> Result<()> {
        let mut chain = self.chain()?;
        let last = chain.head.next();
        let record = EpochRecord {
            attempt: chain.attempt,
            manifest: None,
            parent: None,
            era: Era {
                began: Some(last),
                offset: chain.era.offset,
                origin: None,
            },
        };
        match self.claim(last, &record).await? {
            Claim::Won => {}
            Claim::Taken(other) => return Err(led_by_another(other.attempt)),
            Claim::Burnt => {
                return Err(Error::conflict(
                    "another process leads this job; this one must stop",
                ));
            }
        }
        (chain.head, chain.era, chain.current, chain.claimed) = (last, record.era, None, None);
        self.extend_chain(&chain);
        let before = self.boundary().await?;
        let boundary = before.max(Epoch(last.0 - 1));
        self.advance_boundary(before, boundary).await?;
        let mut files = self.storage.list(&self.layout.checkpoints(), None).await?;
        files.retain(|key| {
            let owner = self.layout.owner(key);
            owner.is_some_and(|(attempt, _)| attempt <= chain.attempt)
        });
        self.storage.delete(&files).await?;
        let records = self.unneeded_records(boundary, chain.attempt).await?;
        self.storage.delete(&records).await?;
        let mut known = lock(&self.known);
        known.records.retain(|id, _| *id > boundary);
        known.files.clear();
        Ok(())
    }
}
