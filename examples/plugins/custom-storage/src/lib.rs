//! Checkpoints in one append-only file.
//!
//! Each change is one synced record `length | crc32c | key and content`; what follows the last whole record is where a
//! crash cut off. The objects are in memory too, and the file only grows: fine for small jobs.
//!
//! A plugin: it lives outside of Snapline's workspace, knows only the traits, and is proven by the suite of
//! `snapline-testkit`, as `cargo test` in this folder shows. How it came to be is told in the documentation of `snapline-state`.

use bytes::Bytes;
use futures::TryStreamExt;
use snapline_core::{Error, Result, decode, encode_into};
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

const MAX_RECORD_LEN: usize = 1 << 30;

/// A storage in one file, which one process has open at a time.
#[derive(Debug)]
pub struct JournalStorage {
    path: PathBuf,
    journal: Mutex<Journal>,
}

#[derive(Debug)]
struct Journal {
    file: File,
    len: u64,
    objects: BTreeMap<StorageKey, Bytes>,
}

impl JournalStorage {
    /// Opens the file, which is made if it is not there, and cuts off what a crash left half-written.
    ///
    /// # Errors
    /// `Conflict` when another process has it open, else what the file system says.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        file.try_lock().map_err(|_| {
            Error::conflict("another process has the journal open").with("path", path.display())
        })?;
        File::open(path.parent().unwrap_or(path))?.sync_all()?;
        let (mut content, mut len, mut objects) = (Vec::new(), 0, BTreeMap::new());
        file.read_to_end(&mut content)?;
        while let Some(record) = whole_record(&content[len..]) {
            let (key, object) = decode(record)?;
            change(&mut objects, key, object);
            len += 8 + record.len();
        }
        file.set_len(len as u64)?;
        let (path, len) = (path.to_owned(), len as u64);
        let journal = Mutex::new(Journal { file, len, objects });
        Ok(Self { path, journal })
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_record(bytes: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let record = bytes[8.min(bytes.len())..].get(..word(0)? as usize)?;
    let is_whole = !record.is_empty() && word(4)? == crc32c::crc32c(record);
    is_whole.then_some(record)
}

fn change(objects: &mut BTreeMap<StorageKey, Bytes>, key: StorageKey, object: Option<Bytes>) {
    match object {
        Some(object) => objects.insert(key, object),
        None => objects.remove(&key),
    };
}

impl Journal {
    fn append(&mut self, key: &StorageKey, object: Option<Bytes>) -> Result<()> {
        let mut bytes = vec![0; 8];
        encode_into(&(key, &object), &mut bytes)?;
        let (record_len, checksum) = (bytes.len() - 8, crc32c::crc32c(&bytes[8..]));
        if record_len > MAX_RECORD_LEN {
            return Err(Error::unsupported("the object is too long for a journal").with("key", key));
        }
        bytes[..4].copy_from_slice(&(record_len as u32).to_le_bytes());
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
        let written = self.file.write_all(&bytes);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            self.file.set_len(self.len)?;
            return Err(error.into());
        }
        self.len += bytes.len() as u64;
        change(&mut self.objects, key.clone(), object);
        Ok(())
    }
}

#[async_trait::async_trait]
impl CheckpointStorage for JournalStorage {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
            .single_process()
            .limited_to(MAX_RECORD_LEN as u64 / 2)
    }

    fn location(&self) -> String {
        self.path.display().to_string()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        let mut journal = self.journal();
        match journal.objects.get(key) {
            Some(taken) if *taken != bytes => return Ok(Created::AlreadyExists(taken.clone())),
            Some(_) => {}
            None => journal.append(key, Some(bytes))?,
        }
        Ok(Created::New)
    }

    async fn put(&self, key: &StorageKey, content: ByteStream) -> Result<Stored> {
        let pieces: Vec<Bytes> = content.try_collect().await?;
        let object = Bytes::from(pieces.concat());
        let (len, checksum) = (object.len() as u64, crc32c::crc32c(&object));
        self.journal().append(key, Some(object))?;
        Ok(Stored { len, checksum })
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let Range { start, end } = range.unwrap_or(0..u64::MAX);
        Ok(self.journal().objects.get(key).map(|object| {
            let end = end.min(object.len() as u64);
            object.slice(start.min(end) as usize..end as usize)
        }))
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let keys: Vec<_> = self.journal().objects.keys().cloned().collect();
        let is_next = |key: &StorageKey| after.is_none_or(|after| key > after);
        let is_listed = |key: &StorageKey| key.as_str().starts_with(prefix) && is_next(key);
        Ok(keys.into_iter().filter(is_listed).collect())
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        let mut journal = self.journal();
        keys.iter().try_for_each(|key| journal.append(key, None))
    }
}
