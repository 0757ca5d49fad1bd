//! A file in progress, and what is to be written to it.

use super::FileSinkPart;
use super::bucket::{self, ROOT};
use super::directory::Directory;
use super::name::{Part, Stage};
use crate::local_path::io_error;
use snapline_connector::check_bucket;
use snapline_core::{CheckpointId, Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// A file of one writer, which lies beside all others until it is visible.
pub(super) struct PartFile {
    part: Part,
    /// The folder in which it will be visible.
    bucket: String,
    /// `None` before the first bytes are written, and while too many others are open.
    file: Option<File>,
    written: u64,
    pub(super) buffer: Vec<u8>,
}

impl PartFile {
    /// # Errors
    /// `Invalid` when there cannot be such a bucket.
    pub(super) fn new(part: Part, bucket: &str) -> Result<Self> {
        if bucket != ROOT {
            check_bucket(bucket)?;
        }
        Ok(Self {
            part,
            bucket: bucket.to_owned(),
            file: None,
            written: 0,
            buffer: Vec::new(),
        })
    }

    /// Its length in bytes with what is still to be written.
    pub(super) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Gives its descriptor back; what is written later opens it again.
    pub(super) fn close(&mut self) {
        self.file = None;
    }

    /// Writes what is in the buffer.
    ///
    /// # Errors
    /// What keeps it from being written; `Conflict` when the file is another writer's, or gone.
    pub(super) fn write_out(&mut self, directory: &Directory) -> Result<&mut File> {
        let path = directory.join(&directory.name(self.part, Stage::InProgress));
        let file = match self.file.take() {
            Some(file) => file,
            None => open(&path, self.written)?,
        };
        let file = self.file.insert(file);
        file.write_all(&self.buffer)
            .map_err(|error| io_error("an output file cannot be written", &path, error))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(file)
    }

    /// Makes the file durable under the name that its checkpoint refers to.
    ///
    /// # Errors
    /// As [`PartFile::write_out`].
    pub(super) fn publish(mut self, directory: &Directory, checkpoint: CheckpointId) -> Result<FileSinkPart> {
        let path = directory.join(&directory.name(self.part, Stage::InProgress));
        self.write_out(directory)?
            .sync_all()
            .map_err(|error| io_error("an output file cannot be synced", &path, error))?;
        let pending = directory.name(self.part, Stage::Pending(checkpoint));
        fs::rename(&path, directory.join(&pending)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => vanished(&path),
            _ => io_error("an output file cannot be renamed", &path, error),
        })?;
        let committed = directory.name(self.part, Stage::Committed(checkpoint));
        Ok(FileSinkPart {
            pending,
            committed: bucket::join(&self.bucket, &committed),
            len: self.written,
        })
    }
}

/// Creates a file, or opens one again to which something was written.
fn open(path: &Path, written: u64) -> Result<File> {
    let opened: io::Result<File> = match written {
        0 => File::create_new(path),
        _ => OpenOptions::new().append(true).open(path),
    };
    opened.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            Error::conflict("another writer has the same subtask and attempt").with("path", path.display())
        }
        ErrorKind::NotFound if written > 0 => vanished(path),
        _ => io_error("an output file cannot be opened", path, error),
    })
}

fn vanished(path: &Path) -> Error {
    Error::conflict(
        "an output file has vanished while it was written; a newer attempt of the job has removed it",
    )
    .with("path", path.display())
}
