//! Records that come at a fixed rate, whether anybody is ready for them or not.

use super::alarm::Alarm;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline::Result;
use snapline::connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, SplitEnumerator,
};
use snapline_core::{Batch, CheckpointId, Data};
use std::future::poll_fn;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

/// When each record is due. Its time starts when it is first asked.
pub(crate) struct Pace {
    rate: u64,
    alarm: Arc<Alarm>,
    start: OnceLock<Duration>,
}

impl Pace {
    /// So many records each second, at least 1.
    pub(crate) fn per_second(rate: u64) -> Result<Self> {
        Ok(Self {
            rate: rate.max(1),
            alarm: Alarm::start()?,
            start: OnceLock::new(),
        })
    }

    /// Faster than anybody can take them. A record costs as much as at any other rate.
    pub(super) fn at_once() -> Result<Self> {
        Self::per_second(1_000_000_000_000)
    }

    /// The time of the pace.
    pub(crate) fn now_ns(&self) -> u64 {
        nanos(self.alarm.now().saturating_sub(self.start()))
    }

    /// Waits until so much time of the pace has passed.
    pub(crate) async fn until(&self, time: Duration) {
        let time = self.start() + time;
        poll_fn(|cx| {
            if self.alarm.now() >= time {
                return Poll::Ready(());
            }
            self.alarm.wake_at(time, cx.waker());
            Poll::Pending
        })
        .await;
    }

    fn start(&self) -> Duration {
        *self.start.get_or_init(|| self.alarm.now())
    }

    #[inline]
    fn due_ns(&self, number: u64) -> u64 {
        scale(number, 1_000_000_000, self.rate)
    }

    /// How many of all records are due at this time.
    fn due_by(&self, now_ns: u64) -> u64 {
        scale(now_ns, self.rate, 1_000_000_000).saturating_add(1)
    }
}

/// `number * by / of` without overflow.
#[inline]
fn scale(number: u64, by: u64, of: u64) -> u64 {
    match number.checked_mul(by) {
        Some(product) => product / of,
        None => u64::try_from(u128::from(number) * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX),
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Computes each record from its number and from when it is due, in nanoseconds of the pace.
pub(crate) struct PacedSource<F> {
    count: u64,
    splits: u32,
    pace: Arc<Pace>,
    record: F,
}

impl<F> PacedSource<F> {
    /// The records of the numbers from 0 to before `count`. Readers take turns.
    pub(crate) fn new(count: u64, pace: Arc<Pace>, record: F) -> Self {
        Self {
            count,
            splits: 1,
            pace,
            record,
        }
    }

    /// For so many readers, although there may be fewer in the beginning.
    pub(crate) fn in_splits(self, splits: u32) -> Self {
        Self { splits, ..self }
    }
}

/// Numbers that are still to come: `next`, and each `step` after the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turns {
    next: u64,
    step: u64,
    count: u64,
}

impl SourceSplit for Turns {
    fn weight(&self) -> u64 {
        self.count.saturating_sub(self.next).div_ceil(self.step)
    }
}

impl<T, F> Source for PacedSource<F>
where
    T: Data,
    F: Fn(u64, u64) -> T + Clone + Send + Sync + 'static,
{
    type Item = T;
    type Split = Turns;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<Turns>>> {
        Ok(Box::new(Dealer {
            count: self.count,
            splits: self.splits,
        }))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, Turns>>> {
        Ok(Box::new(PacedReader {
            pace: self.pace.clone(),
            record: self.record.clone(),
            splits: Vec::new(),
        }))
    }
}

struct Dealer {
    count: u64,
    splits: u32,
}

#[async_trait]
impl SplitEnumerator<Turns> for Dealer {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<Turns>> {
        let step = u64::from(context.parallelism.max(self.splits).max(1));
        let count = self.count;
        Ok((0..step).map(|next| Turns { next, step, count }).collect())
    }
}

struct PacedReader<F> {
    pace: Arc<Pace>,
    record: F,
    splits: Vec<Turns>,
}

impl<T, F: Fn(u64, u64) -> T + Send> SourceReader<T, Turns> for PacedReader<F> {
    fn add_splits(&mut self, splits: Vec<Turns>) {
        self.splits.extend(splits);
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        self.splits.retain(|split| split.weight() > 0);
        let Some(split) = self.splits.iter_mut().min_by_key(|split| split.next) else {
            return Poll::Ready(Ok(ReaderStatus::EndOfData));
        };
        let pace = &self.pace;
        let due = pace.due_by(pace.now_ns()).min(split.count);
        if split.next >= due {
            let time = pace.start() + Duration::from_nanos(pace.due_ns(split.next));
            pace.alarm.wake_at(time, cx.waker());
            return Poll::Pending;
        }
        let (first, step) = (split.next, split.step);
        let count = (due - first).div_ceil(step).min(limit as u64);
        split.next += count * step;
        let numbers = (0..count).map(|turn| first + turn * step);
        batch
            .records
            .extend(numbers.map(|number| (self.record)(number, pace.due_ns(number))));
        Poll::Ready(Ok(ReaderStatus::More))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<Turns>> {
        Ok(self.splits.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[test]
    fn a_record_is_due_when_as_many_as_before_it_have_come() {
        for rate in [1, 3, 1_000_000, 30_000_001, 1_000_000_000_000] {
            let pace = Pace::per_second(rate).unwrap();
            for number in [0, 1, 2, 12_345, 4_000_000_000] {
                let due = pace.due_ns(number);
                assert!(pace.due_by(due + 1) > number, "{number} of {rate}");
                assert!(due == 0 || pace.due_by(due - 1) <= number, "{number} of {rate}");
            }
        }
    }

    #[test]
    fn readers_take_turns_and_leave_nothing_out() {
        let source = PacedSource::new(10, Arc::new(Pace::at_once().unwrap()), |number, _| number);
        let context = DiscoveryContext { parallelism: 3 };
        let splits = block_on(source.enumerator().unwrap().discover(&context)).unwrap();
        let weights: Vec<u64> = splits.iter().map(SourceSplit::weight).collect();
        assert_eq!(weights, [4, 3, 3]);
        let mut numbers = Vec::new();
        for split in splits {
            let mut reader = PacedReader {
                pace: source.pace.clone(),
                record: source.record,
                splits: Vec::new(),
            };
            reader.add_splits(vec![split]);
            let mut batch = Batch::new();
            let mut read = |cx: &mut Context<'_>| reader.poll_batch(cx, &mut batch, 2);
            while block_on(poll_fn(&mut read)).unwrap() == ReaderStatus::More {}
            numbers.extend(batch.records);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    }
}
