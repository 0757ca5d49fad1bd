//! Records that are lines.

use super::format::{Decoded, Format, Records, Undecoded};
use super::input::{Input, Text};
use snapline_core::{Error, Result};
use std::io::BufRead;
use std::sync::Arc;

/// Makes a record of a line, or nothing.
type Decode<T> = dyn Fn(&[u8]) -> Result<Option<T>> + Send + Sync;

/// Each line is a record.
pub(super) struct LineFormat<T> {
    decode: Arc<Decode<T>>,
}

impl<T> LineFormat<T> {
    pub(super) fn new(decode: impl Fn(&[u8]) -> Result<T> + Send + Sync + 'static) -> Self {
        Self {
            decode: Arc::new(move |line| decode(line).map(Some)),
        }
    }

    /// The same where a line may be none.
    #[cfg(feature = "json")]
    pub(super) fn sparse(decode: impl Fn(&[u8]) -> Result<Option<T>> + Send + Sync + 'static) -> Self {
        Self {
            decode: Arc::new(decode),
        }
    }
}

/// A line as text.
pub(super) fn text(line: &[u8]) -> Result<String> {
    match std::str::from_utf8(line) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(Error::invalid("the line is not valid UTF-8").because(error)),
    }
}

impl<T: 'static> Format<T> for LineFormat<T> {
    fn cuts_anywhere(&self) -> bool {
        true
    }

    /// The byte before decides: after a line end, a line starts. Otherwise the line belongs to who reads what is before.
    fn open(&self, input: &Input, from: u64) -> Result<Box<dyn Records<T>>> {
        let before = from.saturating_sub(1);
        let mut lines = Lines {
            input: input.clone(),
            text: input.open(before)?,
            line: Vec::new(),
            byte: before,
            lines: 0,
            decode: self.decode.clone(),
        };
        if from > 0 {
            lines.read_line()?;
            lines.lines = 0;
        }
        Ok(Box::new(lines))
    }
}

struct Lines<T> {
    input: Input,
    text: Text,
    line: Vec<u8>,
    byte: u64,
    lines: u64,
    decode: Arc<Decode<T>>,
}

impl<T> Lines<T> {
    /// False at the end.
    fn read_line(&mut self) -> Result<bool> {
        self.line.clear();
        let read = self.text.read_until(b'\n', &mut self.line);
        let count = read.map_err(|error| self.input.unreadable(self.byte, error))?;
        self.byte += count as u64;
        self.lines += 1;
        Ok(count > 0)
    }

    /// The line that was read, without its end.
    fn content(&self) -> &[u8] {
        match self.line.strip_suffix(b"\n") {
            Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
            None => &self.line,
        }
    }
}

impl<T> Records<T> for Lines<T> {
    fn next(&mut self) -> Result<Option<Decoded<T>>> {
        if !self.read_line()? {
            return Ok(None);
        }
        let line = self.content();
        Ok(Some(match (self.decode)(line) {
            Ok(Some(record)) => Decoded::Record(record),
            Ok(None) => Decoded::Nothing,
            Err(error) => Decoded::Not(Undecoded {
                raw: line.to_vec(),
                error,
                may_begin_with_line_ends: false,
            }),
        }))
    }

    fn byte(&self) -> u64 {
        self.byte
    }

    fn lines(&self) -> u64 {
        self.lines
    }
}
