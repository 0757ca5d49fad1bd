//! Functions with a broadcast side in whole jobs: through panics, and rescaled from savepoints.

use crate::held::{HeldSource, Hold};
use crate::support::{environment, panic_at, run, wait_for};
use crate::valve::newest_manifest;
use futures::executor::block_on;
use snapline::Result;
use snapline::connector::{ChannelSender, Collected};
use snapline::core::{AlignmentSettings, ClaimMode};
use snapline::dataflow::SavepointRequest;
use snapline::prelude::*;
use std::time::Duration;

const KEYS: u64 = 23;
const RULES: u64 = 200;
const NUMBERS: u64 = 20_000;

/// Counts the records of each key, and how often there were rules for it, in all subtasks; tells both at the end of the
/// data.
#[derive(Clone, Default)]
struct Told {
    rules: BroadcastState<u64, u64>,
    count: ValueState<u64, u64>,
}

type Counts = (u64, u64, u64);

impl KeyedBroadcastProcessFunction<u64, u64, u64> for Told {
    type Output = Counts;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.rules = context.broadcast_state("rules");
        self.count = context.value_state("count");
        Ok(())
    }

    fn process_element(
        &mut self,
        _number: u64,
        context: &mut ProcessContext<'_, u64>,
        _out: &mut Collector<'_, Counts>,
    ) -> Result<()> {
        let count = self.count.value(context)?.unwrap_or(0);
        self.count.update(context, count + 1)?;
        context.register_event_time_timer(Timestamp(1))
    }

    fn process_broadcast_element(
        &mut self,
        rule: u64,
        context: &mut KeyedBroadcastContext<'_, u64>,
        _out: &mut Collector<'_, Counts>,
    ) -> Result<()> {
        let mut rules = context.broadcast_state(&self.rules)?;
        let times = rules.get(&(rule % KEYS)).copied().unwrap_or(0);
        rules.insert(rule % KEYS, times + 1)?;
        Ok(())
    }

    fn on_timer(
        &mut self,
        _time: Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, Counts>,
    ) -> Result<()> {
        let key = *context.current_key();
        let rules = context.broadcast_state(&self.rules)?.get(&key).copied();
        out.collect((key, self.count.value(context)?.unwrap_or(0), rules.unwrap_or(0)));
        Ok(())
    }
}

fn told(numbers: &DataStream<u64>, rules: &DataStream<u64>) -> DataStream<Counts> {
    let by_key = numbers.key_by(|number| number % KEYS);
    by_key
        .connect_broadcast(rules)
        .process(Told::default())
        .uid("told")
}

fn of_key(numbers: u64, key: u64) -> u64 {
    (0..numbers).filter(|number| number % KEYS == key).count() as u64
}

fn assert_counts(mut found: Vec<Counts>, numbers: u64, rules: u64) {
    found.sort_unstable();
    let counts = (0..KEYS).map(|key| (key, of_key(numbers, key), of_key(rules, key)));
    assert_eq!(found, counts.collect::<Vec<_>>());
}

#[test]
fn rules_are_as_if_nothing_had_failed() {
    for alignment in [AlignmentSettings::Aligned, AlignmentSettings::Unaligned] {
        for parallelism in [1, 2, 4] {
            for share in [1, 5, 9] {
                let env = environment(parallelism, MemoryCheckpointStorage::new());
                env.configure(|settings| {
                    let checkpoints = settings.checkpoints.as_mut().unwrap();
                    checkpoints.alignment = alignment;
                });
                let (sink, results) = CollectSink::new();
                let fail = panic_at(NUMBERS * share / 10);
                let numbers = env.from_source(SequenceSource::new(0..NUMBERS), "numbers");
                let numbers = numbers.map(move |number| {
                    fail(number);
                    number
                });
                let rules = env.from_source(SequenceSource::new(0..RULES), "rules");
                told(&numbers, &rules).sink_to(sink);
                let status = run(&env).unwrap().status;
                assert_eq!(
                    (status.state, status.restarts),
                    (JobState::Finished, 1),
                    "{status:?}"
                );
                assert_counts(results.take(), NUMBERS, RULES);
            }
        }
    }
}

/// A job whose numbers and rules a test sends.
struct Fed {
    numbers: ChannelSender<u64>,
    rules: ChannelSender<u64>,
    job: JobHandle,
    results: Collected<Counts>,
}

fn start(storage: &MemoryCheckpointStorage, parallelism: u32, savepoint: Option<&str>) -> Fed {
    let builder = StreamExecutionEnvironment::builder()
        .parallelism(parallelism)
        .checkpoint_storage(storage.clone());
    let builder = match savepoint {
        Some(path) => builder.restore_from(path, ClaimMode::NoClaim),
        None => builder,
    };
    let env = builder.build().unwrap();
    env.enable_checkpointing(Duration::from_secs(600));
    let (numbers, numbers_source) = ChannelSource::bounded(1 << 12);
    let (rules, rules_source) = ChannelSource::bounded(1 << 12);
    let (sink, results) = CollectSink::new();
    let numbers_stream = env.from_source(numbers_source, "numbers").uid("numbers");
    let rules_stream = env.from_source(rules_source, "rules").uid("rules");
    told(&numbers_stream, &rules_stream).sink_to(sink).uid("results");
    let job = block_on(env.execute_async(&format!("x{parallelism} from {savepoint:?}"))).unwrap();
    Fed {
        numbers,
        rules,
        job,
        results,
    }
}

#[test]
fn rules_and_counts_go_from_savepoint_to_savepoint_at_any_parallelism() {
    let storage = MemoryCheckpointStorage::new();
    let mut savepoint: Option<String> = None;
    let runs = [2, 4, 1, 3, 3];
    for (run, parallelism) in (0_u64..).zip(runs) {
        let fed = start(&storage, parallelism, savepoint.as_deref());
        (run * 1000..(run + 1) * 1000).for_each(|number| block_on(fed.numbers.send(number)).unwrap());
        (run * 50..(run + 1) * 50).for_each(|rule| block_on(fed.rules.send(rule)).unwrap());
        wait_for(&fed.job, |status| status.records >= 1050);
        if run + 1 == runs.len() as u64 {
            drop((fed.numbers, fed.rules));
            block_on(fed.job.wait()).unwrap();
            return assert_counts(fed.results.take(), 5000, 250);
        }
        let path = format!("savepoints/{run}");
        block_on(fed.job.savepoint(SavepointRequest::new(path.clone()).suspend())).unwrap();
        let status = block_on(fed.job.wait()).unwrap().status;
        assert_eq!(status.state, JobState::Suspended, "{status:?}");
        savepoint = Some(path);
    }
}

/// Lets numbers through whose last digit no rule forbids.
#[derive(Clone, Default)]
struct Allowed {
    forbidden: BroadcastState<u64, ()>,
}

impl BroadcastProcessFunction<u64, u64> for Allowed {
    type Output = u64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.forbidden = context.broadcast_state("forbidden");
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        let forbidden = context.broadcast_state(&self.forbidden)?;
        if !forbidden.contains_key(&(number % 10)) {
            out.collect(number);
        }
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        rule: u64,
        context: &mut BroadcastContext<'_>,
        _out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        context.broadcast_state(&self.forbidden)?.insert(rule, ())?;
        Ok(())
    }
}

/// The longer split goes to the first subtask, which so ends when numbers are read up to here.
const SPLIT: u64 = 480;
const HALF: u64 = 500;
const LONG: u64 = 900;

/// The first of two subtasks has finished, with the rules, and so left none; its number gets records again.
#[test]
fn a_subtask_in_place_of_one_that_had_finished_gets_the_rules_of_another() {
    for parallelism in [1, 2, 3] {
        let storage = MemoryCheckpointStorage::new();
        let (hold, (sink, results)) = (Hold::at(HALF), CollectSink::new());
        let describe = |parallelism| {
            let env = environment(parallelism, storage.clone());
            let numbers = HeldSource::new([0..SPLIT, SPLIT..LONG], &hold);
            let numbers = env.from_source(numbers, "numbers").uid("numbers");
            let rules = env.from_source(SequenceSource::new(0..3), "rules").uid("rules");
            let allowed = numbers.connect_broadcast(&rules).process(Allowed::default());
            allowed.uid("allowed").sink_to(sink.clone()).uid("results");
            block_on(env.execute_async("test")).unwrap()
        };
        let first = describe(2);
        wait_for(&first, |status| {
            status.checkpoints.completed > 0 && finished(&storage) == [true, false]
        });
        first.cancel();
        let _ = block_on(first.wait());

        hold.allow(u64::MAX);
        let second = describe(parallelism);
        let status = block_on(second.wait()).unwrap().status;
        assert_eq!(status.state, JobState::Finished, "{status:?}");
        let mut late: Vec<u64> = results
            .take()
            .into_iter()
            .filter(|number| *number >= HALF)
            .collect();
        late.sort_unstable();
        let expected: Vec<u64> = (HALF..LONG).filter(|number| number % 10 >= 3).collect();
        assert_eq!(late, expected, "x{parallelism}");
    }
}

/// Which subtasks of the function had finished in the newest checkpoint.
fn finished(storage: &MemoryCheckpointStorage) -> Vec<bool> {
    let manifest = newest_manifest(storage);
    let stored = manifest
        .operators
        .iter()
        .find(|(uid, _)| uid.as_str() == "allowed");
    let subtasks = stored.map_or(&[][..], |(_, stored)| &stored.subtasks);
    subtasks.iter().map(|subtask| subtask.finished).collect()
}
