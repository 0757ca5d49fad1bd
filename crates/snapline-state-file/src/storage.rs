//! The trait, on top of blocking calls.

use crate::directory::{Directory, append, sync};
use crate::scratch::InUse;
use crate::worker::{Caller, Worker};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::{Error, Result};
use snapline_state::{ByteStream, CheckpointStorage, Created, StorageCapability, StorageKey, Stored};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A [`CheckpointStorage`] in a directory.
///
/// A clone is another handle with the same thread, which does all file work; it ends with the last
/// handle. To work in parallel, open the directory more than once.
///
/// Beside the contract of the trait:
/// * A key cannot be an object and a folder at once: while there is `a/b`, storing `a` is `Invalid`.
/// * A `put` that is dropped, or whose last sync fails, after its object got its name leaves the whole object.
/// * `delete` does not sync: after a crash a deleted object may be back. Empty folders are removed.
///
/// ```
/// use snapline_state::{CheckpointStorage, Created, StorageKey};
/// use snapline_state_file::FileCheckpointStorage;
///
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().join("checkpoints");
/// let storage = FileCheckpointStorage::open(&directory)?;
/// let key = StorageKey::new("job/epoch/1.json")?;
/// let created = futures::executor::block_on(storage.create(&key, "{}".into()))?;
/// assert_eq!(created, Created::New);
/// assert_eq!(std::fs::read(directory.join("job/epoch/1.json"))?, b"{}");
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileCheckpointStorage {
    root: PathBuf,
    worker: Worker<Directory>,
    /// As long as a handle is there, not until the thread has noticed that none is. A reader has none.
    _in_use: Option<Arc<InUse>>,
}

impl FileCheckpointStorage {
    /// Opens a directory, and creates it when it is missing. Blocks the calling thread for two syncs or so.
    ///
    /// What a crash has left half-written is removed, unless another process uses the directory too.
    ///
    /// # Errors
    /// `Invalid` when the directory cannot be created or written, naming it and the reason;
    /// `Unavailable` when that may pass, as with a full disk.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let root = absolute(path.as_ref())?;
        let (directory, in_use) = Directory::open(root.clone())?;
        Ok(Self {
            root,
            worker: Worker::start(directory)?,
            _in_use: Some(Arc::new(in_use)),
        })
    }

    /// Opens a directory that is there for looking only: nothing in it is changed, so it may be on a read-only file
    /// system, or belong to somebody else.
    ///
    /// `create`, `put` and `delete` are `Unsupported`.
    ///
    /// # Errors
    /// `Invalid` when it is no directory or may not be read; `Unavailable` when that may pass.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        let root = absolute(path.as_ref())?;
        let directory = Directory::open_read_only(root.clone())?;
        Ok(Self {
            root,
            worker: Worker::start(directory)?,
            _in_use: None,
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|error| {
        Error::invalid("the checkpoint directory has no valid path")
            .with("path", path.display())
            .because(error)
    })
}

#[async_trait]
impl CheckpointStorage for FileCheckpointStorage {
    fn capability(&self) -> StorageCapability {
        StorageCapability::FULL
    }

    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn create(&self, key: &StorageKey, bytes: Bytes) -> Result<Created> {
        let key = key.clone();
        let create = move |directory: &mut Directory, _: Caller<'_>| directory.create(&key, &bytes);
        self.worker.run(create).await
    }

    async fn put(&self, key: &StorageKey, mut content: ByteStream) -> Result<Stored> {
        let mut file = self.worker.run(|directory, _| directory.begin()).await?;
        let mut stored = Stored { len: 0, checksum: 0 };
        while let Some(piece) = content.next().await {
            let piece = piece?;
            stored.len += piece.len() as u64;
            let append = move |checksum| {
                append(&mut file, &piece)?;
                Ok((file, crc32c::crc32c_append(checksum, &piece)))
            };
            let checksum = stored.checksum;
            (file, stored.checksum) = self.worker.run(move |_, _| append(checksum)).await?;
        }
        let key = key.clone();
        let commit = move |directory: &mut Directory, caller: Caller<'_>| {
            sync(&file)?;
            if caller.is_gone() {
                return Err(Error::cancelled("nobody waits for the object any more"));
            }
            directory.commit(&key, file)
        };
        self.worker.run(commit).await?;
        Ok(stored)
    }

    async fn get(&self, key: &StorageKey, range: Option<Range<u64>>) -> Result<Option<Bytes>> {
        let key = key.clone();
        self.worker
            .run(move |directory, _| directory.get(&key, range))
            .await
    }

    async fn list(&self, prefix: &str, after: Option<&StorageKey>) -> Result<Vec<StorageKey>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        let list = move |directory: &mut Directory, _: Caller<'_>| directory.list(&prefix, after.as_ref());
        self.worker.run(list).await
    }

    async fn delete(&self, keys: &[StorageKey]) -> Result<()> {
        let keys = keys.to_vec();
        self.worker.run(move |directory, _| directory.delete(&keys)).await
    }
}

#[cfg(test)]
mod tests;
