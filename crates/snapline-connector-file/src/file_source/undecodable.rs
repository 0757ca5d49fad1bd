//! What is done with records that cannot be decoded.

use snapline_core::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is done with a record that cannot be decoded.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Undecodable {
    /// The job fails, with the file, the line and the byte.
    #[default]
    Fail,
    /// It is left out, and counted. The first one of each reader is logged.
    Skip(SkippedRecords),
    /// It is left out, and handed to a function, which may be called again for the same record after a restart. To send it to
    /// another stream exactly once, let the records be `Result`s, by a decoder that never fails, and split them there.
    DeadLetter(Arc<dyn Fn(UndecodableRecord) + Send + Sync>),
}

/// How many records were left out in this process. One that is read again after a restart is counted again.
///
/// A clone counts with it.
#[derive(Debug, Clone, Default)]
pub struct SkippedRecords(Arc<AtomicU64>);

impl SkippedRecords {
    /// How many so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one. Returns whether it is the first.
    pub(super) fn add(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }
}

/// A record that cannot be decoded, and where it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UndecodableRecord {
    /// The file.
    pub path: String,
    /// The line of the text on which it starts, counted from 1.
    pub line: u64,
    /// The byte of the text, decompressed, at which it starts, counted from 0.
    pub byte: u64,
    /// Its bytes, without the line end; of CSV the values, without what is between them.
    pub raw: Vec<u8>,
    /// Why it cannot be decoded.
    pub error: Error,
}

impl UndecodableRecord {
    /// The error with which the job fails.
    pub(super) fn into_error(self) -> Error {
        Error::invalid(
            "a record of an input file cannot be decoded; correct it, or have such records left out with \
             on_undecodable",
        )
        .with("path", self.path)
        .with("line", self.line)
        .with("byte", self.byte)
        .because(self.error)
    }
}

impl fmt::Debug for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::Skip(_) => "Skip",
            Self::DeadLetter(_) => "DeadLetter",
        })
    }
}
