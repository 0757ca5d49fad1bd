//! A source whose records come when the seed wants.

use super::super::dice::Dice;
use super::super::time::Sleep;
use super::World;
use async_trait::async_trait;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use snapline_connector::{
    DiscoveredSplits, DiscoveryContext, ReaderContext, ReaderStatus, SeenSplits, Source, SourceReader,
    SourceSplit, SplitEnumerator,
};
use snapline_core::{Batch, CheckpointId, Data, Error, Result};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How many splits there are at the most, and how many records come at once.
const SPLITS: u64 = 4;
const PORTION: u64 = 6;
/// The longest time without a record, in microseconds.
const LONGEST_PAUSE: u64 = 4_000;
/// How many splits one that grows has at the most, and the longest time without a new one, in microseconds.
const LATE_SPLITS: u64 = 12;
const LONGEST_LULL: u64 = 20_000;

/// The given records in a few splits, which can be read again from any position.
#[derive(Debug)]
pub struct WorldSource<T> {
    world: World,
    records: Arc<Vec<T>>,
    grows: bool,
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
            grows: false,
        }
    }

    /// Lets the splits appear one after the other while the job runs. When, depends on the seed, as well as how often the job
    /// looks, and how often that fails.
    #[must_use]
    pub fn growing(self) -> Self {
        Self { grows: true, ..self }
    }
}

impl<T: Data + Sync> Source for WorldSource<T> {
    type Item = T;
    type Split = WorldSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<WorldSplit>>> {
        let dice = Dice::new(self.world.seed(), "splits");
        let lull = |number| match number {
            0 => 0,
            _ => dice.scale(LONGEST_LULL),
        };
        let appear = match self.grows {
            false => vec![0; dice.between(1..=SPLITS) as usize],
            true => (0..dice.between(1..=LATE_SPLITS))
                .scan(0, |now, number| {
                    *now += lull(number);
                    Some(*now)
                })
                .collect(),
        };
        Ok(Box::new(Splits {
            world: self.world.clone(),
            records: self.records.len() as u64,
            appear,
        }))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        let dice = Dice::new(self.world.seed(), "looks");
        self.grows
            .then(|| Duration::from_micros(dice.between(100..=5_000)))
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
    world: World,
    records: u64,
    /// When each split appears, in microseconds since the beginning of the world.
    appear: Vec<u64>,
}

impl Splits {
    fn split(&self, number: usize) -> WorldSplit {
        let cut = |number: usize| self.records * number as u64 / self.appear.len() as u64;
        WorldSplit {
            next: cut(number),
            end: cut(number + 1),
        }
    }
}

#[async_trait]
impl SplitEnumerator<WorldSplit> for Splits {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<WorldSplit>> {
        Ok((0..self.appear.len()).map(|number| self.split(number)).collect())
    }

    async fn discover_new(
        &mut self,
        _: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<WorldSplit>> {
        let outside = &self.world.shared;
        let now = outside.time.micros();
        let mut new = Vec::new();
        for (number, _) in self.appear.iter().enumerate().filter(|(_, at)| **at <= now) {
            if seen.insert(number.to_le_bytes()) {
                new.push(self.split(number));
            }
        }
        if now > 0 {
            outside.wait(None).await;
            if outside.dice.one_in(6) {
                return Err(Error::unavailable(
                    "the source could not be looked at, as the seed wants",
                ));
            }
        }
        Ok(match seen.len() == self.appear.len() {
            true => DiscoveredSplits::last(new),
            false => DiscoveredSplits::so_far(new),
        })
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
