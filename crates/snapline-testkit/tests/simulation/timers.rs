//! Jobs that wait for times: of the records, and of the clock, which is that of the simulated world.

use snapline_core::{AlignmentSettings, Error, Result, Timestamp};
use snapline_dataflow::{
    Collector, KeyedProcessFunction, ListState, MapState, ProcessContext, RuntimeContext,
    StreamExecutionEnvironment, TimeDomain, ValueState, WatermarkStrategy,
};
use snapline_testkit::simulation::{Report, Simulation, World};
use std::ops::Range;

/// Records and keys.
const RECORDS: u64 = 100;
const KEYS: u64 = 7;

/// Lets numbers wait until the clock says so, and what then still waits until the end of the data.
#[derive(Clone, Default)]
struct Hold {
    waiting: ListState<u64, u64>,
}

impl KeyedProcessFunction<u64, u64> for Hold {
    type Output = u64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.waiting = context.list_state("waiting");
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        self.waiting.add(context, number)?;
        let until = context.processing_time().plus_millis(number % 5);
        context.register_processing_time_timer(until)?;
        context.register_event_time_timer(Timestamp::MAX)
    }

    fn on_timer(
        &mut self,
        _: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let waiting = self.waiting.items(context)?;
        waiting.into_iter().for_each(|number| out.collect(number));
        self.waiting.clear(context)
    }
}

/// By the clock while the process crashes and comes back with another parallelism; the rest at the end.
pub(crate) fn held_by_the_clock(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS), "numbers")
                .key_by(|number| number % KEYS)
                .process(Hold::default())
                .sink_to(world.sink());
        })
        .expect_exactly_once(0..RECORDS)
}

/// Emits each number when event time has come a while further. A timer that is registered twice fires once, and
/// one that is taken back never.
#[derive(Clone)]
struct Later;

const WHILE: u64 = 10;

impl KeyedProcessFunction<u64, u64> for Later {
    type Output = u64;

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let time = Timestamp(number as i64).plus_millis(WHILE);
        let taken_back = Timestamp(-1 - number as i64);
        context.register_event_time_timer(time)?;
        context.register_event_time_timer(taken_back)?;
        context.register_event_time_timer(time)?;
        context.delete_event_time_timer(taken_back)
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        _: TimeDomain,
        _: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        out.collect(time.0 as u64 - WHILE);
        Ok(())
    }
}

/// By the watermark, over crashes and panics at any parallelism and however barriers are aligned. The splits of the
/// source are read by turns, so many numbers are late: their timers fire all the same.
pub(crate) fn fired_by_the_watermark(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=4)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let strategy = WatermarkStrategy::for_monotonous_timestamps()
                .with_timestamp_assigner(|number: &u64| Timestamp(*number as i64));
            env.from_source(world.source(0..RECORDS), "numbers")
                .assign_timestamps_and_watermarks(strategy)
                .key_by(|number| number % KEYS)
                .process(Later)
                .sink_to(world.sink());
        })
        .expect_exactly_once(0..RECORDS)
}

/// Lets each number wait for many timers, all of which one watermark brings about together with those of many numbers:
/// barriers come while they fire. No record of a key may come before the timers that were due before it, also when
/// the process has died in between.
#[derive(Clone, Default)]
struct Many {
    /// Timers that have not fired, but for those that were of the past.
    waiting: MapState<u64, i64, ()>,
    /// How far event time had come when the key was seen last.
    seen: ValueState<u64, i64>,
}

/// Numbers, timers of each, and numbers of the same time.
const NUMBERS: u64 = 60;
const TIMERS: i64 = 60;
const TOGETHER: u64 = 40;

impl KeyedProcessFunction<u64, u64> for Many {
    type Output = u64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.waiting = context.map_state("waiting");
        self.seen = context.value_state("seen");
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let seen = self.seen.value(context)?.unwrap_or(i64::MIN);
        let first = self.waiting.entries(context)?.into_keys().next();
        if first.is_some_and(|first| first <= seen) {
            return Err(Error::internal("a record came before a timer that was due"));
        }
        for time in number as i64 * TIMERS..(number as i64 + 1) * TIMERS {
            context.register_event_time_timer(Timestamp(time))?;
            if time > seen.max(context.current_watermark().0.0) {
                self.waiting.put(context, time, ())?;
            }
        }
        Ok(())
    }

    fn on_timer(
        &mut self,
        time: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        self.waiting.remove(context, &time.0)?;
        self.seen.update(context, context.current_watermark().0.0)?;
        if time.0 % TIMERS == 0 {
            out.collect((time.0 / TIMERS) as u64);
        }
        Ok(())
    }
}

fn many(env: &StreamExecutionEnvironment, world: &World) {
    let strategy = WatermarkStrategy::for_monotonous_timestamps()
        .with_timestamp_assigner(|number: &u64| Timestamp((number / TOGETHER * TOGETHER) as i64 * TIMERS));
    env.from_source(world.source(0..NUMBERS), "numbers")
        .assign_timestamps_and_watermarks(strategy)
        .key_by(|number| number % KEYS)
        .process(Many::default())
        .sink_to(world.sink());
}

/// Barriers are aligned, at any parallelism.
pub(crate) fn many_at_one_watermark(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(many)
        .expect_exactly_once(0..NUMBERS)
}

/// Barriers overtake records and timers.
pub(crate) fn many_overtaken_by_barriers(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .parallelism(1..=3)
        .alignments([AlignmentSettings::Unaligned])
        .run(many)
        .expect_exactly_once(0..NUMBERS)
}
