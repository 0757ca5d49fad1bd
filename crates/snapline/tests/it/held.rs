//! A source that a test holds, lets go and makes fail, and that says how often it was opened.

use snapline::Result;
use snapline::connector::{
    DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader, SourceSplit, SplitEnumerator,
};
use snapline::core::{Batch, CheckpointId};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// These numbers, one split for each range.
pub(crate) struct HeldSource {
    ranges: Vec<Range<u64>>,
    hold: Hold,
}

/// What the test has to do with a [`HeldSource`].
#[derive(Clone, Default)]
pub(crate) struct Hold(Arc<State>);

#[derive(Default)]
struct State {
    /// Numbers from here on are not read yet.
    limit: AtomicU64,
    fails: AtomicBool,
    opened: AtomicU64,
    read: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl Hold {
    /// Lets the numbers below the limit be read.
    pub(crate) fn at(limit: u64) -> Self {
        let hold = Self::default();
        hold.allow(limit);
        hold
    }

    pub(crate) fn allow(&self, limit: u64) {
        self.0.limit.store(limit, Ordering::SeqCst);
        self.wake();
    }

    /// Makes one reader panic.
    pub(crate) fn fail_once(&self) {
        self.0.fails.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// How many enumerators and readers there were.
    pub(crate) fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::SeqCst)
    }

    /// How many numbers were read, repeated ones included.
    pub(crate) fn read(&self) -> u64 {
        self.0.read.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        self.0.waiting.lock().unwrap().drain(..).for_each(Waker::wake);
    }
}

impl HeldSource {
    pub(crate) fn new(ranges: impl IntoIterator<Item = Range<u64>>, hold: &Hold) -> Self {
        Self {
            ranges: ranges.into_iter().collect(),
            hold: hold.clone(),
        }
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct HeldSplit(u64, u64);

impl SourceSplit for HeldSplit {
    fn weight(&self) -> u64 {
        self.1 - self.0
    }
}

impl Source for HeldSource {
    type Item = u64;
    type Split = HeldSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<HeldSplit>>> {
        self.hold.0.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Ranges(self.ranges.clone())))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<u64, HeldSplit>>> {
        self.hold.0.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Reader {
            splits: Vec::new(),
            hold: self.hold.clone(),
        }))
    }
}

struct Ranges(Vec<Range<u64>>);

#[async_trait::async_trait]
impl SplitEnumerator<HeldSplit> for Ranges {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<HeldSplit>> {
        let splits = self.0.iter().map(|range| HeldSplit(range.start, range.end));
        Ok(splits.collect())
    }
}

struct Reader {
    splits: Vec<HeldSplit>,
    hold: Hold,
}

impl SourceReader<u64, HeldSplit> for Reader {
    fn add_splits(&mut self, mut splits: Vec<HeldSplit>) {
        self.splits.append(&mut splits);
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<u64>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        let state = &self.hold.0;
        self.splits.retain(|split| split.weight() > 0);
        if self.splits.is_empty() {
            return Poll::Ready(Ok(ReaderStatus::EndOfData));
        }
        state.waiting.lock().unwrap().push(cx.waker().clone());
        if state.fails.swap(false, Ordering::SeqCst) {
            panic!("planned");
        }
        let allowed = state.limit.load(Ordering::SeqCst);
        let Some(split) = self.splits.iter_mut().find(|split| split.0 < allowed) else {
            return Poll::Pending;
        };
        let end = allowed.min(split.1).min(split.0 + limit as u64);
        state.read.fetch_add(end - split.0, Ordering::SeqCst);
        batch.records.extend(split.0..end);
        split.0 = end;
        Poll::Ready(Ok(ReaderStatus::More))
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<HeldSplit>> {
        Ok(self.splits.clone())
    }
}
