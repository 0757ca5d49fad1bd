//! Records as bytes.

use snapline_core::{Error, Result};
use std::fmt::{self, Display, Write};
use std::sync::Arc;

/// Appends the bytes of a whole batch, so that the code for one record is inlined in its loop.
type Append<T> = dyn Fn(&[T], &mut Vec<u8>) -> Result<()> + Send + Sync;

/// How a sink of bytes writes its records. A clone is as cheap as a reference.
pub struct RecordEncoder<T>(Arc<Append<T>>);

impl<T: 'static> RecordEncoder<T> {
    /// Each record by its `Display` and a line end.
    pub fn lines() -> Self
    where
        T: Display,
    {
        Self(Arc::new(append_lines))
    }

    /// The bytes that `encode` appends for each record.
    pub fn each(encode: impl Fn(&T, &mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |records, buffer| {
            records.iter().for_each(|record| encode(record, buffer));
            Ok(())
        }))
    }
}

impl<T> RecordEncoder<T> {
    /// Appends the bytes of these records.
    ///
    /// # Errors
    /// `Invalid` when the `Display` of a record fails.
    pub fn append(&self, records: &[T], buffer: &mut Vec<u8>) -> Result<()> {
        (self.0)(records, buffer)
    }
}

fn append_lines<T: Display>(records: &[T], buffer: &mut Vec<u8>) -> Result<()> {
    let mut lines = Lines(buffer);
    let written = records.iter().try_for_each(|record| writeln!(lines, "{record}"));
    written.map_err(|error| {
        Error::invalid("a record cannot be written as a line; its Display failed").because(error)
    })
}

/// Text that is appended to bytes.
struct Lines<'a>(&'a mut Vec<u8>);

impl Write for Lines<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl<T> Clone for RecordEncoder<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for RecordEncoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordEncoder")
    }
}
