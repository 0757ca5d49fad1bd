//! Reads ranges of files, one after the other.

use super::InvalidUtf8;
use super::lines::{Buffer, Lines};
use super::split::TextFileSplit;
use snapline_connector::{ReaderProgress, ReaderStatus, SourceReader, SourceSplit};
use snapline_core::{Batch, CheckpointId, Result};
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// How much text is handed out at a time at the most, rounded up to a line, so that a batch stays in
/// the cache.
const BATCH_TEXT: usize = 32 * 1024;

/// Reads the ranges of one subtask in the order of files and bytes, the first that is not paused.
pub(super) struct TextFileReader {
    invalid_utf8: InvalidUtf8,
    /// What is left, each split with its position among all that were added.
    splits: VecDeque<(usize, TextFileSplit)>,
    added: usize,
    current: Option<Lines>,
    position: Option<usize>,
    paused: Vec<usize>,
    finished: Vec<usize>,
    /// The buffer, between two ranges.
    buffer: Buffer,
    total: u64,
}

impl TextFileReader {
    pub(super) fn new(invalid_utf8: InvalidUtf8) -> Self {
        Self {
            invalid_utf8,
            splits: VecDeque::new(),
            added: 0,
            current: None,
            position: None,
            paused: Vec::new(),
            finished: Vec::new(),
            buffer: Buffer::default(),
            total: 0,
        }
    }

    /// Hands out lines until there are enough of them or no more in their split.
    fn read(&mut self, records: &mut Vec<String>, limit: usize) -> Result<ReaderStatus> {
        let limit = records.len().saturating_add(limit);
        let mut bytes = 0;
        while records.len() < limit && bytes < BATCH_TEXT {
            let Some(mut lines) = self.next_lines()? else {
                break;
            };
            bytes += lines.take(
                records,
                limit - records.len(),
                BATCH_TEXT - bytes,
                self.invalid_utf8,
            )?;
            if lines.is_done() {
                self.buffer = lines.close()?;
                self.finished.extend(self.position);
                if bytes > 0 {
                    break;
                }
            } else {
                self.current = Some(lines);
            }
        }
        Ok(if bytes == 0 && self.left().next().is_none() {
            ReaderStatus::EndOfData
        } else {
            ReaderStatus::More
        })
    }

    fn next_lines(&mut self) -> Result<Option<Lines>> {
        match self.current.take() {
            Some(lines) => Ok(Some(lines)),
            None => {
                let Some((position, split)) = self.next_split().and_then(|index| self.splits.remove(index))
                else {
                    return Ok(None);
                };
                self.position = Some(position);
                Lines::open(split, std::mem::take(&mut self.buffer)).map(Some)
            }
        }
    }

    /// Where the first split stands that is not paused.
    fn next_split(&self) -> Option<usize> {
        let mut splits = self.splits.iter();
        splits.position(|(position, _)| !self.paused.contains(position))
    }

    /// Closes the file of a split that is paused: it is opened again at its next line.
    fn set_aside(&mut self) {
        let is_paused = |position: &usize| self.paused.contains(position);
        if let Some(position) = self.position.filter(is_paused)
            && let Some(lines) = self.current.take()
        {
            let (split, buffer) = lines.set_aside();
            self.splits.push_front((position, split));
            self.buffer = buffer;
        }
    }

    fn left(&self) -> impl Iterator<Item = &TextFileSplit> {
        let waiting = self.splits.iter().map(|(_, split)| split);
        self.current.iter().map(Lines::split).chain(waiting)
    }
}

impl SourceReader<String, TextFileSplit> for TextFileReader {
    fn add_splits(&mut self, splits: Vec<TextFileSplit>) {
        self.total += splits.iter().map(SourceSplit::weight).sum::<u64>();
        let positions = self.added..;
        self.added += splits.len();
        self.splits.extend(positions.zip(splits));
        self.splits
            .make_contiguous()
            .sort_by(|(_, a), (_, b)| (&a.path, a.next).cmp(&(&b.path, b.next)));
    }

    fn poll_batch(
        &mut self,
        _: &mut Context<'_>,
        batch: &mut Batch<String>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let waits = self.current.is_none() && !self.splits.is_empty() && self.next_split().is_none();
        if waits {
            return Poll::Pending;
        }
        Poll::Ready(self.read(&mut batch.records, limit))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<TextFileSplit>> {
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
