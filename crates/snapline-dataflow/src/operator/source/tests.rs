//! Tests of readers that wait for one another.

use super::*;
use crate::alarm::Alarm;
use crate::context::Sleeper;
use crate::snapshot::TaskSnapshot;
use crate::testing::{RecordingLink, operator_context};
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_connector::{ChannelSender, ChannelSource, GeneratorSource};
use snapline_core::{
    BarrierOptions, CheckpointBarrier, Clock, ManualClock, SubtaskIndex, Timestamp, Watermark,
};
use std::future::poll_fn;
use std::task::Waker;
use std::time::Duration;

/// Whoever sleeps is asked again by the test.
#[derive(Debug)]
struct UntilAsked(Arc<ManualClock>);

impl Sleeper for UntilAsked {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.0.clone();
        let end = clock.monotonic() + duration;
        poll_fn(move |_| match clock.monotonic() >= end {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .boxed()
    }
}

/// Sources of numbers that are their own times, one record in each batch, a watermark behind each: of 1000 ms of
/// drift, seen each 10 ms, idle after 50 ms.
struct Readers {
    clock: Arc<ManualClock>,
    context: OperatorContext,
}

struct Reader {
    feed: Option<ChannelSender<i64>>,
    head: Box<dyn SourceHead>,
    out: RecordingLink,
}

impl Readers {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(0)));
        let mut context = operator_context(clock.clone());
        context.sleeper = Arc::new(UntilAsked(clock.clone()));
        context.batch_records = 1;
        Self { clock, context }
    }

    fn reader(&self, group: &str, records: &[i64]) -> Reader {
        let strategy = WatermarkStrategy::for_monotonous_timestamps()
            .with_timestamp_assigner(|record: &i64| Timestamp(*record + 1))
            .with_idleness(Duration::from_millis(50))
            .with_watermark_alignment(group, Duration::from_millis(1000), Duration::from_millis(10));
        let (feed, source) = ChannelSource::bounded(100);
        let source = SourceOf::new(source, Some(strategy));
        let mut context = self.context.clone();
        let state = futures::executor::block_on(source.discover(1)).unwrap();
        context.restored.operator = state.into_iter().next().unwrap();
        context.subtask = SubtaskIndex(0);
        let out = RecordingLink::default();
        let next = ErasedLink::new::<i64>(Box::new(out.clone()));
        let head = source.head(context, next).unwrap();
        let feed = Some(feed);
        let mut reader = Reader { feed, head, out };
        reader.feed(records);
        reader
    }

    fn pass(&self, millis: u64) {
        self.clock.advance(Duration::from_millis(millis));
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Reader {
    fn feed(&mut self, records: &[i64]) {
        for record in records {
            let feed = self.feed.as_ref().unwrap();
            futures::executor::block_on(feed.send(*record)).unwrap();
        }
    }

    /// Reads until there is nothing to read or it waits. Returns the newest records.
    fn read(&mut self) -> String {
        let cx = &mut Context::from_waker(Waker::noop());
        while let Poll::Ready(status) = self.head.poll_batch(cx) {
            if status.unwrap() == ReaderStatus::EndOfData {
                let end = &mut Signal::Watermark(Watermark::MAX);
                self.head.on_signal(end).unwrap();
                break;
            }
        }
        self.out
            .take()
            .replace(" |", "")
            .split(' ')
            .filter_map(|word| match word.split_once('@') {
                Some((record, _)) => Some(record),
                None => (!word.starts_with('W')).then_some(word),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn tell_time(&mut self, now: Timestamp) {
        let mut alarm = Alarm::new(now);
        self.head
            .on_signal(&mut Signal::ProcessingTime(&mut alarm))
            .unwrap();
    }
}

#[test]
fn a_reader_reads_one_batch_beyond_the_limit_and_goes_on_when_the_others_have_caught_up() {
    let readers = Readers::new();
    let mut fast = readers.reader("a", &[1000, 2000, 3000]);
    let mut slow = readers.reader("a", &[]);
    assert_eq!(fast.read(), "1000", "nobody knows how far the slow one is");
    slow.feed(&[0]);
    assert_eq!(slow.read(), "0");
    assert_eq!(fast.read(), "", "it looks at the others each 10 ms");
    readers.pass(10);
    assert_eq!(fast.read(), "2000", "the limit is 1000");
    slow.feed(&[999]);
    assert_eq!(slow.read(), "999");
    readers.pass(10);
    assert_eq!(fast.read(), "", "the limit is 1999");
    slow.feed(&[1000]);
    assert_eq!(slow.read(), "1000");
    readers.pass(10);
    assert_eq!(fast.read(), "3000");
}

#[test]
fn a_reader_of_another_group_waits_for_nobody() {
    let readers = Readers::new();
    let mut fast = readers.reader("a", &[1000, 5000, 9000]);
    let _slow = readers.reader("b", &[0]);
    assert_eq!(fast.read(), "1000 5000 9000");
}

#[test]
fn a_reader_that_has_ended_or_failed_holds_back_nobody() {
    let readers = Readers::new();
    let mut fast = readers.reader("a", &[1000, 5000, 9000]);
    let mut slow = readers.reader("a", &[0]);
    let failed = readers.reader("a", &[0]);
    assert_eq!(fast.read(), "1000");
    drop(failed);
    slow.feed = None;
    assert_eq!(slow.read(), "0 MAX");
    readers.pass(10);
    assert_eq!(fast.read(), "5000 9000");
}

#[test]
fn a_reader_that_is_idle_holds_back_nobody_until_a_record_comes() {
    let readers = Readers::new();
    let mut fast = readers.reader("a", &[1000, 5000, 9000]);
    let mut slow = readers.reader("a", &[0]);
    assert_eq!((slow.read().as_str(), fast.read().as_str()), ("0", "1000 5000"));
    readers.pass(10);
    assert_eq!(
        slow.read(),
        "",
        "it has waited for the first word of the fast one"
    );
    slow.tell_time(readers.now());
    readers.pass(51);
    slow.tell_time(readers.now());
    assert_eq!(fast.read(), "9000");
    fast.feed(&[13_000]);
    slow.feed(&[10]);
    assert_eq!(slow.read(), "idle active 10");
    readers.pass(10);
    assert_eq!(fast.read(), "", "the idle one is back");
}

#[test]
fn a_reader_that_waits_for_others_does_not_become_idle() {
    let readers = Readers::new();
    let mut fast = readers.reader("a", &[1000, 5000, 9000]);
    let mut slow = readers.reader("a", &[0]);
    assert_eq!((slow.read().as_str(), fast.read().as_str()), ("0", "1000 5000"));
    for _ in 0..5 {
        fast.tell_time(readers.now());
        readers.pass(51);
        assert_eq!(fast.read(), "");
    }
    slow.feed(&[5000, 9000]);
    assert_eq!(slow.read(), "5000 9000");
    readers.pass(10);
    assert_eq!(fast.read(), "9000");
    fast.tell_time(readers.now());
    assert_eq!(fast.read(), "", "the time in which it has waited does not count");
    readers.pass(51);
    fast.tell_time(readers.now());
    assert_eq!(fast.read(), "idle");
}

#[test]
fn barriers_and_the_end_pass_a_reader_that_waits() {
    let readers = Readers::new();
    let mut fast = readers.reader("a", &[1000, 5000]);
    let mut slow = readers.reader("a", &[]);
    assert_eq!((slow.read().as_str(), fast.read().as_str()), ("", "1000"));
    let mut snapshot = TaskSnapshot::new(CheckpointBarrier {
        checkpoint: CheckpointId(1),
        created: Timestamp(0),
        options: BarrierOptions::default(),
    });
    fast.head.on_signal(&mut Signal::Barrier(&mut snapshot)).unwrap();
    assert_eq!(snapshot.operators.len(), 1);
    let end = &mut Signal::Watermark(Watermark::MAX);
    fast.head.on_signal(end).unwrap();
    assert_eq!(fast.out.take(), "barrier MAX");
    slow.feed(&[7000, 9000]);
    assert_eq!(slow.read(), "7000 9000", "who is gone holds back nobody");
}

#[test]
fn a_split_that_is_ahead_waits_while_the_reader_reads_its_others() {
    let readers = Readers::new();
    // Two splits, 0 to 3 and 4 to 7, at the same times; the first is read first.
    let source = GeneratorSource::new(8, |number| number as i64);
    let strategy = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|record: &i64| Timestamp(*record % 4 * 1000 + 1))
        .with_watermark_alignment("a", Duration::from_millis(1000), Duration::from_millis(10));
    let source = SourceOf::new(source, Some(strategy));
    let states = futures::executor::block_on(source.discover(2)).unwrap();
    let mut states = source.resume(states, 1).unwrap();
    let mut context = readers.context.clone();
    context.restored.operator = states.swap_remove(0);
    let out = RecordingLink::default();
    let head = source
        .head(context, ErasedLink::new::<i64>(Box::new(out.clone())))
        .unwrap();
    let mut reader = Reader {
        feed: None,
        head,
        out,
    };
    assert_eq!(reader.read(), "0 4 1 2 5 6 3 7 MAX");
}
