//! Records to files that appear when they are complete.

mod bucket;
mod committer;
mod directory;
mod name;
mod open_parts;
mod part_file;
mod writer;

use committer::FileCommitter;
use directory::Directory;
use serde::{Deserialize, Serialize};
use snapline_connector::{
    Buckets, Committer, CommitterContext, RecordEncoder, Sink, SinkWriter, WriterContext,
};
use snapline_core::{Error, Result};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use writer::FileWriter;

/// Writes records to files in a directory, exactly once.
///
/// The files of a checkpoint appear as `part-{subtask}-{checkpoint}-{attempt}-{number}` when it is
/// complete, and never change again. Until then they have names that start with `.part-`, which most
/// readers of directories pass over. What was in flight at a crash stays in such files, and is removed
/// when the job starts again; its records are written anew.
///
/// When a job has to restore an older checkpoint than its last one, because that cannot be read any
/// more, the files of later checkpoints are removed again: their records will be written anew.
///
/// A job that resumes and does not find the directory at all is refused: results of before would be
/// missing. Who wants to go on without them, or adds a sink to a job that has checkpoints, creates the
/// directory.
///
/// A directory belongs to one sink of one job. Nothing in it is touched but files with such names, and
/// `.part-owner`, which says whose it is; with [buckets](Self::bucket_by) also such files in folders below it, unless a
/// folder has a `.part-owner` of its own.
pub struct FileSink<T> {
    directory: PathBuf,
    encode: RecordEncoder<T>,
    buckets: Option<Buckets<T>>,
    options: Options,
}

#[derive(Debug, Clone)]
struct Options {
    suffix: String,
    roll_at: u64,
    existing: ExistingOutput,
}

/// What happens when a job starts at the beginning and finds results in its directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingOutput {
    /// The job does not start.
    #[default]
    Refuse,
    /// They are removed.
    Replace,
}

impl<T: 'static> FileSink<T> {
    /// Writes each record by its `Display` and a line end to files in this directory, a path or a
    /// `file:///` URL. The directory is created when it does not exist.
    pub fn lines(directory: impl AsRef<Path>) -> Self
    where
        T: Display,
    {
        Self::new(directory.as_ref(), RecordEncoder::lines())
    }

    /// Writes the bytes that `encode` appends for each record.
    pub fn with_encoder(
        directory: impl AsRef<Path>,
        encode: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        Self::new(directory.as_ref(), RecordEncoder::each(encode))
    }

    fn new(directory: &Path, encode: RecordEncoder<T>) -> Self {
        Self {
            directory: directory.to_owned(),
            encode,
            buckets: None,
            options: Options {
                suffix: String::new(),
                roll_at: 128 * 1024 * 1024,
                existing: ExistingOutput::default(),
            },
        }
    }

    /// Ends the names of complete files with this, as in `.csv`. A job that resumes must have the same.
    #[must_use]
    pub fn suffix(mut self, suffix: impl Into<String>) -> Self {
        self.options.suffix = suffix.into();
        self
    }

    /// Puts each record into the folder below the directory that this function names, as in `day=2026-12-01/hour=03`:
    /// folders with `/` between them, which are created when their first file appears. Files that are not complete lie in
    /// the directory itself. A job that resumes must have buckets if it had them before; which record goes where may
    /// change.
    ///
    /// A name that is no such path fails the job with `Invalid`. Each checkpoint begins a file for each bucket that
    /// has records, so few records for each of many buckets make many small files.
    ///
    /// ```
    /// use snapline_connector_file::FileSink;
    ///
    /// let readings = FileSink::with_encoder("out", |(_, text): &(u64, String), line| line.extend(text.bytes()))
    ///     .bucket_by(|(second, _)| format!("day={}", second / 86_400));
    /// # let _ = readings;
    /// ```
    #[must_use]
    pub fn bucket_by<B: AsRef<str>>(mut self, bucket: impl Fn(&T) -> B + Send + Sync + 'static) -> Self {
        self.buckets = Some(Buckets::new(bucket));
        self
    }

    /// Begins a new file when one has reached this length in bytes, rounded up to a batch. 128 MiB
    /// unless set. A new file begins at each checkpoint anyway.
    #[must_use]
    pub fn roll_at(mut self, bytes: u64) -> Self {
        self.options.roll_at = bytes;
        self
    }

    /// Does this with results that are in the directory when a job starts at the beginning.
    #[must_use]
    pub fn on_existing(mut self, existing: ExistingOutput) -> Self {
        self.options.existing = existing;
        self
    }

    fn directory(&self) -> Result<Directory> {
        if self.options.suffix.contains(['/', '\\', '\0']) {
            return Err(
                Error::invalid("the suffix of output files must not have a '/', '\\' or NUL")
                    .with("given", format!("{:?}", self.options.suffix)),
            );
        }
        Directory::at(&self.directory, &self.options.suffix, self.buckets.is_some())
    }
}

/// A file that waits for its checkpoint to be complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSinkPart {
    /// Its name until then.
    pending: String,
    /// Its name from then on, in its bucket if there are such.
    committed: String,
    /// Its length in bytes.
    len: u64,
}

impl<T: 'static> Sink<T> for FileSink<T> {
    type Committable = FileSinkPart;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, FileSinkPart>>> {
        let directory = self.directory()?;
        directory.open(&format!("writer-{}-{}", context.subtask, context.attempt))?;
        let (encode, buckets) = (self.encode.clone(), self.buckets.clone());
        Ok(Box::new(FileWriter::new(
            directory,
            encode,
            buckets,
            self.options.roll_at,
            &context,
        )))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<FileSinkPart>>> {
        Ok(Box::new(FileCommitter::new(
            self.directory()?,
            self.options.existing,
            &context,
        )))
    }
}

impl<T> std::fmt::Debug for FileSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSink")
            .field("directory", &self.directory)
            .field("buckets", &self.buckets)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
