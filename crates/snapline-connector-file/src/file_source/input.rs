//! Opens files and decompresses them.

use super::split::FileSplit;
use crate::fingerprint::Fingerprint;
use crate::local_path::io_error;
use serde::{Deserialize, Serialize};
use snapline_core::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

/// How much is read at a time.
const BUFFER: usize = 256 * 1024;

/// The text of a file, decompressed.
pub(super) type Text = Box<dyn BufRead + Send>;

/// How files are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Compression {
    /// As the end of its name says: `.gz` by gzip, `.zst` by zstd, any other not at all.
    #[default]
    ByName,
    /// Not at all.
    None,
    /// By gzip, in one member or several. Needs the feature `gzip`.
    Gzip,
    /// By zstd. Needs the feature `zstd`.
    Zstd,
}

impl Compression {
    /// That of a file.
    pub(super) fn of(self, path: &str) -> Self {
        let extension = Path::new(path).extension().and_then(|end| end.to_str());
        match (self, extension) {
            (Self::ByName, Some("gz")) => Self::Gzip,
            (Self::ByName, Some("zst")) => Self::Zstd,
            (Self::ByName, _) => Self::None,
            (said, _) => said,
        }
    }
}

/// A file that is to be read.
#[derive(Debug, Clone)]
pub(super) struct Input {
    path: Arc<str>,
    compression: Compression,
    file: Fingerprint,
}

impl Input {
    pub(super) fn of(split: &FileSplit) -> Self {
        Self {
            path: split.path.as_str().into(),
            compression: split.compression,
            file: split.file,
        }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The text from a byte on, which is 0 for one that is compressed.
    ///
    /// # Errors
    /// What keeps the file from being read; `Invalid` when it has changed.
    pub(super) fn open(&self, byte: u64) -> Result<Text> {
        let unreadable = |error| {
            let message = "the input file cannot be read; check that it exists and its permissions";
            io_error(message, Path::new(self.path()), error)
        };
        let mut file = File::open(self.path()).map_err(unreadable)?;
        self.check(&file.metadata().map_err(unreadable)?)?;
        if byte > 0 {
            file.seek(SeekFrom::Start(byte)).map_err(unreadable)?;
        }
        self.decompressed(BufReader::with_capacity(BUFFER, file))
    }

    /// Sees whether the file is still what it was.
    ///
    /// # Errors
    /// `Invalid` when it has changed or is gone.
    pub(super) fn check_again(&self) -> Result<()> {
        let metadata = fs::metadata(self.path());
        self.check(&metadata.map_err(|error| self.unreadable(0, error))?)
    }

    fn check(&self, now: &fs::Metadata) -> Result<()> {
        self.file.check(Path::new(self.path()), now)
    }

    fn decompressed(&self, file: BufReader<File>) -> Result<Text> {
        match self.compression {
            #[cfg(feature = "gzip")]
            Compression::Gzip => {
                let decoder = flate2::bufread::MultiGzDecoder::new(file);
                Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)))
            }
            #[cfg(not(feature = "gzip"))]
            Compression::Gzip => Err(self.not_built_in("gzip")),
            #[cfg(feature = "zstd")]
            Compression::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(file);
                let decoder = decoder.map_err(|error| self.unreadable(0, error))?;
                Ok(Box::new(BufReader::with_capacity(BUFFER, decoder)))
            }
            #[cfg(not(feature = "zstd"))]
            Compression::Zstd => Err(self.not_built_in("zstd")),
            Compression::None | Compression::ByName => Ok(Box::new(file)),
        }
    }

    #[cfg(not(all(feature = "gzip", feature = "zstd")))]
    fn not_built_in(&self, feature: &str) -> Error {
        Error::unsupported("an input file is compressed in a way that is not built in; enable the feature")
            .with("path", self.path())
            .with("feature", feature)
    }

    /// An error while the text was read. What is compressed and damaged only a human can mend.
    #[cold]
    pub(super) fn unreadable(&self, byte: u64, error: io::Error) -> Error {
        let is_damage = matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other
        );
        let error = match is_damage && self.compression != Compression::None {
            true => Error::invalid(
                "a compressed input file is damaged or was cut short; bring it back as it was, or start over without it",
            )
            .with("path", self.path())
            .because(error),
            false => io_error("the input file cannot be read", Path::new(self.path()), error),
        };
        error.with("byte of the text", byte)
    }
}
