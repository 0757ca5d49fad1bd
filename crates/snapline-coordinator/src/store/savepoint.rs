//! Savepoints: checkpoints that belong to the user and stand by themselves.

use super::layout;
use super::{Verification, verify_handles};
use crate::document::{self, DocumentFormat};
use crate::manifest::{FORMAT, Manifest};
use snapline_core::{Error, ErrorKind, Result};
use snapline_state::{CheckpointStorage, Created, StateLocation, StorageKey};
use std::sync::Arc;

/// A manifest in which the names of files begin at the savepoint's own folder, so that the folder can
/// be moved.
const SAVEPOINT: DocumentFormat = DocumentFormat {
    name: "snapline-savepoint",
    ..FORMAT
};

/// Where a savepoint is to be written.
///
/// ```text
/// {path}/manifest.json                                   written last: now the savepoint exists
/// {path}/state/{job}/a7-e1234/{operator}/{subtask}-...   its state
/// ```
#[derive(Debug, Clone)]
pub struct SavepointTarget {
    /// The storage; it need not be that of the job's checkpoints.
    pub storage: Arc<dyn CheckpointStorage>,
    /// The folder.
    pub path: StorageKey,
}

/// A savepoint that is there to be read.
///
/// It is self-contained: everything that it needs is in its folder, which may be copied to any other
/// place. A folder of a job's checkpoint may be read as well, as long as that job keeps it.
#[derive(Debug, Clone)]
pub struct Savepoint {
    storage: Arc<dyn CheckpointStorage>,
    path: StorageKey,
}

/// A savepoint that was read.
#[derive(Debug)]
pub(super) struct Found {
    /// With names of files as the storage knows them.
    pub(super) manifest: Manifest,
    /// Of the bytes of its manifest: tells two savepoints apart that were at the same path.
    pub(super) identity: u32,
    /// Whether it is a folder of a job's checkpoint.
    pub(super) is_checkpoint: bool,
    /// Whether its state was looked at.
    pub(super) is_verified: bool,
}

impl SavepointTarget {
    /// Checks that a savepoint can be written there: to be called before it is started.
    ///
    /// # Errors
    /// `Invalid` when the path holds a savepoint already; otherwise the storage's error.
    pub async fn check_free(&self) -> Result<()> {
        match self.storage.get(&manifest_key(&self.path)?, Some(0..1)).await? {
            None => Ok(()),
            Some(_) => Err(self.error("there is a savepoint at this path already; choose another path")),
        }
    }

    /// The savepoint, once it is written.
    pub fn savepoint(&self) -> Savepoint {
        Savepoint::new(self.storage.clone(), self.path.clone())
    }

    /// Writes the manifest of a savepoint whose state is there: from then on the savepoint exists.
    /// Writing the same manifest again changes nothing.
    ///
    /// # Errors
    /// `Invalid` when the path holds another savepoint, `Internal` when the manifest needs a file
    /// outside of the folder, and `Unavailable` when it is not known whether the manifest was
    /// written: call again with the same one.
    pub async fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let mut stored = manifest.clone();
        let folder = format!("{}/", self.path);
        for handle in stored.handles_mut() {
            if let StateLocation::File { key, .. } = &mut handle.location {
                let Some(name) = key.as_str().strip_prefix(&folder) else {
                    return Err(
                        Error::internal("a savepoint needs a file that is not in its folder")
                            .with("file", key)
                            .with("path", &self.path),
                    );
                };
                *key = StorageKey::new(name)?;
            }
        }
        let bytes = document::encode(SAVEPOINT, &stored)?;
        match self.storage.create(&manifest_key(&self.path)?, bytes).await? {
            Created::New => Ok(()),
            Created::AlreadyExists(_) => {
                Err(self.error("another savepoint was written to this path meanwhile; choose another path"))
            }
        }
    }

    fn error(&self, message: &str) -> Error {
        named(Error::invalid(message), self.storage.as_ref(), &self.path)
    }
}

impl Savepoint {
    /// The savepoint at this path. Nothing is read.
    pub fn new(storage: Arc<dyn CheckpointStorage>, path: StorageKey) -> Self {
        Self { storage, path }
    }

    /// The storage, from which its state has to be read.
    pub fn storage(&self) -> &Arc<dyn CheckpointStorage> {
        &self.storage
    }

    /// The folder.
    pub fn path(&self) -> &StorageKey {
        &self.path
    }

    /// Reads what the savepoint consists of and looks at its state.
    ///
    /// # Errors
    /// `Invalid` when there is none or it was never completed, `Unsupported` when a newer version of
    /// Snapline wrote it, `Corrupted` when the manifest or state is damaged, and the storage's error.
    /// All of them name the path and what to do.
    pub async fn read(&self, verification: Verification) -> Result<Manifest> {
        let found = self.find().await?;
        self.verify(&found, verification).await?;
        Ok(found.manifest)
    }

    pub(super) async fn find(&self) -> Result<Found> {
        let Some(bytes) = self.storage.get(&manifest_key(&self.path)?, None).await? else {
            return Err(self.missing().await?);
        };
        let named = |error| self.named(error);
        let is_checkpoint = document::is(FORMAT, &bytes);
        let mut manifest = if is_checkpoint {
            Manifest::decode(&bytes).map_err(named)?
        } else {
            Manifest::decode_as(SAVEPOINT, &bytes).map_err(named)?
        };
        if !is_checkpoint {
            for handle in manifest.handles_mut() {
                if let StateLocation::File { key, .. } = &mut handle.location {
                    *key = self.path.join(key.as_str()).map_err(named)?;
                }
            }
        }
        Ok(Found {
            manifest,
            identity: crc32c::crc32c(&bytes),
            is_checkpoint,
            is_verified: false,
        })
    }

    pub(super) async fn verify(&self, found: &Found, verification: Verification) -> Result<()> {
        let verified = verify_handles(self.storage.as_ref(), &found.manifest, verification).await;
        verified.map_err(|error| self.named(error))
    }

    /// Deletes the savepoint: its state first, so that what is left of it can be found again when
    /// that is interrupted. A folder of a job's checkpoint is not touched, nor what is damaged.
    ///
    /// # Errors
    /// The storage's error.
    pub async fn delete(&self) -> Result<()> {
        let found = match self.find().await {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
            // It is gone, or not what it was.
            Err(_) => return Ok(()),
        };
        if !found.is_checkpoint {
            let files: Vec<StorageKey> = found.manifest.files().cloned().collect();
            self.storage.delete(&files).await?;
            self.storage.delete(&[manifest_key(&self.path)?]).await?;
        }
        Ok(())
    }

    async fn missing(&self) -> Result<Error> {
        let left = self.storage.list(&format!("{}/", self.path), None).await?;
        let message = if left.is_empty() {
            "there is no savepoint at this path; give the path of one, as it was reported when it was taken"
        } else {
            "the savepoint was never completed: its manifest is missing; give the path of a completed one"
        };
        Ok(self.named(Error::invalid(message)))
    }

    fn named(&self, error: Error) -> Error {
        named(error, self.storage.as_ref(), &self.path)
    }
}

fn named(error: Error, storage: &dyn CheckpointStorage, path: &StorageKey) -> Error {
    error.with("savepoint", path).with("storage", storage.location())
}

fn manifest_key(path: &StorageKey) -> Result<StorageKey> {
    path.join(layout::MANIFEST)
}
