//! Writes the files of one subtask, up to the point where they wait for their checkpoint.

use super::FileSinkPart;
use super::directory::Directory;
use super::name::{Part, Stage};
use crate::local_path::io_error;
use futures::future::{BoxFuture, FutureExt};
use snapline_connector::{RecordEncoder, SinkWriter, WriterContext};
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};

/// How much is written at a time.
const BUFFER: usize = 256 * 1024;

pub(super) struct FileWriter<T> {
    directory: Directory,
    encode: RecordEncoder<T>,
    roll_at: u64,
    current: PartFile,
    /// Files that are long enough, of the coming checkpoint.
    sealed: Vec<PartFile>,
}

impl<T> FileWriter<T> {
    pub(super) fn new(
        directory: Directory,
        encode: RecordEncoder<T>,
        roll_at: u64,
        context: &WriterContext,
    ) -> Self {
        let first = Part {
            subtask: context.subtask,
            attempt: context.attempt,
            number: 0,
        };
        Self {
            directory,
            encode,
            roll_at,
            current: PartFile::new(first),
            sealed: Vec::new(),
        }
    }

    fn seal(&mut self) {
        let next = Part {
            number: self.current.part.number + 1,
            ..self.current.part
        };
        let sealed = std::mem::replace(&mut self.current, PartFile::new(next));
        self.sealed.push(sealed);
    }
}

impl<T> SinkWriter<T, FileSinkPart> for FileWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.encode.append(&batch.records, &mut self.current.buffer)?;
        batch.clear();
        if self.current.buffer.len() >= BUFFER {
            self.current.write_out(&self.directory)?;
        }
        if self.current.len() >= self.roll_at && !self.current.is_empty() {
            self.current.write_out(&self.directory)?;
            self.seal();
        }
        Ok(())
    }

    /// The task only hands its files over; what is still in the buffer is written by the future.
    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<FileSinkPart>>>> {
        if !self.current.is_empty() {
            self.seal();
        }
        let files = std::mem::take(&mut self.sealed);
        let directory = self.directory.clone();
        Ok(async move { publish(&directory, files, checkpoint) }.boxed())
    }
}

/// Makes files durable under the names that their checkpoint refers to.
fn publish(
    directory: &Directory,
    files: Vec<PartFile>,
    checkpoint: CheckpointId,
) -> Result<Vec<FileSinkPart>> {
    let parts: Vec<_> = files
        .into_iter()
        .map(|file| file.publish(directory, checkpoint))
        .collect::<Result<_>>()?;
    if !parts.is_empty() {
        directory.sync()?;
    }
    Ok(parts)
}

/// A file in progress, and what is to be written to it.
struct PartFile {
    part: Part,
    /// `None` before the first bytes are written.
    file: Option<File>,
    written: u64,
    buffer: Vec<u8>,
}

impl PartFile {
    fn new(part: Part) -> Self {
        Self {
            part,
            file: None,
            written: 0,
            buffer: Vec::new(),
        }
    }

    fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn write_out(&mut self, directory: &Directory) -> Result<&mut File> {
        let path = directory.join(&directory.name(self.part, Stage::InProgress));
        let file = match self.file.take() {
            Some(file) => file,
            None => File::create_new(&path).map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => {
                    Error::conflict("another writer has the same subtask and attempt")
                        .with("path", path.display())
                }
                _ => io_error("an output file cannot be created", &path, error),
            })?,
        };
        let file = self.file.insert(file);
        file.write_all(&self.buffer)
            .map_err(|error| io_error("an output file cannot be written", &path, error))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(file)
    }

    fn publish(mut self, directory: &Directory, checkpoint: CheckpointId) -> Result<FileSinkPart> {
        let path = directory.join(&directory.name(self.part, Stage::InProgress));
        self.write_out(directory)?
            .sync_all()
            .map_err(|error| io_error("an output file cannot be synced", &path, error))?;
        let pending = directory.name(self.part, Stage::Pending(checkpoint));
        fs::rename(&path, directory.join(&pending)).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::conflict(
                "an output file has vanished while it was written; a newer attempt of the job has removed it",
            )
            .with("path", path.display()),
            _ => io_error("an output file cannot be renamed", &path, error),
        })?;
        Ok(FileSinkPart {
            pending,
            committed: directory.name(self.part, Stage::Committed(checkpoint)),
            len: self.written,
        })
    }
}
