//! What the counting sources have in common: a range of numbers in splits with exact positions.

use crate::source::{
    DiscoveryContext, ReaderProgress, ReaderStatus, SourceReader, SourceSplit, SplitEnumerator,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::collections::VecDeque;
use std::task::{Context, Poll};

/// Numbers that are still to be turned into records: `left` of them, from `next` on, each `step`
/// after the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeSplit {
    next: u64,
    left: u64,
    step: u64,
    of: Range,
}

impl SourceSplit for RangeSplit {
    fn weight(&self) -> u64 {
        self.left
    }
}

/// All numbers of a source. A checkpoint keeps it, to notice that the source was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    /// The first number.
    pub(crate) first: u64,
    /// How many there are; `None` without end.
    pub(crate) count: Option<u64>,
    /// Tells two sources with the same numbers and different records apart.
    pub(crate) content: u64,
}

impl Range {
    /// One split for each reader: neighbours stay together when there is an end, and take turns
    /// when there is none, so that all readers stay close to each other.
    fn splits(self, parallelism: u32) -> Vec<RangeSplit> {
        let readers = u64::from(parallelism.max(1));
        let split = |next, left, step| RangeSplit {
            next,
            left,
            step,
            of: self,
        };
        match self.count {
            Some(count) => (0..readers)
                .map(|index| (portion(count, index, readers), portion(count, index + 1, readers)))
                .filter(|(from, to)| from < to)
                .map(|(from, to)| split(self.first + from, to - from, 1))
                .collect(),
            None => (self.first..self.first + readers)
                .map(|next| split(next, (u64::MAX - next) / readers, readers))
                .collect(),
        }
    }
}

/// `count * index / readers` without overflow.
fn portion(count: u64, index: u64, readers: u64) -> u64 {
    let exact = u128::from(count) * u128::from(index) / u128::from(readers);
    u64::try_from(exact).unwrap_or(count)
}

/// Finds the splits of a range that is known once it is asked for.
pub(crate) struct RangeEnumerator<R>(pub(crate) R);

#[async_trait]
impl<R: FnMut() -> Result<Range> + Send> SplitEnumerator<RangeSplit> for RangeEnumerator<R> {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<RangeSplit>> {
        Ok((self.0)()?.splits(context.parallelism))
    }

    async fn verify(&mut self, restored: &[RangeSplit]) -> Result<()> {
        if restored.is_empty() {
            return Ok(());
        }
        let now = (self.0)()?;
        match restored.iter().find(|split| split.of != now) {
            Some(split) => Err(changed(split.of, now)),
            None => Ok(()),
        }
    }
}

fn changed(then: Range, now: Range) -> Error {
    let count = |range: Range| range.count.map_or("no end".to_owned(), |count| count.to_string());
    let what = if then.count != now.count {
        "the source has another number of records than when the checkpoint was taken"
    } else {
        "the source has other records than when the checkpoint was taken"
    };
    Error::invalid(format!(
        "{what}; restore the program's source or start over with an empty state"
    ))
    .with("records then", count(then))
    .with("records now", count(now))
}

/// Turns the numbers of its splits into records, the lowest split that is not paused first.
pub(crate) struct RangeReader<F> {
    record: F,
    /// What is left, each split with its position among all that were added.
    splits: VecDeque<(usize, RangeSplit)>,
    added: usize,
    paused: Vec<usize>,
    current: Option<usize>,
    finished: Vec<usize>,
    progress: ReaderProgress,
}

impl<F> RangeReader<F> {
    pub(crate) fn new(record: F) -> Self {
        let progress = ReaderProgress {
            done: 0,
            total: Some(0),
        };
        Self {
            record,
            splits: VecDeque::new(),
            added: 0,
            paused: Vec::new(),
            current: None,
            finished: Vec::new(),
            progress,
        }
    }
}

impl<T, F: Fn(u64) -> T + Send> SourceReader<T, RangeSplit> for RangeReader<F> {
    fn add_splits(&mut self, splits: Vec<RangeSplit>) {
        for split in splits {
            let end = split.of.count.map(|_| split.left);
            self.progress.total = self.progress.total.zip(end).map(|(total, left)| total + left);
            self.splits.push_back((self.added, split));
            self.added += 1;
        }
        self.splits.make_contiguous().sort_by_key(|(_, split)| split.next);
    }

    fn poll_batch(
        &mut self,
        _: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        if self.splits.is_empty() {
            return Poll::Ready(Ok(ReaderStatus::EndOfData));
        }
        let paused = &self.paused;
        let may_read = |(position, _): &(usize, RangeSplit)| !paused.contains(position);
        let Some(index) = self.splits.iter().position(may_read) else {
            return Poll::Pending;
        };
        let (position, split) = &mut self.splits[index];
        self.current = Some(*position);
        let count = split.left.min(limit as u64);
        append(&mut batch.records, &self.record, split.next, count, split.step);
        split.left -= count;
        split.next += count * split.step;
        self.progress.done += count;
        if split.left == 0 {
            self.finished.extend(self.current);
            self.splits.remove(index);
        }
        Poll::Ready(Ok(ReaderStatus::More))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<RangeSplit>> {
        Ok(self.splits.iter().map(|(_, split)| split.clone()).collect())
    }

    fn current_split(&self) -> Option<usize> {
        self.current
    }

    fn take_finished(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.finished)
    }

    fn can_pause_splits(&self) -> bool {
        true
    }

    fn pause_splits(&mut self, paused: &[usize]) {
        self.paused = paused.to_vec();
    }

    fn progress(&self) -> ReaderProgress {
        self.progress
    }
}

/// The hot loop, without branches: `record` is inlined and the length is known beforehand.
#[inline]
fn append<T>(records: &mut Vec<T>, record: &impl Fn(u64) -> T, next: u64, count: u64, step: u64) {
    if step == 1 {
        records.extend((next..next + count).map(record));
    } else {
        records.extend((0..count).map(|index| record(next + index * step)));
    }
}

#[cfg(test)]
mod tests;
