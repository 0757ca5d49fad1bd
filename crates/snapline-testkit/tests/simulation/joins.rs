//! Jobs in which two streams meet.

use snapline_core::{AlignmentSettings, Result, Timestamp};
use snapline_dataflow::{
    Collector, DataStream, KeyedCoProcessFunction, ProcessContext, RuntimeContext,
    StreamExecutionEnvironment, TumblingEventTimeWindows, ValueState, WatermarkStrategy,
};
use snapline_testkit::simulation::{Report, Simulation, World};
use std::ops::Range;
use std::time::Duration;

const RECORDS: u64 = 60;
const KEYS: u64 = 7;

/// The numbers, ten milliseconds apart.
fn timed(env: &StreamExecutionEnvironment, world: &World, name: &str) -> DataStream<u64> {
    let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps();
    let strategy = strategy.with_timestamp_assigner(|number| Timestamp(*number as i64 * 10));
    env.from_source_with_watermarks(world.source(0..RECORDS), strategy, name)
}

/// Numbers the records of each key, from whichever stream they come.
#[derive(Clone, Default)]
struct Numbered {
    count: ValueState<u64, u64>,
}

impl Numbered {
    fn next(&self, context: &mut ProcessContext<'_, u64>, out: &mut Collector<'_, (u64, u64)>) -> Result<()> {
        let count = self.count.value(context)?.unwrap_or(0) + 1;
        out.collect((*context.current_key(), count));
        self.count.update(context, count)
    }
}

impl KeyedCoProcessFunction<u64, u64, String> for Numbered {
    type Output = (u64, u64);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.count = context.value_state("count");
        Ok(())
    }

    fn process_left(
        &mut self,
        _: u64,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, u64)>,
    ) -> Result<()> {
        self.next(context, out)
    }

    fn process_right(
        &mut self,
        _: String,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, u64)>,
    ) -> Result<()> {
        self.next(context, out)
    }
}

/// Numbers of one source and the texts of those of another share a state.
pub(crate) fn connected_streams(seeds: Range<u64>) -> Report {
    let counts = (0..KEYS).flat_map(|key| {
        let of_key = (0..RECORDS).filter(move |number| number % KEYS == key);
        (1..=2 * of_key.count() as u64).map(move |count| (key, count))
    });
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let numbers = env.from_source(world.source(0..RECORDS), "numbers");
            let texts = env.from_source(world.source(0..RECORDS), "texts");
            let texts = texts.map(|number| number.to_string());
            let keyed = numbers.connect(&texts).key_by(
                |number| number % KEYS,
                |text| text.parse::<u64>().unwrap_or(0) % KEYS,
            );
            keyed.process(Numbered::default()).sink_to(world.sink());
        })
        .expect_exactly_once(counts)
}

/// Each number with itself and with the next one of its key.
pub(crate) fn joined_by_time(seeds: Range<u64>) -> Report {
    let pairs = (0..RECORDS).flat_map(|number| {
        let partners = [number, number + KEYS].into_iter();
        partners
            .filter(|partner| *partner < RECORDS)
            .map(move |partner| (number, partner))
    });
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let (left, right) = (timed(env, world, "left"), timed(env, world, "right"));
            let by_key = left
                .connect(&right)
                .key_by(|number| number % KEYS, |number| number % KEYS);
            let upper = KEYS as i64 * 10;
            by_key
                .interval_join(0, upper, |left, right| (*left, *right))
                .sink_to(world.sink());
        })
        .expect_exactly_once(pairs)
}

/// Each number with all of its key in the same window.
pub(crate) fn joined_in_windows(seeds: Range<u64>) -> Report {
    const LENGTH: u64 = 15;
    let together = |left: u64, right: u64| left % KEYS == right % KEYS && left / LENGTH == right / LENGTH;
    let pairs = (0..RECORDS).flat_map(|left| (0..RECORDS).map(move |right| (left, right)));
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let (left, right) = (timed(env, world, "left"), timed(env, world, "right"));
            let by_key = left
                .connect(&right)
                .key_by(|number| number % KEYS, |number| number % KEYS);
            let windows = by_key.window(TumblingEventTimeWindows::of(Duration::from_millis(LENGTH * 10)));
            windows.join(|left, right| (*left, *right)).sink_to(world.sink());
        })
        .expect_exactly_once(pairs.filter(move |(left, right)| together(*left, *right)))
}

/// Each number with the newest multiple of three of its key that is not larger.
pub(crate) fn joined_with_versions(seeds: Range<u64>) -> Report {
    let version = |number: u64| {
        (0..=number)
            .rev()
            .find(|version| version % 3 == 0 && version % KEYS == number % KEYS)
    };
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments([AlignmentSettings::Aligned, AlignmentSettings::Unaligned])
        .run(|env, world| {
            let numbers = timed(env, world, "numbers");
            let versions = timed(env, world, "versions").filter(|number| number % 3 == 0);
            let by_key = numbers
                .connect(&versions)
                .key_by(|number| number % KEYS, |version| version % KEYS);
            by_key
                .temporal_join(|number, version| Some((number, version.copied())))
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(move |number| (number, version(number))))
}
