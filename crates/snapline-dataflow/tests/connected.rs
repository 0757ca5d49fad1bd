//! Two streams in one operator, on the harness.

use snapline_core::{Result, Timestamp};
use snapline_dataflow::{
    Collector, DataStream, KeyedCoProcessFunction, ProcessContext, RuntimeContext, TimeDomain, ValueState,
    WatermarkStrategy,
};
use snapline_testkit::harness::{Emitted, OperatorHarness};
use std::time::Duration;

/// Even numbers as they are, and odd ones as text.
fn split(numbers: &DataStream<i64>) -> (DataStream<i64>, DataStream<String>) {
    let odd = numbers.filter(|number| number % 2 != 0);
    (
        numbers.filter(|number| number % 2 == 0),
        odd.map(|number| number.to_string()),
    )
}

fn sorted<T: Ord>(mut records: Vec<T>) -> Vec<T> {
    records.sort();
    records
}

#[test]
fn each_record_goes_to_the_function_for_its_stream() {
    let mut harness = OperatorHarness::new(|numbers| {
        let (even, odd) = split(&numbers);
        even.connect(&odd)
            .co_map(|number| -number, |text| text.len() as i64)
    })
    .unwrap();
    for number in [2, 101, 4, 7] {
        harness.push(number, number).unwrap();
    }
    harness.end().unwrap();
    let timed = |record, at| (record, Some(Timestamp(at)));
    let expected = [timed(-4, 4), timed(-2, 2), timed(1, 7), timed(3, 101)];
    assert_eq!(sorted(harness.take_timed()), expected);
}

#[test]
fn a_flat_function_emits_as_much_as_it_likes() {
    let mut harness = OperatorHarness::new(|numbers| {
        let (even, odd) = split(&numbers);
        even.connect(&odd).co_flat_map(
            |number, out: &mut Collector<'_, i64>| (0..number).for_each(|each| out.collect(each)),
            |_, _| {},
        )
    })
    .unwrap();
    [2, 5, 4]
        .into_iter()
        .try_for_each(|number| harness.push_untimed(number))
        .unwrap();
    harness.end().unwrap();
    assert_eq!(sorted(harness.take_records()), [0, 0, 1, 1, 2, 3]);
}

#[test]
fn a_broadcast_stream_reaches_all_subtasks_and_the_other_one_only_one_each() {
    let describe = |numbers: DataStream<i64>| {
        let (even, odd) = split(&numbers);
        even.connect(&odd.broadcast())
            .co_map(|number| number, |text| text.parse().unwrap_or(0))
    };
    let mut harness = OperatorHarness::builder().parallelism(3).build(describe).unwrap();
    [2, 5, 4]
        .into_iter()
        .try_for_each(|number| harness.push_untimed(number))
        .unwrap();
    harness.end().unwrap();
    assert_eq!(sorted(harness.take_records()), [2, 4, 5, 5, 5]);
}

/// Pays each even number, its key, when the odd number after it has come; what is not confirmed in time comes out negative.
#[derive(Clone, Default)]
struct Confirm {
    open: ValueState<i64, i64>,
}

impl KeyedCoProcessFunction<i64, i64, String> for Confirm {
    type Output = i64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.open = context.value_state("open");
        Ok(())
    }

    fn process_left(
        &mut self,
        amount: i64,
        context: &mut ProcessContext<'_, i64>,
        _out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        self.open.update(context, amount)?;
        let Timestamp(at) = context.timestamp().unwrap_or(Timestamp(0));
        context.register_event_time_timer(Timestamp(at + 10))
    }

    fn process_right(
        &mut self,
        _confirmed: String,
        context: &mut ProcessContext<'_, i64>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        if let Some(amount) = self.open.value(context)? {
            self.open.clear(context)?;
            out.collect(amount);
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        _time: Timestamp,
        domain: TimeDomain,
        context: &mut ProcessContext<'_, i64>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        assert_eq!(domain, TimeDomain::EventTime);
        if let Some(amount) = self.open.value(context)? {
            self.open.clear(context)?;
            out.collect(-amount);
        }
        Ok(())
    }
}

fn confirmed(numbers: &DataStream<i64>) -> DataStream<i64> {
    let (even, odd) = split(numbers);
    let by_amount = even
        .connect(&odd)
        .key_by(|amount| *amount, |text| text.parse::<i64>().unwrap_or(0) - 1);
    by_amount.process(Confirm::default())
}

#[test]
fn both_streams_share_states_and_timers_of_a_key_through_a_rescale() {
    let describe = |numbers: DataStream<i64>| confirmed(&numbers);
    let mut harness = OperatorHarness::builder().parallelism(2).build(describe).unwrap();
    for number in [2, 4, 6, 5] {
        harness.push(number, 0).unwrap();
    }
    assert_eq!(harness.take_records(), [4]);

    let snapshot = harness.snapshot().unwrap();
    let builder = OperatorHarness::builder().parallelism(3).restore(&snapshot);
    let mut harness = builder.build(describe).unwrap();
    harness.push(3, 5).unwrap();
    assert_eq!(harness.take_records(), [2]);
    harness.watermark(10).unwrap();
    assert_eq!(harness.take_timed(), [(-6, Some(Timestamp(10)))]);
}

#[test]
fn event_time_is_that_of_the_slower_stream() {
    let timed = |numbers: &DataStream<i64>, late: u64| {
        let strategy = WatermarkStrategy::<i64>::for_bounded_out_of_orderness(Duration::from_millis(late));
        numbers
            .assign_timestamps_and_watermarks(strategy.with_timestamp_assigner(|number| Timestamp(*number)))
    };
    let mut harness = OperatorHarness::new(|numbers| {
        let (quick, slow) = (timed(&numbers, 10), timed(&numbers, 1000));
        quick.connect(&slow).co_map(|number| number, |number| number)
    })
    .unwrap();
    harness.push_untimed(5000).unwrap();
    harness.push_untimed(6000).unwrap();
    harness.advance_clock(Duration::from_secs(1)).unwrap();
    let output = harness.take_output().into_iter();
    let mut watermarks = output.filter_map(|emitted| match emitted {
        Emitted::Watermark(Timestamp(at)) => Some(at),
        _ => None,
    });
    assert_eq!(watermarks.next_back(), Some(6000 - 1000 - 1));
}
