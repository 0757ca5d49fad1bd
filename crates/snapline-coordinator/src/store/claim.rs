//! Epoch records: one after the other, each written once.

use super::record::{Epoch, EpochRecord};
use super::{Chain, CheckpointStore, Current, PublishOutcome, lock};
use crate::manifest::Manifest;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::{AttemptId, Error, Result};
use snapline_state::{Created, StorageKey};

/// How often a listing is repeated that a garbage collection got in the way of.
pub(super) const TRIES: usize = 8;

/// What became of a claim.
#[derive(Debug)]
pub(super) enum Claim {
    Won,
    /// There is another record.
    Taken(EpochRecord),
    /// The name was free only because the garbage collection had removed a record.
    Burnt,
}

/// The epoch records that count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) boundary: Epoch,
    /// Above the boundary, oldest first.
    pub(super) epochs: Vec<Epoch>,
}

impl Scan {
    pub(super) fn last_used(&self) -> Epoch {
        self.epochs.last().copied().unwrap_or(self.boundary)
    }
}

impl CheckpointStore {
    /// Which records there are. The boundary is read last, so that no record below it counts.
    ///
    /// There is always a record above a boundary. If none was seen, those that were listed have been
    /// collected meanwhile.
    pub(super) async fn scan(&self) -> Result<Scan> {
        let mut scan = self.scan_once().await?;
        for _ in 0..TRIES {
            if !scan.epochs.is_empty() || scan.boundary == Epoch(0) {
                break;
            }
            scan = self.scan_once().await?;
        }
        Ok(scan)
    }

    async fn scan_once(&self) -> Result<Scan> {
        let epochs = self.numbers(&self.layout.epochs()).await?;
        let boundary = self.boundary().await?;
        let epochs = epochs
            .into_iter()
            .map(Epoch)
            .filter(|epoch| *epoch > boundary)
            .collect();
        Ok(Scan { boundary, epochs })
    }

    /// The number up to which numbers are burnt.
    pub(super) async fn boundary(&self) -> Result<Epoch> {
        let boundaries = self.numbers(&self.layout.boundaries()).await?;
        Ok(Epoch(boundaries.last().copied().unwrap_or(0)))
    }

    /// Reads an epoch record.
    ///
    /// # Errors
    /// `Corrupted` when it is missing or damaged; otherwise the storage's error.
    pub(super) async fn record(&self, id: Epoch) -> Result<EpochRecord> {
        if let Some(record) = lock(&self.known).records.get(&id) {
            return Ok(record.clone());
        }
        let key = self.layout.epoch(id)?;
        let bytes = self.storage.get(&key, None).await?;
        let bytes = bytes.ok_or_else(|| Error::corrupted("an epoch record is missing").with("file", &key))?;
        let record = EpochRecord::decode(&bytes).map_err(|error| error.with("file", &key))?;
        lock(&self.known).records.insert(id, record.clone());
        Ok(record)
    }

    /// Creates an epoch record.
    ///
    /// The boundary is read after the record was created: if the name was free because its record
    /// had been collected, the boundary had been advanced before that.
    ///
    /// # Errors
    /// `Unavailable` when the record may have been created; anything else: it was not.
    pub(super) async fn claim(&self, id: Epoch, record: &EpochRecord) -> Result<Claim> {
        let key = self.layout.epoch(id)?;
        let created = self.storage.create(&key, record.encode()?).await;
        match created.map_err(|error| open_outcome(id, error))? {
            Created::New => {
                let boundary = self.boundary().await.map_err(|error| open_outcome(id, error))?;
                if boundary >= id {
                    return Ok(Claim::Burnt);
                }
                lock(&self.known).records.insert(id, record.clone());
                Ok(Claim::Won)
            }
            Created::AlreadyExists(bytes) => {
                let other = EpochRecord::decode(&bytes).map_err(|error| error.with("file", &key))?;
                // A burnt name may hold what this leader has left there when it was told so before.
                let is_own = other.attempt == record.attempt;
                match is_own && self.boundary().await? >= id {
                    true => Ok(Claim::Burnt),
                    false => Ok(Claim::Taken(other)),
                }
            }
        }
    }

    /// Claims every id that is not used yet up to the manifest's: records are dense.
    pub(super) async fn claim_up_to(
        &self,
        mut chain: Chain,
        manifest: &Manifest,
        key: StorageKey,
    ) -> Result<PublishOutcome> {
        let current = Current {
            checkpoint: manifest.checkpoint,
            manifest: key,
        };
        let last = chain.era.offset.epoch(manifest.checkpoint);
        while chain.head < last {
            let id = chain.head.next();
            let before = chain.current.as_ref();
            let record = EpochRecord {
                attempt: chain.attempt,
                manifest: if id == last { Some(&current) } else { before }
                    .map(|current| current.manifest.clone()),
                parent: before.map(|current| current.checkpoint),
                era: chain.era.clone(),
            };
            match self.claim(id, &record).await? {
                Claim::Won => chain.head = id,
                Claim::Taken(other) => return fenced_by(other.attempt, chain.attempt),
                Claim::Burnt => return self.fenced_by_newest(chain.attempt).await,
            }
            self.extend_chain(&chain);
        }
        chain.current = Some(current.clone());
        self.extend_chain(&chain);
        let files = manifest.files().cloned().collect();
        lock(&self.known).files.insert(current.manifest, files);
        self.subsume_copies(manifest);
        Ok(PublishOutcome::Published)
    }

    async fn fenced_by_newest(&self, own: AttemptId) -> Result<PublishOutcome> {
        let newest = self.scan().await?.last_used();
        fenced_by(self.record(newest).await?.attempt, own)
    }

    /// Stores an object whose bytes are all there.
    pub(super) async fn put(&self, key: &StorageKey, bytes: Bytes) -> Result<()> {
        let content = futures::stream::iter([Ok(bytes)]).boxed();
        self.storage.put(key, content).await.map(|_| ())
    }
}

fn open_outcome(id: Epoch, error: Error) -> Error {
    Error::unavailable("it is not known whether an epoch was claimed")
        .with("epoch", id)
        .because(error)
}

fn fenced_by(other: AttemptId, own: AttemptId) -> Result<PublishOutcome> {
    if other == own {
        return Err(Error::internal("two leaders have the same attempt").with("attempt", own));
    }
    Ok(PublishOutcome::Fenced { attempt: other })
}
