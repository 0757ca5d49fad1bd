//! Operators that ask the outside world, on the harness.
#![expect(clippy::unwrap_used, reason = "functions of tests panic where tests do")]

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use snapline_core::{Error, Result, Timestamp};
use snapline_dataflow::{AsyncFunction, AsyncIo, AsyncRetry, DataStream};
use snapline_testkit::harness::{Emitted, OperatorHarness};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// An outside world whose answers the test gives, in whichever order it likes.
#[derive(Clone, Default)]
struct Outside(Arc<Mutex<BTreeMap<u64, VecDeque<oneshot::Sender<Result<u64>>>>>>);

impl Outside {
    fn ask(&self, record: u64) -> impl Future<Output = Result<u64>> + use<> {
        let (answer, receiver) = oneshot::channel();
        self.0
            .lock()
            .unwrap()
            .entry(record)
            .or_default()
            .push_back(answer);
        receiver.map(|answer| answer.unwrap_or_else(|_| Err(Error::cancelled("the test is over"))))
    }

    /// Answers the oldest request about a record.
    fn answer(&self, record: u64, answer: Result<u64>) {
        let request = self.0.lock().unwrap().get_mut(&record).unwrap().pop_front();
        // A request that was given up has nobody who hears.
        let _ = request.unwrap().send(answer);
    }

    /// Answers with ten times the record.
    fn say(&self, record: u64) {
        self.answer(record, Ok(record * 10));
    }

    /// What was asked, once for each request that is not answered.
    fn asked(&self) -> Vec<u64> {
        let asked = self.0.lock().unwrap();
        let of_record = |(record, requests): (&u64, &VecDeque<_>)| vec![*record; requests.len()];
        asked.iter().flat_map(of_record).collect()
    }

    fn lookups(&self, settings: AsyncIo) -> impl FnOnce(DataStream<u64>) -> DataStream<u64> + use<> {
        let outside = self.clone();
        move |records| records.async_map(settings, move |record| outside.ask(record))
    }
}

fn harness(outside: &Outside, settings: AsyncIo) -> OperatorHarness<u64, u64> {
    OperatorHarness::new(outside.lookups(settings)).unwrap()
}

/// Lets the operators see what has happened outside.
fn look(harness: &mut OperatorHarness<u64, u64>) -> Vec<u64> {
    harness.advance_clock(Duration::ZERO).unwrap();
    harness.take_records()
}

fn told(harness: &mut OperatorHarness<u64, u64>) -> Vec<String> {
    harness.advance_clock(Duration::ZERO).unwrap();
    let told = harness.take_output().into_iter().map(|emitted| match emitted {
        Emitted::Record(record, Some(Timestamp(at))) => format!("{record}@{at}"),
        Emitted::Record(record, None) => record.to_string(),
        Emitted::Watermark(Timestamp(at)) if at == i64::MAX => "MAX".to_owned(),
        Emitted::Watermark(Timestamp(at)) => format!("W{at}"),
        other => format!("{other:?}"),
    });
    told.collect()
}

#[test]
fn in_order_a_slow_answer_keeps_back_those_behind_it() {
    let outside = Outside::default();
    let mut harness = harness(&outside, AsyncIo::ordered(SECOND));
    for record in 1..=3 {
        harness.push(record, record as i64).unwrap();
    }
    outside.say(3);
    outside.say(2);
    assert_eq!(look(&mut harness), [0; 0]);
    outside.say(1);
    assert_eq!(told(&mut harness), ["10@1", "20@2", "30@3"]);
}

#[test]
fn without_order_results_go_on_as_they_are_known_but_none_passes_a_watermark() {
    let outside = Outside::default();
    let mut harness = harness(&outside, AsyncIo::unordered(SECOND));
    harness.push(1, 1).unwrap();
    harness.push(2, 2).unwrap();
    harness.watermark(2).unwrap();
    harness.push(3, 3).unwrap();
    outside.say(3);
    outside.say(2);
    assert_eq!(told(&mut harness), ["20@2"]);
    outside.say(1);
    assert_eq!(told(&mut harness), ["10@1", "W2", "30@3"]);
}

#[test]
fn no_more_is_asked_than_there_is_room_for() {
    for settings in [AsyncIo::ordered(SECOND), AsyncIo::unordered(SECOND)] {
        let outside = Outside::default();
        let mut harness = harness(&outside, settings.capacity(2));
        for record in 1..=4 {
            harness.push_untimed(record).unwrap();
        }
        assert_eq!(outside.asked(), [1, 2]);
        outside.say(1);
        assert_eq!(look(&mut harness), [10]);
        assert_eq!(outside.asked(), [2, 3]);
    }
}

#[test]
fn the_data_end_when_all_is_answered() {
    let outside = Outside::default();
    let mut harness = harness(&outside, AsyncIo::unordered(SECOND));
    harness.push(1, 1).unwrap();
    harness.end().unwrap();
    assert_eq!(told(&mut harness), [""; 0]);
    outside.say(1);
    assert_eq!(told(&mut harness), ["10@1", "MAX"]);
}

#[test]
fn a_snapshot_has_what_is_not_answered_and_it_is_asked_again() {
    for parallelism in 1..=3 {
        let outside = Outside::default();
        let mut before = harness(&outside, AsyncIo::ordered(SECOND).capacity(3));
        for record in 1..=5 {
            before.push(record, record as i64).unwrap();
        }
        outside.say(1);
        outside.say(3);
        assert_eq!(look(&mut before), [10]);
        let snapshot = before.snapshot().unwrap();

        let again = Outside::default();
        let restored = OperatorHarness::builder()
            .parallelism(parallelism)
            .restore(&snapshot);
        let settings = AsyncIo::ordered(SECOND).capacity(4);
        let mut restored = restored.build(again.lookups(settings)).unwrap();
        look(&mut restored);
        assert_eq!(again.asked(), [2, 3, 4, 5], "parallelism {parallelism}");
        again.asked().into_iter().for_each(|record| again.say(record));
        restored.advance_clock(Duration::ZERO).unwrap();
        let mut results = restored.take_timed();
        results.sort_unstable();
        let expected = [(20, 2), (30, 3), (40, 4), (50, 5)].map(|(record, at)| (record, Some(Timestamp(at))));
        assert_eq!(results, expected);
    }
}

#[test]
fn a_watermark_waits_in_the_snapshot_where_it_stood() {
    let outside = Outside::default();
    let mut before = harness(&outside, AsyncIo::unordered(SECOND));
    before.push(1, 1).unwrap();
    before.watermark(7).unwrap();
    before.push(2, 2).unwrap();
    let snapshot = before.snapshot().unwrap();

    let again = Outside::default();
    let restored = OperatorHarness::builder().restore(&snapshot);
    let mut restored = restored.build(again.lookups(AsyncIo::unordered(SECOND))).unwrap();
    look(&mut restored);
    again.say(2);
    again.say(1);
    assert_eq!(told(&mut restored), ["10@1", "W7", "20@2"]);

    let wider = OperatorHarness::builder().parallelism(2).restore(&snapshot);
    let mut wider = wider.build(again.lookups(AsyncIo::unordered(SECOND))).unwrap();
    look(&mut wider);
    again.say(1);
    again.say(2);
    let mut records = told(&mut wider);
    records.sort();
    assert_eq!(
        records,
        ["10@1", "20@2"],
        "what one subtask knew of event time does not hold for another"
    );
}

#[test]
fn a_request_that_is_never_answered_ends_in_an_error_that_says_so() {
    let outside = Outside::default();
    let mut harness = harness(&outside, AsyncIo::ordered(SECOND).capacity(1));
    harness.push_untimed(1).unwrap();
    harness.push_untimed(2).unwrap();
    harness.advance_clock(SECOND - Duration::from_millis(1)).unwrap();
    let error = harness.advance_clock(Duration::from_millis(1)).unwrap_err();
    assert!(error.to_string().contains("not answered in time"), "{error}");
}

/// Goes on without an answer.
#[derive(Clone)]
struct OrZero(Outside);

impl AsyncFunction<u64> for OrZero {
    type Output = u64;

    fn invoke(&self, record: u64) -> BoxFuture<'static, Result<Vec<u64>>> {
        let answer = self.0.ask(record);
        async move { Ok(vec![answer.await?; record as usize]) }.boxed()
    }

    fn timeout(&self, _: u64) -> Result<Vec<u64>> {
        Ok(vec![0])
    }
}

#[test]
fn a_function_may_go_on_without_an_answer_and_have_several_results() {
    let outside = Outside::default();
    let function = OrZero(outside.clone());
    let settings = AsyncIo::ordered(SECOND);
    let mut harness =
        OperatorHarness::new(|records: DataStream<u64>| records.async_process(settings, function)).unwrap();
    harness.push_untimed(1).unwrap();
    harness.advance_clock(SECOND / 2).unwrap();
    [2, 0]
        .into_iter()
        .for_each(|record| harness.push_untimed(record).unwrap());
    outside.say(2);
    outside.say(0);
    harness.advance_clock(SECOND / 2).unwrap();
    assert_eq!(harness.take_records(), [0, 20, 20]);
}

#[test]
fn what_fails_is_asked_again_after_a_while() {
    let outside = Outside::default();
    let retry = AsyncRetry::exponential(3, Duration::from_millis(10), SECOND);
    let mut harness = harness(&outside, AsyncIo::ordered(SECOND).retry(retry));
    let down = || Err(Error::unavailable("nobody there"));
    harness.push_untimed(1).unwrap();
    outside.answer(1, down());
    harness.advance_clock(Duration::from_millis(9)).unwrap();
    assert_eq!(outside.asked(), [0; 0]);
    harness.advance_clock(Duration::from_millis(10)).unwrap();
    assert_eq!(outside.asked(), [1]);
    outside.answer(1, down());
    harness.advance_clock(Duration::ZERO).unwrap();
    harness.advance_clock(Duration::from_millis(20)).unwrap();
    outside.say(1);
    assert_eq!(look(&mut harness), [10]);

    harness.push_untimed(2).unwrap();
    for delay in [10, 20] {
        outside.answer(2, down());
        harness.advance_clock(Duration::ZERO).unwrap();
        harness.advance_clock(Duration::from_millis(delay)).unwrap();
    }
    outside.answer(2, down());
    let error = harness.advance_clock(Duration::ZERO).unwrap_err().to_string();
    assert!(
        error.contains("nobody there") && error.contains("attempts: 3"),
        "{error}"
    );
}

#[test]
fn an_answer_that_no_retry_helps_fails_at_once() {
    let outside = Outside::default();
    let settings = AsyncIo::unordered(SECOND).retry(AsyncRetry::fixed(5, Duration::ZERO));
    let mut harness = harness(&outside, settings);
    harness.push_untimed(1).unwrap();
    outside.answer(1, Err(Error::invalid("no such user")));
    let error = harness.advance_clock(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("no such user"), "{error}");
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let ordered = || AsyncIo::ordered(SECOND);
    let cases = [
        (ordered().capacity(0), "capacity of at least 1"),
        (AsyncIo::ordered(Duration::ZERO), "timeout above 0"),
        (
            ordered().retry(AsyncRetry::fixed(0, SECOND)),
            "at least 1 attempt",
        ),
        (
            ordered().retry(AsyncRetry::exponential(2, SECOND, Duration::ZERO)),
            "shorter than the first",
        ),
    ];
    for (settings, expected) in cases {
        let refused = OperatorHarness::new(Outside::default().lookups(settings)).map(|_| ());
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("async-map"), "{error}");
    }
}
