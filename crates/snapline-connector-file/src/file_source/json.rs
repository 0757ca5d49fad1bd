//! JSON values, one on each line.

use super::FileSource;
use super::lines::LineFormat;
use snapline_core::{Data, Error, Result};
use std::path::Path;

impl<T: Data> FileSource<T> {
    /// A record of each line, which is a JSON value; blank lines are passed over. The path is as of [`FileSource::lines`].
    pub fn json_lines(path: impl AsRef<Path>) -> Self {
        Self::of(path, LineFormat::sparse(value::<T>))
    }
}

/// The value on a line; none on a blank one.
fn value<T: Data>(line: &[u8]) -> Result<Option<T>> {
    if line.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(line)
        .map_err(|error| Error::invalid("the line is not the JSON that the record needs").because(error))
}
