//! Cuts one range of a file into lines.

use super::InvalidUtf8;
use super::split::TextFileSplit;
use crate::local_path::io_error;
use memchr::{memchr, memchr_iter};
use snapline_core::{Error, Result};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// How much is read at a time.
const BUFFER: usize = 256 * 1024;

/// How much is read at a time to find the end of a line that reaches beyond the range.
const BEYOND_RANGE: u64 = 8 * 1024;

/// One range of a file that is being read.
///
/// The buffer has the bytes from `split.next` on, but for a moment after the range was opened.
pub(super) struct Lines {
    split: TextFileSplit,
    file: File,
    buffer: Buffer,
    /// The position in the file from which the buffer is filled next.
    fill_at: u64,
}

/// Memory that outlives the range, to be used for the next one.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Bytes that are filled and not consumed.
    start: usize,
    filled: usize,
    /// No line ends before this position.
    searched: usize,
    /// The ends of the lines that are handed out now.
    ends: Vec<usize>,
}

impl Lines {
    /// Opens the file and finds the first line that starts in the range.
    ///
    /// # Errors
    /// What keeps the file from being read; `Invalid` when it has changed.
    pub(super) fn open(split: TextFileSplit, buffer: Buffer) -> Result<Self> {
        let path = Path::new(&split.path);
        let unreadable = |error| {
            let message = "the input file cannot be read; check that it exists and its permissions";
            io_error(message, path, error)
        };
        let mut file = File::open(path).map_err(unreadable)?;
        split.file.check(path, &file.metadata().map_err(unreadable)?)?;
        let fill_at = split.next.saturating_sub(1);
        file.seek(SeekFrom::Start(fill_at)).map_err(unreadable)?;
        let mut lines = Self {
            split,
            file,
            buffer: buffer.emptied(),
            fill_at,
        };
        if lines.split.next > 0 {
            lines.skip_to_line()?;
        }
        Ok(lines)
    }

    /// The range that is left, as long as it is not at its end.
    pub(super) fn split(&self) -> &TextFileSplit {
        &self.split
    }

    /// Whether no other line starts in the range.
    pub(super) fn is_done(&self) -> bool {
        self.split.next >= self.split.end
    }

    /// Sees whether the file is still what it was, and gives the buffer back.
    ///
    /// # Errors
    /// `Invalid` when it has changed.
    pub(super) fn close(self) -> Result<Buffer> {
        let now = self.file.metadata().map_err(|error| self.unreadable(error))?;
        self.split.file.check(Path::new(&self.split.path), &now)?;
        Ok(self.buffer)
    }

    /// What is left of the range, to be opened again later, and the buffer.
    pub(super) fn set_aside(self) -> (TextFileSplit, Buffer) {
        (self.split, self.buffer)
    }

    /// The byte before the range decides: after a line end, a line starts with the range. Otherwise the
    /// line was started in the range before.
    fn skip_to_line(&mut self) -> Result<()> {
        while self.fill_at < self.split.end {
            self.fill()?;
            let unread = &self.buffer.bytes[self.buffer.start..self.buffer.filled];
            let len = unread.len();
            if let Some(end) = memchr(b'\n', unread) {
                self.buffer.consume(end + 1);
                self.split.next = self.fill_at - (len - end - 1) as u64;
                return Ok(());
            }
            self.buffer.consume(len);
        }
        self.split.next = self.split.end;
        Ok(())
    }

    /// Appends up to `limit` lines, up to and with the one that reaches `bytes`, and says how many bytes
    /// they are: at least one line, unless the range is at its end. The limits are at least 1.
    ///
    /// # Errors
    /// What keeps the file from being read; `Invalid` when it is not UTF-8 or has changed.
    pub(super) fn take(
        &mut self,
        records: &mut Vec<String>,
        limit: usize,
        bytes: usize,
        invalid: InvalidUtf8,
    ) -> Result<usize> {
        while !self.is_done() {
            let range = self.split.end - self.split.next;
            let bytes = usize::try_from(range).unwrap_or(usize::MAX).min(bytes);
            self.buffer.find_lines(limit, bytes);
            if self.buffer.ends.is_empty() && self.fill_at < self.split.file.len {
                self.fill()?;
                continue;
            }
            return self.hand_out(records, invalid);
        }
        Ok(0)
    }

    /// Appends the lines that were found, or the last one of a file that does not end with a line end.
    fn hand_out(&mut self, records: &mut Vec<String>, invalid: InvalidUtf8) -> Result<usize> {
        let buffer = &self.buffer;
        let len = buffer
            .ends
            .last()
            .map_or(buffer.filled - buffer.start, |end| end - buffer.start);
        let bytes = &buffer.bytes[buffer.start..buffer.start + len];
        match std::str::from_utf8(bytes) {
            Ok(text) => append(records, text, buffer),
            Err(error) if invalid == InvalidUtf8::Refuse => {
                return Err(self.not_utf8(error.valid_up_to() as u64));
            }
            Err(_) => append_replaced(records, bytes, buffer),
        }
        self.buffer.consume(len);
        self.split.next += len as u64;
        Ok(len)
    }

    /// Reads on. There must be more to read.
    fn fill(&mut self) -> Result<()> {
        let in_range = self.split.end.saturating_sub(self.fill_at);
        let wanted = if in_range > 0 {
            in_range
        } else {
            BEYOND_RANGE.max(self.buffer.filled as u64)
        };
        let left = self.split.file.len - self.fill_at;
        let room = self.buffer.room(wanted.min(left));
        let count = loop {
            match self.file.read(room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        match count.map_err(|error| self.unreadable(error))? {
            0 => Err(self.too_short()),
            count => {
                self.buffer.filled += count;
                self.fill_at += count as u64;
                Ok(())
            }
        }
    }

    #[cold]
    fn unreadable(&self, error: std::io::Error) -> Error {
        io_error(
            "the input file cannot be read",
            Path::new(&self.split.path),
            error,
        )
        .with("byte", self.fill_at)
    }

    #[cold]
    fn too_short(&self) -> Error {
        Error::invalid("an input file became shorter while it was read; restore the file, or start over")
            .with("path", &self.split.path)
            .with("length then", self.split.file.len)
            .with("length now", self.fill_at)
    }

    #[cold]
    fn not_utf8(&self, valid: u64) -> Error {
        Error::invalid(
            "an input file is not valid UTF-8; convert it, or have such bytes replaced with \
             InvalidUtf8::Replace",
        )
        .with("path", &self.split.path)
        .with("byte", self.split.next + valid)
    }
}

impl Buffer {
    fn emptied(mut self) -> Self {
        if self.bytes.len() > BUFFER {
            self.bytes = Vec::new();
        }
        (self.start, self.filled, self.searched) = (0, 0, 0);
        self
    }

    /// Room for up to `wanted` bytes after those that are filled, at least one.
    fn room(&mut self, wanted: u64) -> &mut [u8] {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        if self.filled == self.bytes.len() {
            self.bytes.resize((2 * self.filled).max(BUFFER), 0);
        }
        let room = &mut self.bytes[self.filled..];
        let len = usize::try_from(wanted).unwrap_or(usize::MAX).min(room.len());
        &mut room[..len]
    }

    /// Finds the ends of up to `limit` lines that start in the next `bytes`.
    fn find_lines(&mut self, limit: usize, bytes: usize) {
        self.ends.clear();
        let enough = self.start.saturating_add(bytes);
        for found in memchr_iter(b'\n', &self.bytes[self.searched..self.filled]) {
            let end = self.searched + found + 1;
            self.ends.push(end);
            if end >= enough || self.ends.len() == limit {
                break;
            }
        }
        if self.ends.is_empty() {
            self.searched = self.filled;
        }
    }

    fn consume(&mut self, len: usize) {
        self.start += len;
        self.searched = self.start;
    }
}

/// The hot loop: one allocation for each line, of text that is known to be valid.
fn append(records: &mut Vec<String>, text: &str, buffer: &Buffer) {
    records.reserve(buffer.ends.len());
    let mut from = 0;
    for end in &buffer.ends {
        let line = &text[from..end - buffer.start - 1];
        records.push(line.strip_suffix('\r').unwrap_or(line).to_owned());
        from = end - buffer.start;
    }
    if buffer.ends.is_empty() {
        records.push(text.to_owned());
    }
}

fn append_replaced(records: &mut Vec<String>, bytes: &[u8], buffer: &Buffer) {
    let mut from = 0;
    for end in &buffer.ends {
        let line = &bytes[from..end - buffer.start - 1];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        records.push(String::from_utf8_lossy(line).into_owned());
        from = end - buffer.start;
    }
    if buffer.ends.is_empty() {
        records.push(String::from_utf8_lossy(bytes).into_owned());
    }
}
