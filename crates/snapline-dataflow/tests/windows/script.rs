//! Scenarios as text.
//!
//! `B@3999` is a record with key B, value 1 and this timestamp, `B:5@7` one with value 5, `B` one without a timestamp.
//! `W999` is a watermark, `T5000` sets the clock, `end` ends the stream, `|` takes a snapshot and restores it. What is expected is the list
//! of steps that emit something, each with what it emits.

use snapline_core::{Result, Timestamp};
use snapline_dataflow::{Collector, DataStream, KeyedStream, OutputTag, TimeWindow, WindowContext};
use snapline_testkit::harness::{HarnessBuilder, HarnessSnapshot, OperatorHarness};
use std::time::Duration;

/// A key and a value.
pub(crate) type Record = (String, u64);

/// Makes results of records; late ones go to the tag.
pub(crate) type Describe = fn(KeyedStream<String, Record>, &OutputTag<Record>) -> DataStream<String>;

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Adds the values.
pub(crate) fn add(sum: &mut Record, record: Record) {
    sum.1 += record.1;
}

/// The function of a window that says what it has, `(A,6)[10,5500)`.
pub(crate) fn told(
    _: &String,
    context: &WindowContext<'_, TimeWindow>,
    (key, sum): Record,
    out: &mut Collector<'_, String>,
) -> Result<()> {
    let window = context.window();
    out.collect(format!("({key},{sum})[{},{})", window.start(), window.end()));
    Ok(())
}

/// The same without the window, `(A,6)`.
pub(crate) fn plain<W>(
    _: &String,
    _: &WindowContext<'_, W>,
    (key, sum): Record,
    out: &mut Collector<'_, String>,
) -> Result<()> {
    out.collect(format!("({key},{sum})"));
    Ok(())
}

/// Runs a scenario with one subtask, with three and restores at the bars, and with a restore at another parallelism
/// after each step. All have to emit the same.
pub(crate) fn check(describe: Describe, steps: &str, expected: &str) {
    let expected: Vec<&str> = expected
        .split(';')
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    for (parallelisms, restores) in [
        (&[1][..], Restores::AtBars),
        (&[3, 1, 2], Restores::AtBars),
        (&[1, 3, 2], Restores::Always),
    ] {
        let mut run = Run::new(describe, parallelisms);
        let mut emitted = Vec::new();
        for step in steps.split_whitespace() {
            run.take(step);
            emitted.extend(run.emitted().map(|line| format!("{step}: {line}")));
            if restores == Restores::Always || step == "|" {
                run.restore();
            }
        }
        assert_eq!(
            emitted, expected,
            "at parallelisms {parallelisms:?}, restores {restores:?}"
        );
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Restores {
    AtBars,
    Always,
}

struct Run<'a> {
    describe: Describe,
    late: OutputTag<Record>,
    harness: OperatorHarness<Record, String>,
    parallelisms: std::iter::Cycle<std::slice::Iter<'a, u32>>,
    watermark: Option<i64>,
    now: i64,
}

impl<'a> Run<'a> {
    fn new(describe: Describe, parallelisms: &'a [u32]) -> Self {
        let mut parallelisms = parallelisms.iter().cycle();
        let late = OutputTag::new("late");
        let parallelism = *parallelisms.next().unwrap();
        Self {
            harness: build(
                describe,
                &late,
                OperatorHarness::builder().parallelism(parallelism),
            ),
            describe,
            late,
            parallelisms,
            watermark: None,
            now: 0,
        }
    }

    fn take(&mut self, step: &str) {
        let number = |text: &str| match text {
            "MAX" => i64::MAX,
            text => text.parse().unwrap(),
        };
        if step == "|" {
        } else if step == "end" {
            self.harness.end().unwrap();
        } else if let Some(watermark) = step.strip_prefix('W') {
            self.watermark = Some(number(watermark));
            self.harness.watermark(number(watermark)).unwrap();
        } else if let Some(now) = step.strip_prefix('T') {
            let passed = number(now) - self.now;
            self.now = number(now);
            self.harness
                .advance_clock(millis(passed.try_into().unwrap()))
                .unwrap();
        } else {
            let (record, at) = match step.split_once('@') {
                Some((record, at)) => (record, Some(number(at))),
                None => (step, None),
            };
            let (key, value) = record.split_once(':').unwrap_or((record, "1"));
            let record = (key.to_owned(), value.parse().unwrap());
            match at {
                Some(at) => self.harness.push(record, at).unwrap(),
                None => self.harness.push_untimed(record).unwrap(),
            }
        }
    }

    /// What has come out since the last time, as one line: keys in order, late records last.
    fn emitted(&mut self) -> impl Iterator<Item = String> + use<> {
        let timed = |(text, at): (String, Option<Timestamp>)| format!("{text}@{}", at.unwrap());
        let mut emitted: Vec<String> = self.harness.take_timed().into_iter().map(timed).collect();
        emitted.sort();
        let late = self.harness.take_side_output(&self.late).into_iter();
        emitted.extend(late.map(|(key, _)| format!("LATE({key})")));
        (!emitted.is_empty()).then(|| emitted.join(" ")).into_iter()
    }

    /// Goes on with a snapshot, and the event time that the stream has.
    fn restore(&mut self) {
        let snapshot: HarnessSnapshot = self.harness.snapshot().unwrap();
        let parallelism = *self.parallelisms.next().unwrap();
        let builder = OperatorHarness::builder()
            .parallelism(parallelism)
            .clock(self.now);
        self.harness = build(self.describe, &self.late, builder.restore(&snapshot));
        if let Some(watermark) = self.watermark {
            self.harness.watermark(watermark).unwrap();
        }
        assert_eq!(self.emitted().next(), None, "a restore emits nothing");
    }
}

fn build(
    describe: Describe,
    late: &OutputTag<Record>,
    builder: HarnessBuilder<'_>,
) -> OperatorHarness<Record, String> {
    let described = |records: DataStream<Record>| describe(records.key_by(|(key, _)| key.clone()), late);
    builder.build_with_side_output(late, described).unwrap()
}
