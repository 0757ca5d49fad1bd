//! A function that fails: the error says in which operator, which subtask, and at which record.

use crate::support::run;
use snapline::connector::CollectSink;
use snapline::dataflow::{RecordContext, TimeWindow, WindowContext};
use snapline::prelude::*;
use snapline::{Error, ErrorKind, Result};
use std::time::Duration;

/// The number at which functions fail, in the second batch.
const BAD: u64 = 1500;

/// Panics at the bad number.
fn seen(number: u64) -> u64 {
    assert!(number != BAD, "planned");
    number
}

/// Describes an operator with the uid `bad` behind numbers whose times they are.
type Describe = fn(DataStream<u64>) -> DataStream<u64>;

fn failure(parallelism: u32, describe: Describe) -> Error {
    let settings = JobSettings {
        parallelism,
        ..JobSettings::default()
    };
    let env = StreamExecutionEnvironment::builder()
        .settings(settings)
        .build()
        .unwrap();
    let strategy = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64| Timestamp(*number as i64));
    let numbers = env.from_source_with_watermarks(SequenceSource::new(0..5000), strategy, "numbers");
    let (sink, _) = CollectSink::new();
    describe(numbers).uid("bad").sink_to(sink);
    run(&env).unwrap_err()
}

/// What an error says of its place.
fn place(error: &Error) -> [Option<&str>; 4] {
    ["operator", "subtask", "record", "records"].map(|name| error.context(name))
}

#[derive(Clone)]
struct Keyed;

impl KeyedProcessFunction<u64, u64> for Keyed {
    type Output = u64;

    fn process_element(
        &mut self,
        number: u64,
        _: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        out.collect(seen(number));
        Ok(())
    }
}

#[derive(Clone)]
struct Unkeyed;

impl ProcessFunction<u64> for Unkeyed {
    type Output = u64;

    fn process_element(
        &mut self,
        number: u64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        out.collect(seen(number));
        Ok(())
    }
}

/// Fails in a timer.
#[derive(Clone)]
struct Timed;

impl KeyedProcessFunction<u64, u64> for Timed {
    type Output = u64;

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        context.register_event_time_timer(Timestamp(number as i64))
    }

    fn on_timer(
        &mut self,
        Timestamp(time): Timestamp,
        _: TimeDomain,
        _: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        seen(time as u64);
        Ok(())
    }
}

#[test]
fn a_function_that_panics_is_named_with_its_subtask_and_the_record() {
    let one: Option<&str> = Some("1501");
    let batch = Some("1025 to 2048");
    let cases: [(&str, Describe, [Option<&str>; 2]); 12] = [
        ("map", |numbers| numbers.map(seen), [one, None]),
        (
            "filter",
            |numbers| numbers.filter(|number| seen(*number) > 0),
            [one, None],
        ),
        (
            "flat_map",
            |numbers| numbers.flat_map(|number, out: &mut Collector<'_, u64>| out.collect(seen(number))),
            [one, None],
        ),
        ("process", |numbers| numbers.process(Unkeyed), [one, None]),
        (
            "keyed process",
            |numbers| numbers.key_by(|number| number % 7).process(Keyed),
            [one, None],
        ),
        (
            "sum",
            |numbers| {
                numbers
                    .key_by(|number| number % 7)
                    .sum(|number| panicking(number))
            },
            [one, None],
        ),
        (
            "reduce",
            |numbers| {
                let keyed = numbers.key_by(|number| number % 7);
                keyed.reduce(|sum, number| *sum += seen(number))
            },
            [one, None],
        ),
        (
            "timestamps",
            |numbers| {
                let strategy = WatermarkStrategy::for_monotonous_timestamps()
                    .with_timestamp_assigner(|number| Timestamp(seen(*number) as i64));
                numbers.assign_timestamps_and_watermarks(strategy)
            },
            [None, batch],
        ),
        (
            "sliced windows",
            |numbers| {
                let windows = TumblingEventTimeWindows::of(Duration::from_secs(60));
                let keyed = numbers.key_by(|number| number % 7);
                keyed.window(windows).reduce(|sum, number| *sum += seen(number))
            },
            [None, batch],
        ),
        (
            "sessions",
            |numbers| {
                let windows = EventTimeSessionWindows::with_gap(Duration::from_secs(60));
                let keyed = numbers.key_by(|number| number % 7);
                keyed.window(windows).reduce(|sum, number| *sum += seen(number))
            },
            [None, batch],
        ),
        (
            "windows that emit",
            |numbers| {
                let windows = TumblingEventTimeWindows::of(Duration::from_millis(1));
                let keyed = numbers.key_by(|number| number % 7);
                keyed.window(windows).process(emit)
            },
            [None, None],
        ),
        (
            "timers",
            |numbers| numbers.key_by(|number| number % 7).process(Timed),
            [None, None],
        ),
    ];
    for (name, describe, [record, records]) in cases {
        let error = failure(1, describe);
        assert_eq!(error.kind(), ErrorKind::Internal, "{name}: {error}");
        assert_eq!(error.context("message"), Some("planned"), "{name}: {error}");
        assert!(error.context("task").is_some(), "{name}: {error}");
        let expected = [Some("bad"), Some("0"), record, records];
        assert_eq!(place(&error), expected, "{name}: {error}");
    }
}

fn panicking(number: &mut u64) -> &mut u64 {
    seen(*number);
    number
}

fn emit(
    _: &u64,
    _: &WindowContext<'_, TimeWindow>,
    numbers: Vec<u64>,
    out: &mut Collector<'_, u64>,
) -> Result<()> {
    numbers.into_iter().for_each(|number| out.collect(seen(number)));
    Ok(())
}

#[derive(Clone)]
struct Refuses;

impl KeyedProcessFunction<u64, u64> for Refuses {
    type Output = u64;

    fn process_element(
        &mut self,
        number: u64,
        _: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        if number == BAD {
            return Err(Error::unsupported("a number that cannot be").with("number", number));
        }
        out.collect(number);
        Ok(())
    }
}

#[test]
fn a_function_that_returns_an_error_is_named_and_its_error_is_kept() {
    let error = failure(2, |numbers| numbers.key_by(|_| 0).process(Refuses));
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.message(), "a number that cannot be");
    assert_eq!(error.context("number"), Some("1500"), "{error}");
    let [operator, subtask, record, _] = place(&error);
    assert_eq!(operator, Some("bad"), "{error}");
    assert!(matches!(subtask, Some("0" | "1")), "{error}");
    assert!(
        record.is_some_and(|record| record.parse::<u64>().is_ok()),
        "{error}"
    );
}

/// Fails where it is read or written.
fn end_to_end(source: fn(u64) -> u64, key: fn(&u64) -> u64) -> Error {
    let env = StreamExecutionEnvironment::builder().build().unwrap();
    let (sink, _) = CollectSink::new();
    env.from_source(GeneratorSource::new(5000, source), "numbers")
        .uid("source")
        .key_by(key)
        .reduce(|sum, number| *sum += number)
        .sink_to(sink);
    run(&env).unwrap_err()
}

#[test]
fn a_source_and_the_choice_of_a_key_are_operators_as_well() {
    let error = end_to_end(seen, |number| *number);
    assert_eq!(place(&error)[..3], [Some("source"), Some("0"), None], "{error}");
    let error = end_to_end(|number| number, |number| seen(*number));
    assert_eq!(place(&error)[1..], [Some("0"), Some("1501"), None], "{error}");
    assert!(
        error
            .context("operator")
            .is_some_and(|uid| uid.starts_with("key-by")),
        "{error}"
    );
}
