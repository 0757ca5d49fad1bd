//! A source whose records come when the seed wants.

use super::super::dice::Dice;
use super::super::time::Sleep;
use super::World;
use async_trait::async_trait;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use snapline_connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, SplitEnumerator,
};
use snapline_core::{Batch, CheckpointId, Data, Result};
use std::sync::Arc;
use std::task::{Context, Poll};

/// How many splits there are at the most, and how many records come at once.
const SPLITS: u64 = 4;
const PORTION: u64 = 6;
/// The longest time without a record, in microseconds.
const LONGEST_PAUSE: u64 = 4_000;

/// The given records in a few splits, which can be read again from any position.
#[derive(Debug)]
pub struct WorldSource<T> {
    world: World,
    records: Arc<Vec<T>>,
}

/// What is still to be read of one part of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldSplit {
    next: u64,
    end: u64,
}

impl SourceSplit for WorldSplit {
    fn weight(&self) -> u64 {
        self.end - self.next
    }
}

impl<T> WorldSource<T> {
    pub(super) fn new(world: World, records: Vec<T>) -> Self {
        Self {
            world,
            records: Arc::new(records),
        }
    }
}

impl<T: Data + Sync> Source for WorldSource<T> {
    type Item = T;
    type Split = WorldSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<WorldSplit>>> {
        let splits = Dice::new(self.world.seed(), "splits").between(1..=SPLITS);
        let records = self.records.len() as u64;
        Ok(Box::new(Splits { splits, records }))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, WorldSplit>>> {
        Ok(Box::new(Reader {
            world: self.world.clone(),
            records: self.records.clone(),
            splits: Vec::new(),
            added: 0,
            current: None,
            finished: Vec::new(),
            pace: Pace::of(self.world.seed()),
            pause: None,
        }))
    }
}

/// How long a source waits between records; the same for a whole run.
#[derive(Debug, Clone, Copy)]
enum Pace {
    /// Long enough for some checkpoints.
    Steady,
    /// Mostly short, seldom long.
    Hasty,
}

impl Pace {
    fn of(seed: u64) -> Self {
        match Dice::new(seed, "pace").one_in(4) {
            true => Self::Hasty,
            false => Self::Steady,
        }
    }

    fn pause(self, dice: &Dice) -> u64 {
        match self {
            Self::Steady => dice.between(100..=LONGEST_PAUSE),
            Self::Hasty => dice.scale(LONGEST_PAUSE),
        }
    }
}

struct Splits {
    splits: u64,
    records: u64,
}

#[async_trait]
impl SplitEnumerator<WorldSplit> for Splits {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<WorldSplit>> {
        let cut = |split: u64| self.records * split / self.splits;
        let splits = (0..self.splits).map(|split| WorldSplit {
            next: cut(split),
            end: cut(split + 1),
        });
        Ok(splits.collect())
    }
}

struct Reader<T> {
    world: World,
    records: Arc<Vec<T>>,
    /// What is left, each split with its position among all that were added.
    splits: Vec<(usize, WorldSplit)>,
    added: usize,
    current: Option<usize>,
    finished: Vec<usize>,
    pace: Pace,
    pause: Option<Sleep>,
}

impl<T: Data + Sync> SourceReader<T, WorldSplit> for Reader<T> {
    fn add_splits(&mut self, splits: Vec<WorldSplit>) {
        let positions = self.added..;
        self.added += splits.len();
        self.splits.extend(positions.zip(splits));
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let outside = &self.world.shared;
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.poll_unpin(cx));
            self.pause = None;
        } else if outside.dice.one_in(2) {
            let mut pause = outside.time.sleep_micros(self.pace.pause(&outside.dice));
            if pause.poll_unpin(cx).is_pending() {
                self.pause = Some(pause);
                return Poll::Pending;
            }
        }
        self.splits.retain(|(_, split)| split.weight() > 0);
        let Some(index) = (!self.splits.is_empty()).then(|| outside.dice.below(self.splits.len() as u64))
        else {
            return Poll::Ready(Ok(ReaderStatus::EndOfData));
        };
        let (position, split) = &mut self.splits[index as usize];
        self.current = Some(*position);
        let portion = outside.dice.between(1..=PORTION);
        let count = portion.min(split.weight()).min(limit as u64);
        let range = split.next as usize..(split.next + count) as usize;
        batch.records.extend_from_slice(&self.records[range]);
        split.next += count;
        if split.weight() == 0 {
            self.finished.push(*position);
        }
        Poll::Ready(Ok(ReaderStatus::More))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<WorldSplit>> {
        let left = self.splits.iter().map(|(_, split)| split);
        Ok(left.filter(|split| split.weight() > 0).cloned().collect())
    }

    fn current_split(&self) -> Option<usize> {
        self.current
    }

    fn take_finished(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.finished)
    }
}
