//! What is done with records that cannot be decoded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is done with a record that cannot be decoded; `R` is such a record, and where it is.
#[non_exhaustive]
pub enum Undecodable<R> {
    /// The job fails, and says where the record is.
    Fail,
    /// It is left out, and counted. The first one is logged.
    Skip(SkippedRecords),
    /// It is left out, and handed to a function, which may be called again for the same record after a restart. To send it to
    /// another stream exactly once, let the records be `Result`s, by a decoder that never fails, and split them there.
    DeadLetter(Arc<dyn Fn(R) + Send + Sync>),
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
    pub fn add(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }
}

/// The job fails.
impl<R> Default for Undecodable<R> {
    fn default() -> Self {
        Self::Fail
    }
}

impl<R> Clone for Undecodable<R> {
    fn clone(&self) -> Self {
        match self {
            Self::Fail => Self::Fail,
            Self::Skip(skipped) => Self::Skip(skipped.clone()),
            Self::DeadLetter(letter) => Self::DeadLetter(letter.clone()),
        }
    }
}

impl<R> fmt::Debug for Undecodable<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "Fail",
            Self::Skip(_) => "Skip",
            Self::DeadLetter(_) => "DeadLetter",
        })
    }
}
