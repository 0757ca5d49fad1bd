//! On which line a byte of a file is.

use crate::local_path::io_error;
use memchr::memchr_iter;
use snapline_core::{Error, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Counts the lines of a file up to a byte, and goes on from there for one that comes behind.
#[derive(Debug, Default)]
pub(crate) struct LineCount {
    path: String,
    byte: u64,
    lines: u64,
}

impl LineCount {
    /// The first byte from this one on that is not of a line end.
    ///
    /// # Errors
    /// What keeps the file from being read.
    pub(crate) fn behind_line_ends(&self, path: &str, byte: u64) -> Result<u64> {
        let skip = || -> io::Result<u64> {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(byte))?;
            let mut behind = byte;
            for next in BufReader::new(file).bytes() {
                if !matches!(next?, b'\r' | b'\n') {
                    break;
                }
                behind += 1;
            }
            Ok(behind)
        };
        skip().map_err(|error| unreadable(path, error))
    }

    /// The line on which a byte is, counted from 1.
    ///
    /// # Errors
    /// What keeps the file from being read.
    pub(crate) fn line_at(&mut self, path: &str, byte: u64) -> Result<u64> {
        if self.path != path || byte < self.byte {
            *self = Self {
                path: path.to_owned(),
                ..Self::default()
            };
        }
        let counted = self.count_to(byte);
        counted.map_err(|error| unreadable(path, error))?;
        Ok(self.lines + 1)
    }

    fn count_to(&mut self, byte: u64) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.byte))?;
        let mut text = BufReader::new(file.take(byte - self.byte));
        loop {
            let read = text.fill_buf()?;
            if read.is_empty() {
                self.byte = byte;
                return Ok(());
            }
            self.lines += memchr_iter(b'\n', read).count() as u64;
            let len = read.len();
            text.consume(len);
        }
    }
}

fn unreadable(path: &str, error: io::Error) -> Error {
    io_error("the input file cannot be read", Path::new(path), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_byte_is_counted_from_the_beginning_in_any_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("text");
        std::fs::write(&path, "a\n\nbc\nd").unwrap();
        let mut count = LineCount::default();
        for (byte, line) in [(0, 1), (1, 1), (2, 2), (3, 3), (6, 4), (6, 4), (2, 2), (7, 4)] {
            assert_eq!(
                count.line_at(path.to_str().unwrap(), byte).unwrap(),
                line,
                "{byte}"
            );
        }
        for (byte, behind) in [(0, 0), (1, 3), (5, 6), (7, 7)] {
            let found = count.behind_line_ends(path.to_str().unwrap(), byte);
            assert_eq!(found.unwrap(), behind, "{byte}");
        }
    }
}
