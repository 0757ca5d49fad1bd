//! Records of any format in files, which may come while the job runs.

#[cfg(feature = "csv")]
mod csv;
mod enumerator;
mod format;
mod input;
#[cfg(feature = "json")]
mod json;
mod lines;
mod origin;
mod reader;
mod split;
mod undecodable;

#[cfg(feature = "csv")]
pub use csv::CsvFormat;
use enumerator::FileEnumerator;
use format::{Format, WithOrigin};
pub use input::Compression;
use lines::LineFormat;
pub use origin::FileOrigin;
use reader::FileReader;
use snapline_connector::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::{Data, Result};
pub use split::FileSplit;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
pub use undecodable::{Undecodable, UndecodableRecord};

/// Records in files: lines, CSV, JSON lines, or a format of your own, plain or compressed, of a folder that may be
/// watched for new files.
///
/// | | |
/// |---|---|
/// | as a source | exactly once: a checkpoint has the byte, or in compressed files the number, of the next record of each file, and which files were seen |
/// | what it needs | that a file is whole when it appears, as after a rename, and does not change before it was read to its end; that the files of a checkpoint are still there when it is restored |
/// | in flight at a crash | is read again from the position of the checkpoint |
///
/// A file that has changed, became shorter or is gone while the job needs it is an error that names it and the difference:
/// length, time of change, and a checksum of the beginning and the end are compared. A file that was read to its end may be
/// moved away. It is known by its path: one of the same path that comes later is not read.
///
/// Plain lines and JSON lines of large files are read in parallel, in ranges of bytes; any other file by one reader. A
/// compressed file is read from its beginning after a restart, up to where the job was. Where event time is aligned, single
/// files or ranges wait; a compressed file stays open meanwhile.
///
/// # Examples
/// ```
/// use snapline_connector_file::FileSource;
/// use std::time::Duration;
///
/// let orders = FileSource::lines("orders/**/*.log.gz").watch(Duration::from_secs(10));
/// let by_day = FileSource::lines("orders/day=*/*.log")
///     .with_origin(|line, file| (file.partition("day").unwrap_or_default().to_owned(), line));
/// ```
pub struct FileSource<T> {
    format: Arc<dyn Format<T>>,
    options: Options,
}

#[derive(Debug, Clone)]
struct Options {
    path: PathBuf,
    watch: Option<Duration>,
    until_exists: Option<PathBuf>,
    order: FileOrder,
    compression: Compression,
    undecodable: Undecodable,
}

/// In which order a reader reads files that were found together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileOrder {
    /// By their paths.
    #[default]
    Path,
    /// The one that was changed first is read first.
    Modified,
}

impl FileSource<String> {
    /// Each line of text, without its end (`\n` or `\r\n`); an empty line is a record, too.
    ///
    /// The path, or `file:///` URL, is that of a file, of a folder, whose files are read and those of its folders are not, or
    /// a pattern with `*`, `?`, `[...]` or `**`. Files whose names start with a dot are passed over.
    pub fn lines(path: impl AsRef<Path>) -> Self {
        Self::with_decoder(path, lines::text)
    }
}

impl<T: Data> FileSource<T> {
    /// What a function makes of the bytes of each line, without its end. An error of the function says why the line cannot be
    /// decoded, and is treated as [`FileSource::on_undecodable`] says. The path is as of [`FileSource::lines`].
    pub fn with_decoder(
        path: impl AsRef<Path>,
        decode: impl Fn(&[u8]) -> Result<T> + Send + Sync + 'static,
    ) -> Self {
        Self::of(path, LineFormat::new(decode))
    }

    fn of(path: impl AsRef<Path>, format: impl Format<T> + 'static) -> Self {
        Self {
            format: Arc::new(format),
            options: Options {
                path: path.as_ref().to_owned(),
                watch: None,
                until_exists: None,
                order: FileOrder::default(),
                compression: Compression::default(),
                undecodable: Undecodable::default(),
            },
        }
    }

    /// Hands each record on with what is known of its file, such as the values of hive-style folders like `day=2024-05-01`.
    pub fn with_origin<U: Data>(
        self,
        combine: impl Fn(T, &FileOrigin) -> U + Send + Sync + 'static,
    ) -> FileSource<U> {
        FileSource {
            format: Arc::new(WithOrigin::new(self.format, combine)),
            options: self.options,
        }
    }

    /// Looks for new files in this interval, and goes on until the job is stopped. Without it, the job reads the files that are
    /// there when it starts at the beginning, and ends.
    ///
    /// May be set and unset between two runs of a job.
    #[must_use]
    pub fn watch(mut self, interval: Duration) -> Self {
        self.options.watch = Some(interval);
        self
    }

    /// Ends the job, of a source that [watches](FileSource::watch), when all files are read that were there once this path
    /// exists, such as `_SUCCESS` in the folder.
    #[must_use]
    pub fn until_exists(mut self, path: impl AsRef<Path>) -> Self {
        self.options.until_exists = Some(path.as_ref().to_owned());
        self
    }

    /// Reads files in this order.
    #[must_use]
    pub fn order(mut self, order: FileOrder) -> Self {
        self.options.order = order;
        self
    }

    /// Takes all files to be compressed like this, whatever their names say.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    /// Does this with what cannot be decoded. Unless set, the job fails and names the file, the line and the byte.
    #[must_use]
    pub fn on_undecodable(mut self, undecodable: Undecodable) -> Self {
        self.options.undecodable = undecodable;
        self
    }
}

impl<T: Data> Source for FileSource<T> {
    type Item = T;
    type Split = FileSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<FileSplit>>> {
        Ok(Box::new(FileEnumerator::new(
            self.options.clone(),
            self.format.cuts_anywhere(),
        )))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        self.options.watch
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, FileSplit>>> {
        Ok(Box::new(FileReader::new(
            self.format.clone(),
            self.options.undecodable.clone(),
        )))
    }
}

impl<T> std::fmt::Debug for FileSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileSource")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
