//! Tests of sources that get new splits.

use super::super::SourceOf;
use super::*;
use crate::factory::{ErasedLink, SourceFactory};
use crate::head::SourceHead;
use crate::link::Signal;
use crate::snapshot::TaskSnapshot;
use crate::testing::{RecordingLink, operator_context};
use crate::time::strategy::WatermarkStrategy;
use async_trait::async_trait;
use futures::executor::block_on;
use snapline_connector::{
    DiscoveredSplits, RangeSplit, ReaderContext, ReaderStatus, SequenceSource, SourceReader, SplitEnumerator,
};
use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, ErrorKind, ManualClock, Timestamp};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Ranges of numbers, of which some come later.
#[derive(Clone, Default)]
struct Ranges {
    listed: Arc<Mutex<Vec<RangeSplit>>>,
    is_complete: Arc<Mutex<bool>>,
    has_all: bool,
}

impl Ranges {
    fn of<const N: usize>(ranges: [(u64, u64); N]) -> Self {
        let listed = Self::default();
        ranges.iter().for_each(|(from, to)| listed.add(*from..*to));
        listed
    }

    fn add(&self, range: Range<u64>) {
        let alone = DiscoveryContext { parallelism: 1 };
        let mut enumerator = SequenceSource::new(range).enumerator().unwrap();
        let splits = block_on(enumerator.discover(&alone)).unwrap();
        self.listed.lock().unwrap().extend(splits);
    }

    fn factory(&self) -> SourceOf<Self> {
        SourceOf::new(self.clone(), None)
    }
}

impl Source for Ranges {
    type Item = u64;
    type Split = RangeSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<RangeSplit>>> {
        Ok(Box::new(self.clone()))
    }

    fn discovery_interval(&self) -> Option<Duration> {
        (!self.has_all).then_some(Duration::from_secs(1))
    }

    fn reader(&self, context: ReaderContext) -> Result<Box<dyn SourceReader<u64, RangeSplit>>> {
        SequenceSource::new(0..1).reader(context)
    }
}

#[async_trait]
impl SplitEnumerator<RangeSplit> for Ranges {
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<RangeSplit>> {
        let found = self.discover_new(context, &mut SeenSplits::default()).await?;
        Ok(found.splits)
    }

    async fn discover_new(
        &mut self,
        _: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<RangeSplit>> {
        let listed = self.listed.lock().unwrap().clone();
        let is_new = |split: &RangeSplit| seen.insert(format!("{split:?}"));
        let splits = listed.into_iter().filter(is_new).collect();
        Ok(match *self.is_complete.lock().unwrap() {
            true => DiscoveredSplits::last(splits),
            false => DiscoveredSplits::so_far(splits),
        })
    }
}

fn weights(states: &[OperatorState]) -> Vec<u64> {
    let all = decoded::<RangeSplit>(states).unwrap();
    let weight = |state: &ReaderState<RangeSplit>| state.splits.iter().map(SourceSplit::weight).sum();
    all.iter().map(weight).collect()
}

fn look_at(source: &Ranges, known: &KnownSplits) -> FoundSplits {
    block_on(source.factory().discover_more(known.clone())).unwrap()
}

fn known_of(source: &Ranges, states: &[OperatorState]) -> KnownSplits {
    let states: Vec<_> = states.iter().collect();
    source.factory().known(&states).unwrap()
}

#[test]
fn new_splits_go_to_those_who_were_given_less_and_are_found_once() {
    let source = Ranges::of([(0, 10), (10, 14)]);
    let states = block_on(source.factory().discover(2)).unwrap();
    assert_eq!(weights(&states), [10, 4]);
    let known = known_of(&source, &states);
    source.add(20..28);
    source.add(28..30);
    let found = look_at(&source, &known);
    assert_eq!(weights(&found.additions), [2, 8]);
    assert!(look_at(&source, &found.known).additions.is_empty());
    assert_eq!(
        weights(&look_at(&source, &known).additions),
        [2, 8],
        "of a look that nobody noted nothing is left"
    );
}

#[test]
fn what_was_seen_stays_seen_at_another_parallelism() {
    let source = Ranges::of([(0, 10), (10, 14)]);
    let mut states = block_on(source.factory().discover(2)).unwrap();
    for parallelism in [3, 1, 2, 2] {
        states = source.factory().resume(states, parallelism).unwrap();
        let known = known_of(&source, &states);
        assert!(look_at(&source, &known).additions.is_empty());
        let keeping = decoded::<RangeSplit>(&states).unwrap();
        let keeping = keeping.iter().filter(|state| state.seen.is_some());
        assert_eq!(keeping.count(), 1, "one reader keeps it for all");
    }
}

#[test]
fn a_checkpoint_of_a_source_that_did_not_note_what_it_has_seen_is_refused_by_one_that_grows() {
    let source = Ranges::of([(0, 10)]);
    let not_noted = ReaderState {
        splits: Vec::<RangeSplit>::new(),
        seen: None,
        outlook: DiscoveryOutlook::MoreMayCome,
    };
    let states = vec![not_noted.to_state().unwrap()];
    let error = source.factory().resume(states.clone(), 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let has_all = Ranges {
        has_all: true,
        ..source
    };
    assert!(has_all.factory().resume(states, 1).is_ok());
}

/// The head of one of two readers.
struct Reader {
    head: Box<dyn SourceHead>,
    out: RecordingLink,
}

impl Reader {
    fn open(source: &SourceOf<Ranges>, state: &OperatorState) -> Self {
        let mut context = operator_context(Arc::new(ManualClock::new(Timestamp(0))));
        context.restored.operator = state.clone();
        context.batch_records = 100;
        let out = RecordingLink::default();
        let next = ErasedLink::new::<u64>(Box::new(out.clone()));
        let head = source.head(context, next).unwrap();
        Self { head, out }
    }

    /// Reads until it waits or ends: whether it has ended, and what has come.
    fn read(&mut self) -> (bool, String) {
        let cx = &mut Context::from_waker(Waker::noop());
        loop {
            match self.head.poll_batch(cx) {
                Poll::Ready(Ok(ReaderStatus::More)) => {}
                polled => return (polled.is_ready(), self.out.take()),
            }
        }
    }

    fn snapshot(&mut self) -> OperatorState {
        let mut snapshot = TaskSnapshot::new(CheckpointBarrier {
            checkpoint: CheckpointId(1),
            created: Timestamp(0),
            options: BarrierOptions::default(),
        });
        self.head.on_signal(&mut Signal::Barrier(&mut snapshot)).unwrap();
        let part = snapshot.operators.pop().unwrap();
        part.state.clone()
    }
}

#[test]
fn a_reader_waits_at_the_end_of_its_splits_until_there_will_be_no_more() {
    let source = Ranges::of([(0, 3), (3, 5)]);
    let states = block_on(source.factory().discover(2)).unwrap();
    let mut readers: Vec<_> = states
        .iter()
        .map(|state| Reader::open(&source.factory(), state))
        .collect();
    assert_eq!(readers[1].read(), (false, "3 4 |".to_owned()));
    assert_eq!(readers[0].read(), (false, "0 1 2 |".to_owned()));
    source.add(7..9);
    *source.is_complete.lock().unwrap() = true;
    let found = look_at(&source, &known_of(&source, &states));
    assert!(!found.known.may_grow());
    for (reader, addition) in readers.iter_mut().zip(&found.additions) {
        reader.head.add_splits(addition).unwrap();
    }
    assert_eq!(readers[0].read(), (true, String::new()));
    assert_eq!(readers[1].read(), (true, "7 8 |".to_owned()));
}

#[test]
fn a_snapshot_has_splits_that_were_added_and_what_was_seen_and_whether_that_is_all() {
    let source = Ranges::of([(0, 3)]);
    let states = block_on(source.factory().discover(2)).unwrap();
    let mut readers: Vec<_> = states
        .iter()
        .map(|state| Reader::open(&source.factory(), state))
        .collect();
    readers[0].read();
    source.add(3..9);
    source.add(9..10);
    *source.is_complete.lock().unwrap() = true;
    let found = look_at(&source, &known_of(&source, &states));
    for (reader, addition) in readers.iter_mut().zip(&found.additions) {
        reader.head.add_splits(addition).unwrap();
    }
    let left: Vec<_> = readers.iter_mut().map(Reader::snapshot).collect();
    assert_eq!(weights(&left), [1, 6]);
    let resumed = source.factory().resume(left, 3).unwrap();
    let known = known_of(&source, &resumed);
    assert!(!known.may_grow());
    assert_eq!(known.seen.len(), 3);
    assert_eq!(
        Reader::open(&source.factory(), &resumed[2]).read(),
        (true, String::new())
    );
}

#[test]
fn a_reader_without_splits_is_idle_until_it_is_given_one() {
    let source = Ranges::of([(0, 2)]);
    let strategy = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64| Timestamp(*number as i64 + 1));
    let factory = SourceOf::new(source.clone(), Some(strategy));
    let states = block_on(factory.discover(1)).unwrap();
    let mut reader = Reader::open(&factory, &states[0]);
    assert_eq!(reader.read().1, "0@1 1@2 | W1 idle");
    assert_eq!(reader.read().1, "", "it says so once");
    source.add(0..1);
    source.add(5..7);
    let found = look_at(&source, &known_of(&source, &states));
    reader.head.add_splits(&found.additions[0]).unwrap();
    assert_eq!(
        reader.read().1,
        "active 0@1 | 5@6 6@7 | W6 idle",
        "a late split does not take event time back"
    );
}
