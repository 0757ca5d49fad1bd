//! Tests of timers in one operator.

use super::*;
use crate::link::Next;
use crate::snapshot::TaskSnapshot;
use crate::testing::{RecordingLink, operator_context};
use futures::executor::block_on;
use futures::task::noop_waker_ref;
use serde::{Deserialize, Serialize};
use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, ErrorKind, ManualClock, StableHasher};
use std::time::Duration;

/// What a record lets the function do with the timers of its key, or with those that fire.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Do {
    Nothing,
    AtEventTime(i64),
    AtProcessingTime(i64),
    NotAtEventTime(i64),
    NotAtProcessingTime(i64),
}

/// Does what records say, and emits what it was called with. The timer of event time 100 adds those of 103, 104 and
/// 200, and takes that of 105 back.
#[derive(Clone)]
struct Obedient;

impl KeyedProcessFunction<u64, Do> for Obedient {
    type Output = String;

    fn process_element(
        &mut self,
        record: Do,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> Result<()> {
        match record {
            Do::Nothing => {
                let (key, watermark) = (context.current_key(), context.current_watermark());
                out.collect(format!("{key} in W{}", watermark.0));
                Ok(())
            }
            Do::AtEventTime(time) => context.register_event_time_timer(Timestamp(time)),
            Do::AtProcessingTime(time) => context.register_processing_time_timer(Timestamp(time)),
            Do::NotAtEventTime(time) => context.delete_event_time_timer(Timestamp(time)),
            Do::NotAtProcessingTime(time) => context.delete_processing_time_timer(Timestamp(time)),
        }
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> Result<()> {
        let key = *context.current_key();
        out.collect(match domain {
            TimeDomain::EventTime => format!("{key} at {time}"),
            TimeDomain::ProcessingTime => format!("{key} by the clock at {time}"),
        });
        if domain == TimeDomain::EventTime && time == Timestamp(100) {
            context.delete_event_time_timer(Timestamp(105))?;
            for later in [103, 104, 200] {
                context.register_event_time_timer(Timestamp(later))?;
            }
        }
        Ok(())
    }
}

struct Harness {
    link: Next<Keyed<u64, Do>>,
    next: RecordingLink,
    clock: Arc<ManualClock>,
}

impl Harness {
    fn new() -> Self {
        Self::of(Process::<_, u64, Do>::new(|_: &mut RuntimeContext| Ok(Obedient)))
    }

    fn of(process: impl OperatorFactory) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000)));
        let next = RecordingLink::default();
        let erased = ErasedLink::new::<String>(Box::new(next.clone()));
        let link = block_on(process.link(operator_context(clock.clone()), erased)).unwrap();
        Self {
            link: link.typed().unwrap(),
            next,
            clock,
        }
    }

    fn try_send(&mut self, key: u64, records: &[Do]) -> Result<()> {
        let hash = StableHasher::new().hash(&key).unwrap();
        let keyed = records.iter().map(|record| Keyed { key, record: *record });
        self.link.on_batch(&mut Batch {
            hashes: Some(vec![hash; records.len()]),
            ..Batch::from(keyed.collect::<Vec<_>>())
        })
    }

    fn send(&mut self, key: u64, records: &[Do]) {
        self.try_send(key, records).unwrap();
    }

    fn signal(&mut self, mut signal: Signal<'_>) {
        self.link.on_signal(&mut signal).unwrap();
    }

    fn watermark(&mut self, time: i64) {
        self.signal(Signal::Watermark(Watermark(Timestamp(time))));
    }

    fn is_ready(&mut self) -> bool {
        let mut cx = Context::from_waker(noop_waker_ref());
        self.link.poll_ready(&mut cx).map(Result::unwrap).is_ready()
    }

    /// How often the operator has to be asked until it takes records again.
    fn settle(&mut self) -> usize {
        let mut asked = 1;
        while !self.is_ready() {
            asked += 1;
        }
        asked
    }

    /// When the operator wants to be told the time again.
    fn tell_time(&mut self) -> Option<i64> {
        let mut alarm = Alarm::new(self.clock.now());
        self.signal(Signal::ProcessingTime(&mut alarm));
        assert!(alarm.is_heard());
        alarm.next().map(|next| next.0)
    }
}

#[test]
fn timers_of_event_time_fire_in_order_before_the_watermark_goes_on() {
    let mut harness = Harness::new();
    harness.send(1, &[10, 7, 7, 20, 12].map(Do::AtEventTime));
    harness.send(
        2,
        &[Do::AtEventTime(8), Do::NotAtEventTime(8), Do::AtEventTime(9)],
    );
    harness.send(1, &[Do::NotAtEventTime(12)]);
    harness.watermark(6);
    assert_eq!(harness.next.take(), "W6", "nothing is due");
    harness.watermark(15);
    assert_eq!(harness.settle(), 1);
    assert_eq!(harness.next.take(), r#""1 at 7"@7 "2 at 9"@9 "1 at 10"@10 | W15"#);
    harness.send(1, &[Do::Nothing, Do::AtEventTime(3)]);
    assert_eq!(harness.next.take(), r#""1 in W15" |"#);
    harness.watermark(16);
    harness.settle();
    assert_eq!(harness.next.take(), r#""1 at 3"@3 | W16"#, "a timer of the past");
    harness.signal(Signal::Watermark(Watermark::MAX));
    harness.signal(Signal::EndOfData);
    assert_eq!(harness.next.take(), r#""1 at 20"@20 | MAX end"#);
}

#[test]
fn records_wait_for_timers_even_if_nobody_asks_whether_they_may_come() {
    let mut harness = Harness::new();
    harness.send(1, &[Do::AtEventTime(10)]);
    harness.watermark(10);
    harness.signal(Signal::Idle);
    harness.signal(Signal::Active);
    harness.send(1, &[Do::Nothing]);
    assert_eq!(
        harness.next.take(),
        r#""1 at 10"@10 | W10 idle active "1 in W10" |"#
    );
    harness.signal(Signal::Idle);
    assert_eq!(harness.next.take(), "idle");
}

#[test]
fn a_timer_that_fires_may_add_and_delete_others_that_are_due() {
    let mut harness = Harness::new();
    harness.send(1, &[100, 104, 105].map(Do::AtEventTime));
    harness.watermark(110);
    harness.settle();
    assert_eq!(
        harness.next.take(),
        r#""1 at 100"@100 "1 at 103"@103 "1 at 104"@104 | W110"#
    );
    harness.watermark(200);
    harness.settle();
    assert_eq!(harness.next.take(), r#""1 at 200"@200 | W200"#);
}

#[test]
fn many_timers_fire_in_turns_between_which_a_barrier_may_come() {
    let mut harness = Harness::new();
    for key in 0..5_000 {
        harness.send(key, &[Do::AtEventTime(1)]);
    }
    harness.watermark(1);
    assert!(!harness.is_ready());
    let fired = harness.next.take().matches(" at ").count();
    assert_eq!(fired, 1024);
    let mut snapshot = TaskSnapshot::new(CheckpointBarrier {
        checkpoint: CheckpointId(1),
        created: Timestamp(0),
        options: BarrierOptions::default(),
    });
    harness.signal(Signal::Barrier(&mut snapshot));
    assert_eq!(snapshot.operators.len(), 1);
    assert_eq!(harness.next.take(), "barrier", "the watermark still waits");
    assert_eq!(harness.settle(), 4);
    let rest = harness.next.take();
    assert_eq!(rest.matches(" at ").count(), 5_000 - 1024);
    assert!(rest.ends_with("| W1"));
}

#[test]
fn timers_of_processing_time_fire_by_the_clock_and_the_earliest_asks_for_the_next() {
    let mut harness = Harness::new();
    assert_eq!(harness.tell_time(), None);
    harness.send(1, &[1_300, 1_300, 1_200].map(Do::AtProcessingTime));
    assert_eq!(harness.tell_time(), Some(1_200));
    harness.send(2, &[Do::AtProcessingTime(1_100)]);
    assert_eq!(harness.tell_time(), Some(1_100));
    harness.send(2, &[Do::NotAtProcessingTime(1_100)]);
    assert_eq!(harness.tell_time(), Some(1_200));
    harness.clock.advance(Duration::from_millis(200));
    harness.watermark(5_000);
    assert_eq!(harness.tell_time(), Some(1_300));
    assert_eq!(harness.next.take(), r#"W5000 "1 by the clock at 1200" |"#);
    harness.send(1, &[Do::AtProcessingTime(7)]);
    assert_eq!(harness.tell_time(), Some(1_300));
    assert_eq!(harness.next.take(), r#""1 by the clock at 7" |"#);
    harness.signal(Signal::EndOfData);
    harness.clock.advance(Duration::from_secs(60));
    let mut alarm = Alarm::new(harness.clock.now());
    harness.signal(Signal::ProcessingTime(&mut alarm));
    assert_eq!((harness.next.take().as_str(), alarm.next()), ("end", None));
}

#[test]
fn many_timers_of_processing_time_fire_in_turns() {
    let mut harness = Harness::new();
    for key in 0..3_000 {
        harness.send(key, &[Do::AtProcessingTime(1_000)]);
    }
    let mut fired = Vec::new();
    while harness.tell_time() == Some(1_000) {
        fired.push(harness.next.take().matches("clock").count());
    }
    fired.push(harness.next.take().matches("clock").count());
    assert_eq!(fired, [1024, 1024, 3_000 - 2 * 1024]);
}

#[test]
fn a_closure_takes_no_timers_and_says_so() {
    let register =
        |record: Do, context: &mut ProcessContext<'_, u64>, _: &mut Collector<'_, String>| match record {
            Do::AtEventTime(time) => context.register_event_time_timer(Timestamp(time)),
            _ => context.delete_processing_time_timer(Timestamp(0)),
        };
    let open = move |_: &mut RuntimeContext| Ok(FromClosure::<_, String>::new(register));
    let mut harness = Harness::of(Process::<_, u64, Do>::without_timers(open));
    for record in [Do::AtEventTime(5), Do::Nothing] {
        let error = harness.try_send(1, &[record]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    }
    harness.watermark(5);
    assert_eq!(harness.next.take(), "W5");
}
