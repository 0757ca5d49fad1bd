//! Reads files, one after the other.

use super::format::{Decoded, Format, Records, Undecoded};
use super::input::{Compression, Input};
use super::split::FileSplit;
use super::undecodable::{Undecodable, UndecodableRecord};
use crate::line_count::LineCount;
use snapline_connector::{ReaderProgress, ReaderStatus, SourceReader, SourceSplit};
use snapline_core::{Batch, CheckpointId, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How much text is handed out at a time at the most, rounded up to a record, so that a batch stays in the cache.
const BATCH_TEXT: u64 = 32 * 1024;

/// Reads the splits of one subtask: those that were found together in their order, those that were found later after them; the first that is not paused.
pub(super) struct FileReader<T> {
    format: Arc<dyn Format<T>>,
    undecodable: Undecodable,
    /// What is left, each split with its position among all that were added.
    splits: VecDeque<(usize, Left<T>)>,
    added: usize,
    current: Option<Open<T>>,
    position: Option<usize>,
    paused: Vec<usize>,
    finished: Vec<usize>,
    total: u64,
    line_count: LineCount,
}

/// A split that is not read to its end.
enum Left<T> {
    Closed(FileSplit),
    /// Of a compressed file that is paused: it could only be opened at its beginning again.
    Open(Box<Open<T>>),
}

impl<T> Left<T> {
    fn split(&self) -> &FileSplit {
        match self {
            Self::Closed(split) => split,
            Self::Open(open) => &open.split,
        }
    }
}

/// A split that is being read.
struct Open<T> {
    split: FileSplit,
    input: Input,
    records: Box<dyn Records<T>>,
}

impl<T> Open<T> {
    /// Opens the file, and passes over what was handed out of one that is compressed.
    fn new(format: &dyn Format<T>, mut split: FileSplit) -> Result<Self> {
        let input = Input::of(&split);
        let mut records = format.open(&input, split.next)?;
        for _ in 0..split.records {
            records.next()?;
        }
        if split.compression == Compression::None {
            split.next = records.byte().min(split.end);
        }
        Ok(Self {
            split,
            input,
            records,
        })
    }

    fn is_done(&self) -> bool {
        self.split.compression == Compression::None && self.split.next >= self.split.end
    }

    fn advance(&mut self) {
        match self.split.compression {
            Compression::None => self.split.next = self.records.byte().min(self.split.end),
            _ => self.split.records += 1,
        }
    }
}

impl<T> FileReader<T> {
    pub(super) fn new(format: Arc<dyn Format<T>>, undecodable: Undecodable) -> Self {
        Self {
            format,
            undecodable,
            splits: VecDeque::new(),
            added: 0,
            current: None,
            position: None,
            paused: Vec::new(),
            finished: Vec::new(),
            total: 0,
            line_count: LineCount::default(),
        }
    }

    /// Hands out records until there are enough of them or no more in their split.
    fn read(&mut self, records: &mut Vec<T>, limit: usize) -> Result<ReaderStatus> {
        let before = records.len();
        while records.len() == before {
            let Some(mut open) = self.next_open()? else {
                return Ok(match self.splits.is_empty() {
                    true => ReaderStatus::EndOfData,
                    false => ReaderStatus::More,
                });
            };
            if self.read_split(&mut open, records, limit)? {
                open.input.check_again()?;
                self.finished.extend(self.position);
            } else {
                self.current = Some(open);
                break;
            }
        }
        Ok(ReaderStatus::More)
    }

    fn next_open(&mut self) -> Result<Option<Open<T>>> {
        if let Some(open) = self.current.take() {
            return Ok(Some(open));
        }
        let Some((position, left)) = self.next_split().and_then(|index| self.splits.remove(index)) else {
            return Ok(None);
        };
        self.position = Some(position);
        match left {
            Left::Closed(split) => Open::new(&*self.format, split).map(Some),
            Left::Open(open) => Ok(Some(*open)),
        }
    }

    /// Where the first split stands that is not paused.
    fn next_split(&self) -> Option<usize> {
        let mut splits = self.splits.iter();
        splits.position(|(position, _)| !self.paused.contains(position))
    }

    /// Lets a split wait that is paused.
    fn set_aside(&mut self) {
        let is_paused = |position: &usize| self.paused.contains(position);
        if let Some(position) = self.position.filter(is_paused)
            && let Some(open) = self.current.take()
        {
            let left = match open.split.compression {
                Compression::None => Left::Closed(open.split),
                _ => Left::Open(Box::new(open)),
            };
            self.splits.push_front((position, left));
        }
    }

    /// Returns whether the split is read to its end.
    fn read_split(&mut self, open: &mut Open<T>, records: &mut Vec<T>, limit: usize) -> Result<bool> {
        let (mut count, first) = (0, open.records.byte());
        while count < limit && open.records.byte() - first < BATCH_TEXT {
            if open.is_done() {
                return Ok(true);
            }
            let (byte, line) = (open.records.byte(), open.records.lines());
            let Some(decoded) = open.records.next()? else {
                return Ok(true);
            };
            match decoded {
                Decoded::Record(record) => {
                    records.push(record);
                    count += 1;
                }
                Decoded::Nothing => {}
                Decoded::Not(undecoded) => self.leave_out(open, byte, line, undecoded)?,
            }
            open.advance();
        }
        Ok(open.is_done())
    }

    #[cold]
    fn leave_out(&mut self, open: &Open<T>, byte: u64, lines: u64, undecoded: Undecoded) -> Result<()> {
        if let Undecodable::Skip(skipped) = &self.undecodable {
            if skipped.add() {
                let path = open.input.path();
                tracing::warn!(path, byte, error = %undecoded.error, "a record of an input file cannot be decoded and is left out");
            }
            return Ok(());
        }
        let (byte, line) = match open.split.compression {
            Compression::None => self.place_in_file(open.input.path(), byte, &undecoded)?,
            _ => (byte, lines + 1),
        };
        let record = UndecodableRecord {
            path: open.split.path.clone(),
            line,
            byte,
            raw: undecoded.raw,
            error: undecoded.error,
        };
        match &self.undecodable {
            Undecodable::DeadLetter(letter) => {
                letter(record);
                Ok(())
            }
            _ => Err(record.into_error()),
        }
    }

    /// The byte and the line of a record. Reading need not have begun with the file: the lines before are counted in it.
    fn place_in_file(&mut self, path: &str, byte: u64, undecoded: &Undecoded) -> Result<(u64, u64)> {
        let byte = match undecoded.may_begin_with_line_ends {
            true => self.line_count.behind_line_ends(path, byte)?,
            false => byte,
        };
        Ok((byte, self.line_count.line_at(path, byte)?))
    }

    fn left(&self) -> impl Iterator<Item = &FileSplit> {
        let waiting = self.splits.iter().map(|(_, left)| left.split());
        self.current.iter().map(|open| &open.split).chain(waiting)
    }
}

impl<T> SourceReader<T, FileSplit> for FileReader<T> {
    fn add_splits(&mut self, splits: Vec<FileSplit>) {
        self.total += splits.iter().map(SourceSplit::weight).sum::<u64>();
        let mut added: Vec<_> = (self.added..).zip(splits).collect();
        self.added += added.len();
        added.sort_by(|(_, a), (_, b)| a.turn().cmp(&b.turn()));
        let added = added
            .into_iter()
            .map(|(position, split)| (position, Left::Closed(split)));
        self.splits.extend(added);
    }

    fn poll_batch(
        &mut self,
        _: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let waits = self.current.is_none() && !self.splits.is_empty() && self.next_split().is_none();
        if waits {
            return Poll::Pending;
        }
        Poll::Ready(self.read(&mut batch.records, limit))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<FileSplit>> {
        Ok(self.left().cloned().collect())
    }

    fn current_split(&self) -> Option<usize> {
        self.position
    }

    fn take_finished(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.finished)
    }

    fn can_pause_splits(&self) -> bool {
        true
    }

    fn pause_splits(&mut self, paused: &[usize]) {
        self.paused = paused.to_vec();
        self.set_aside();
    }

    fn progress(&self) -> ReaderProgress {
        let left: u64 = self.left().map(SourceSplit::weight).sum();
        ReaderProgress {
            done: self.total - left,
            total: Some(self.total),
        }
    }
}
