//! Reads the partitions of one subtask.

use super::decode::Decode;
use super::fetching::{Fetched, Fetching};
use super::{KafkaSplit, Options};
use crate::client::{KafkaRecord, TopicPartition};
use crate::connection::KafkaConnection;
use snapline_connector::{ReaderProgress, ReaderStatus, SourceReader, SourceSplit};
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

/// Hands out records of one partition at a time.
pub(super) struct KafkaReader<T> {
    connection: KafkaConnection,
    options: Options,
    decode: Decode<T>,
    /// All that were added, in that order.
    splits: Vec<Reading>,
    current: Option<usize>,
    finished: Vec<usize>,
    /// Opened at the first poll, when all splits are known.
    fetching: Option<Fetching>,
    /// The positions of checkpoints that are not complete yet, to be told to the consumer group.
    uncommitted: VecDeque<(CheckpointId, Vec<(TopicPartition, i64)>)>,
    done: u64,
}

/// A split that is being read.
struct Reading {
    split: KafkaSplit,
    fetched: VecDeque<KafkaRecord>,
    /// Up to where the fetched records go.
    position: i64,
    is_paused: bool,
    is_finished: bool,
}

impl Reading {
    fn new(split: KafkaSplit) -> Self {
        Self {
            position: split.next,
            split,
            fetched: VecDeque::new(),
            is_paused: false,
            is_finished: false,
        }
    }

    /// Whether it has to be looked at: there are records, or its end may have been reached.
    fn is_ready(&self) -> bool {
        !self.is_paused && !self.is_finished && (!self.fetched.is_empty() || self.split.is_finished())
    }

    fn add(&mut self, fetched: Fetched) {
        self.fetched.extend(fetched.records);
        self.position = self.position.max(fetched.position.unwrap_or(0));
        self.settle();
    }

    /// Behind the last record there may be ends of transactions, which nobody hands out.
    fn settle(&mut self) {
        if self.fetched.is_empty() {
            self.split.next = self.split.next.max(self.position);
        }
    }

    /// Hands out records that were fetched.
    fn take<T>(
        &mut self,
        batch: &mut Batch<T>,
        limit: usize,
        decode: impl Fn(&[KafkaRecord], &mut Batch<T>) -> Result<()>,
    ) -> Result<()> {
        let (records, _) = self.fetched.as_slices();
        let records = &records[..records.len().min(limit)];
        let end = self.split.end.unwrap_or(i64::MAX);
        let wanted = records.partition_point(|record| record.offset < end);
        decode(&records[..wanted], batch)?;
        let taken = records.len();
        if let Some(last) = records.last() {
            self.split.next = last.offset + 1;
        }
        self.fetched.drain(..taken);
        self.settle();
        Ok(())
    }
}

impl<T> KafkaReader<T> {
    pub(super) fn new(connection: KafkaConnection, options: Options, decode: Decode<T>) -> Self {
        Self {
            connection,
            options,
            decode,
            splits: Vec::new(),
            current: None,
            finished: Vec::new(),
            fetching: None,
            uncommitted: VecDeque::new(),
            done: 0,
        }
    }

    /// The split whose turn it is: the next one after that of the newest batch, so that all come forward.
    fn next_ready(&self) -> Option<usize> {
        let after = self.current.map_or(0, |current| current + 1);
        let (before, behind) = self.splits.split_at(after.min(self.splits.len()));
        let position = |splits: &[Reading]| splits.iter().position(Reading::is_ready);
        position(behind)
            .map(|found| found + before.len())
            .or_else(|| position(before))
    }

    /// Hands out records of the split whose turn it is, unless none is ready.
    fn take(&mut self, batch: &mut Batch<T>, limit: usize) -> Result<bool> {
        let Some(index) = self.next_ready() else {
            return Ok(false);
        };
        self.current = Some(index);
        let reading = &mut self.splits[index];
        let before = reading.split.next;
        let (decode, undecodable) = (&self.decode, self.options.undecodable);
        reading.take(batch, limit, |records, batch| decode(records, batch, undecodable))?;
        self.done += u64::try_from(reading.split.next - before).unwrap_or(0);
        if reading.split.is_finished() {
            reading.is_finished = true;
            reading.fetched.clear();
            self.finished.push(index);
        }
        Ok(true)
    }

    fn fetching(&mut self) -> Result<&mut Fetching> {
        let started = match self.fetching.take() {
            Some(fetching) => fetching,
            None => self.start()?,
        };
        Ok(self.fetching.insert(started))
    }

    fn start(&mut self) -> Result<Fetching> {
        let from = |reading: &Reading| (reading.split.partition.clone(), reading.split.next);
        let fetching = Fetching::start(
            self.connection.clone(),
            self.splits.iter().map(from).collect(),
            self.options.isolation,
            self.options.group.clone(),
        )?;
        fetching.pause(self.left_aside());
        Ok(fetching)
    }

    fn left_aside(&self) -> Vec<usize> {
        let aside = |reading: &Reading| reading.is_paused || reading.is_finished;
        let aside = self
            .splits
            .iter()
            .enumerate()
            .filter(|(_, reading)| aside(reading));
        aside.map(|(index, _)| index).collect()
    }

    fn poll_fetched(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let fetched = ready!(self.fetching()?.poll_fetched(cx));
        let stopped = || Error::unavailable("the client of kafka has stopped");
        for part in fetched.unwrap_or_else(|| Err(stopped()))? {
            if let Some(reading) = self
                .splits
                .get_mut(part.split)
                .filter(|reading| !reading.is_finished)
            {
                reading.add(part);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn left(&self) -> impl Iterator<Item = &KafkaSplit> {
        let left = self.splits.iter().filter(|reading| !reading.is_finished);
        left.map(|reading| &reading.split)
    }
}

impl<T: Send> SourceReader<T, KafkaSplit> for KafkaReader<T> {
    fn add_splits(&mut self, splits: Vec<KafkaSplit>) {
        self.splits.extend(splits.into_iter().map(Reading::new));
        // What was fetched ahead is fetched again, together with the new ones.
        self.fetching = None;
        for reading in &mut self.splits {
            reading.fetched.clear();
            reading.position = reading.split.next;
        }
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let before = batch.len();
        loop {
            while self.take(batch, limit)? {
                if batch.len() > before {
                    return Poll::Ready(Ok(ReaderStatus::More));
                }
            }
            if self.left().next().is_none() {
                return Poll::Ready(Ok(ReaderStatus::EndOfData));
            }
            ready!(self.poll_fetched(cx))?;
        }
    }

    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<KafkaSplit>> {
        if self.options.group.is_some() {
            let positions = self.splits.iter().map(|reading| &reading.split);
            let positions = positions
                .map(|split| (split.partition.clone(), split.next))
                .collect();
            self.uncommitted.push_back((checkpoint, positions));
        }
        Ok(self.left().cloned().collect())
    }

    fn on_checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let mut newest = None;
        while self
            .uncommitted
            .front()
            .is_some_and(|(older, _)| *older <= checkpoint)
        {
            newest = self.uncommitted.pop_front();
        }
        if let (Some((_, positions)), Some(fetching)) = (newest, &self.fetching) {
            fetching.commit(positions);
        }
        Ok(())
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
        for (index, reading) in self.splits.iter_mut().enumerate() {
            reading.is_paused = paused.contains(&index);
        }
        let aside = self.left_aside();
        if let Some(fetching) = &self.fetching {
            fetching.pause(aside);
        }
    }

    fn progress(&self) -> ReaderProgress {
        let is_bounded = self.splits.iter().all(|reading| reading.split.end.is_some());
        let left: u64 = self.left().map(SourceSplit::weight).sum();
        ReaderProgress {
            done: self.done,
            total: is_bounded.then_some(self.done + left),
        }
    }
}
