//! A model of the contract, written differently from every storage, that can be given one flaw.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::{Error, Result};
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    AfterIsIncluded,
    ChecksumOfFirstPiece,
    CreateInTwoSteps,
    CreateSeesOwnThreadOnly,
    CreateStoresNothing,
    CreateTakesPutsAway,
    DeleteOfMissingFails,
    DeletedStaysTaken,
    EmptyIsMissing,
    FailedPutIsVisible,
    FoldersAreDashes,
    HandlesAreApart,
    LastCreateWins,
    ListHasOnePage,
    ListIsBehind,
    ListWalksFolders,
    MissingIsEmpty,
    OwnErrorForContents,
    PrefixIsCleaned,
    PrefixIsFolder,
    PutGrowsVisibly,
    PutInTwoSteps,
    PutOverwritesInPlace,
    PutRemovesFirst,
    PutStoresNothing,
    RangeLosesLastByte,
    RangePastEndFails,
    ReadsAreStale,
    RetryLoses,
    StopsAtEmptyPiece,
}

/// An object as a row: the newest row of a name counts.
#[derive(Debug, Clone)]
struct Row {
    name: String,
    content: Option<Bytes>,
    created: bool,
    writer: ThreadId,
    seen: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
pub(crate) struct Double {
    flaw: Option<Flaw>,
    capability: StorageCapability,
    rows: Arc<Mutex<Vec<Row>>>,
    caught: Arc<AtomicBool>,
}

impl Double {
    pub(crate) fn sound() -> Self {
        Self {
            flaw: None,
            capability: StorageCapability::FULL,
            rows: Arc::default(),
            caught: Arc::default(),
        }
    }

    pub(crate) fn with(flaw: Flaw) -> Self {
        let flaw = Some(flaw);
        Self {
            flaw,
            ..Self::sound()
        }
    }

    pub(crate) fn claiming(self, capability: StorageCapability) -> Self {
        Self { capability, ..self }
    }

    pub(crate) fn another(&self) -> Self {
        if self.has(Flaw::HandlesAreApart) {
            return Self {
                flaw: self.flaw,
                ..Self::sound()
            };
        }
        self.clone()
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap()
    }

    fn name(&self, key: &StorageKey) -> String {
        if self.has(Flaw::FoldersAreDashes) {
            return key.as_str().replace('/', "-");
        }
        key.as_str().to_owned()
    }

    fn write(&self, key: &StorageKey, content: Option<Bytes>, created: bool) -> Arc<AtomicBool> {
        let seen = Arc::<AtomicBool>::default();
        self.rows().push(Row {
            name: self.name(key),
            content,
            created,
            writer: thread::current().id(),
            seen: seen.clone(),
        });
        seen
    }

    /// Writes half of it and, the first time, waits until somebody has seen that.
    fn write_half(&self, key: &StorageKey, content: &Bytes) {
        let seen = self.write(key, Some(content.slice(..content.len() / 2)), false);
        while !seen.load(Ordering::SeqCst) && !self.caught.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        self.caught.store(true, Ordering::SeqCst);
    }

    fn read(&self, key: &StorageKey) -> Option<Bytes> {
        let (rows, name) = (self.rows(), self.name(key));
        let mut versions = rows.iter().rev().filter(|row| row.name == name);
        let newest = versions.next()?;
        newest.seen.store(true, Ordering::SeqCst);
        match newest.content.clone() {
            None if self.has(Flaw::ReadsAreStale) => versions.next()?.content.clone(),
            Some(empty) if empty.is_empty() && self.has(Flaw::EmptyIsMissing) => None,
            newest => newest,
        }
    }

    /// What `create` finds under a key.
    fn taken(&self, key: &StorageKey) -> Option<Bytes> {
        let found = self.read(key)?;
        let rows = self.rows();
        let newest = rows.iter().rfind(|row| row.name == self.name(key))?;
        let unseen = self.has(Flaw::CreateSeesOwnThreadOnly) && newest.writer != thread::current().id()
            || self.has(Flaw::CreateTakesPutsAway) && !newest.created
            || self.has(Flaw::LastCreateWins);
        (!unseen).then_some(found)
    }

    async fn take(&self, key: &StorageKey, mut content: ByteStream) -> Result<Vec<Bytes>> {
        let mut pieces = Vec::new();
        while let Some(piece) = content.next().await {
            match piece {
                Ok(piece) if piece.is_empty() && self.has(Flaw::StopsAtEmptyPiece) => break,
                Ok(piece) => pieces.push(piece),
                Err(error) => {
                    let so_far = Bytes::from(pieces.concat());
                    if self.has(Flaw::PutGrowsVisibly) {
                        self.write(key, None, false);
                    } else if self.has(Flaw::FailedPutIsVisible) {
                        self.write(key, Some(so_far), false);
                    }
                    return Err(error);
                }
            }
            if self.has(Flaw::PutGrowsVisibly) {
                self.write(key, Some(pieces.concat().into()), false);
            }
        }
        Ok(pieces)
    }
}

#[async_trait]
impl CheckpointStorage for Double {
    fn capability(&self) -> StorageCapability {
        self.capability
    }

    fn location(&self) -> String {
        "model".to_owned()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap();
        if let Some(found) = self.taken(key) {
            let same = found == bytes && !self.has(Flaw::RetryLoses);
            return Ok(if same {
                Created::New
            } else {
                Created::AlreadyExists(found)
            });
        }
        let was_deleted = self.rows().iter().any(|row| row.name == self.name(key));
        if was_deleted && self.has(Flaw::DeletedStaysTaken) {
            return Ok(Created::AlreadyExists(Bytes::new()));
        }
        if self.has(Flaw::CreateInTwoSteps) {
            self.write_half(key, &bytes);
        }
        if !self.has(Flaw::CreateStoresNothing) {
            self.write(key, Some(bytes), true);
        }
        Ok(Created::New)
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        if self.has(Flaw::PutRemovesFirst) {
            self.write(key, None, false);
        }
        let pieces = match self.take(key, content).await {
            Ok(pieces) => pieces,
            Err(_) if self.has(Flaw::OwnErrorForContents) => return Err(Error::unavailable("cannot put")),
            Err(error) => return Err(error),
        };
        let mut object = Bytes::from(pieces.concat());
        let summed = match pieces.first() {
            Some(first) if self.has(Flaw::ChecksumOfFirstPiece) => first,
            _ => &object,
        };
        let stored = Stored {
            len: object.len() as u64,
            checksum: crc32c(summed),
        };
        if let Some(old) = self.read(key).filter(|old| old.len() > object.len())
            && self.has(Flaw::PutOverwritesInPlace)
        {
            object = [object.clone(), old.slice(object.len()..)].concat().into();
        }
        if self.has(Flaw::PutInTwoSteps) && self.read(key).is_some() {
            self.write_half(key, &object);
        }
        if !self.has(Flaw::PutStoresNothing) {
            self.write(key, Some(object), false);
        }
        Ok(stored)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let found = self.read(key);
        let Some(found) = found else {
            return Ok(self.has(Flaw::MissingIsEmpty).then(Bytes::new));
        };
        let Some(range) = range else {
            return Ok(Some(found));
        };
        let len = found.len() as u64;
        if range.end > len && self.has(Flaw::RangePastEndFails) {
            return Err(Error::invalid("the range is past the end"));
        }
        let mut end = range.end.min(len);
        if end > range.start && self.has(Flaw::RangeLosesLastByte) {
            end -= 1;
        }
        let start = range.start.min(end);
        Ok(Some(found.slice(start as usize..end as usize)))
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let mut prefix = prefix.to_owned();
        if self.has(Flaw::PrefixIsCleaned) {
            prefix = prefix.trim_start_matches(['.', '/']).to_owned();
        }
        if self.has(Flaw::PrefixIsFolder) && !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let mut rows = self.rows().clone();
        if self.has(Flaw::ListIsBehind) {
            rows.pop();
        }
        let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        if self.has(Flaw::ListWalksFolders) {
            names.sort_by_key(|name| name.split('/').collect::<Vec<_>>());
        }
        let is_there = |name: &str| {
            rows.iter()
                .rfind(|row| row.name == name)
                .is_some_and(|row| row.content.is_some())
        };
        let after = after.map(StorageKey::as_str);
        let is_next = |name: &str| {
            after.is_none_or(|after| name > after || name == after && self.has(Flaw::AfterIsIncluded))
        };
        names.retain(|name| is_there(name) && name.starts_with(&prefix) && is_next(name));
        if self.has(Flaw::ListHasOnePage) {
            names.truncate(100);
        }
        names.into_iter().map(StorageKey::new).collect()
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        for key in keys {
            if self.read(key).is_some() {
                self.write(key, None, false);
            } else if self.has(Flaw::DeleteOfMissingFails) {
                return Err(Error::unavailable("there is no such object"));
            }
        }
        Ok(())
    }
}

/// By the polynomial of RFC 3720, one byte at a time.
fn crc32c(content: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    let table: [u32; 256] = std::array::from_fn(|byte| (0..8).fold(byte as u32, bit));
    let mut crc = !0;
    for byte in content {
        crc = (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)];
    }
    !crc
}
