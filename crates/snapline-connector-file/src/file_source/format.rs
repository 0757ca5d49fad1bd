//! How the text of a file becomes records.

use super::input::Input;
use super::origin::FileOrigin;
use snapline_core::{Error, Result};
use std::sync::Arc;

/// A format of files.
pub(super) trait Format<T>: Send + Sync {
    /// Whether reading may begin at any byte of a file that is not compressed, with the first record that starts there or
    /// behind. Otherwise only at the beginning, and where a record starts.
    fn cuts_anywhere(&self) -> bool;

    /// The records from a byte of the text on.
    ///
    /// # Errors
    /// What keeps the file from being read.
    fn open(&self, input: &Input, from: u64) -> Result<Box<dyn Records<T>>>;
}

/// The records of a file, one after the other.
pub(super) trait Records<T>: Send {
    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// What keeps the file from being read.
    fn next(&mut self) -> Result<Option<Decoded<T>>>;

    /// The byte of the text at which the next record starts, or anything between it and the one before.
    fn byte(&self) -> u64;

    /// How many line ends were passed since the records were opened.
    fn lines(&self) -> u64;
}

/// What comes next in a file.
pub(super) enum Decoded<T> {
    Record(T),
    /// Something that is no record, such as a blank line.
    Nothing,
    Not(Undecoded),
}

/// A record that cannot be decoded.
#[derive(Debug)]
pub(super) struct Undecoded {
    pub(super) raw: Vec<u8>,
    pub(super) error: Error,
    /// Whether line ends may stand between the byte at which reading went on and the record.
    pub(super) may_begin_with_line_ends: bool,
}

impl<T> Decoded<T> {
    fn map<U>(self, record: impl FnOnce(T) -> U) -> Decoded<U> {
        match self {
            Self::Record(decoded) => Decoded::Record(record(decoded)),
            Self::Nothing => Decoded::Nothing,
            Self::Not(undecoded) => Decoded::Not(undecoded),
        }
    }
}

type Combine<T, U> = dyn Fn(T, &FileOrigin) -> U + Send + Sync;

/// A format whose records are combined with what is known of their file.
pub(super) struct WithOrigin<T, U> {
    format: Arc<dyn Format<T>>,
    combine: Arc<Combine<T, U>>,
}

impl<T, U> WithOrigin<T, U> {
    pub(super) fn new(
        format: Arc<dyn Format<T>>,
        combine: impl Fn(T, &FileOrigin) -> U + Send + Sync + 'static,
    ) -> Self {
        let combine = Arc::new(combine);
        Self { format, combine }
    }
}

impl<T: 'static, U: 'static> Format<U> for WithOrigin<T, U> {
    fn cuts_anywhere(&self) -> bool {
        self.format.cuts_anywhere()
    }

    fn open(&self, input: &Input, from: u64) -> Result<Box<dyn Records<U>>> {
        Ok(Box::new(RecordsWithOrigin {
            records: self.format.open(input, from)?,
            origin: FileOrigin::of(input.path()),
            combine: self.combine.clone(),
        }))
    }
}

struct RecordsWithOrigin<T, U> {
    records: Box<dyn Records<T>>,
    origin: FileOrigin,
    combine: Arc<Combine<T, U>>,
}

impl<T, U> Records<U> for RecordsWithOrigin<T, U> {
    fn next(&mut self) -> Result<Option<Decoded<U>>> {
        let next = self.records.next()?;
        Ok(next.map(|decoded| decoded.map(|record| (self.combine)(record, &self.origin))))
    }

    fn byte(&self) -> u64 {
        self.records.byte()
    }

    fn lines(&self) -> u64 {
        self.records.lines()
    }
}
