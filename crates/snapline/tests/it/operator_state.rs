//! Operator state of functions without keys in whole jobs: through panics, and rescaled from savepoints.

use crate::support::{environment, panic_at, run, wait_for};
use futures::executor::block_on;
use snapline::Result;
use snapline::core::{ClaimMode, Data};
use snapline::dataflow::SavepointRequest;
use snapline::prelude::*;
use std::fmt::Display;
use std::time::Duration;

const NUMBERS: u64 = 20_000;
const AT_ONCE: usize = 100;

/// Sends numbers on by the hundred, and with each hundred how many subtasks there are and which there had been at the
/// restore.
#[derive(Clone, Default)]
struct ByTheHundred {
    subtask: u32,
    parallelism: u32,
    waiting: Vec<u64>,
    stored: OperatorListState<u64>,
    before: Vec<u32>,
    subtasks: OperatorListState<u32>,
}

type Hundred = (Vec<u64>, u32, Vec<u32>);

impl ProcessFunction<u64> for ByTheHundred {
    type Output = Hundred;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.subtask = context.subtask().0;
        self.parallelism = context.parallelism();
        self.stored = context.operator_list_state("waiting");
        self.waiting = self.stored.items(context)?;
        self.subtasks = context.operator_union_list_state("subtasks");
        self.before = self.subtasks.items(context)?;
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        _context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Hundred>,
    ) -> Result<()> {
        self.waiting.push(number);
        if self.waiting.len() >= AT_ONCE {
            self.send(out);
        }
        Ok(())
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
        self.stored.update(context, &self.waiting)?;
        self.subtasks.update(context, &[self.subtask])
    }

    fn finish(&mut self, _context: &mut RecordContext<'_>, out: &mut Collector<'_, Hundred>) -> Result<()> {
        if !self.waiting.is_empty() {
            self.send(out);
        }
        Ok(())
    }
}

impl ByTheHundred {
    fn send(&mut self, out: &mut Collector<'_, Hundred>) {
        let hundred = std::mem::take(&mut self.waiting);
        out.collect((hundred, self.parallelism, self.before.clone()));
    }
}

fn assert_each_once(hundreds: &[Hundred], numbers: u64) {
    let mut all: Vec<u64> = hundreds
        .iter()
        .flat_map(|(numbers, ..)| numbers)
        .copied()
        .collect();
    all.sort_unstable();
    assert!(
        all.iter().copied().eq(0..numbers),
        "{} of {numbers} numbers",
        all.len()
    );
}

#[test]
fn what_waits_in_a_field_is_as_if_nothing_had_failed() {
    for parallelism in [1, 2, 4] {
        for share in [1, 5, 9] {
            let env = environment(parallelism, MemoryCheckpointStorage::new());
            let (sink, results) = CollectSink::new();
            let fail = panic_at(NUMBERS * share / 10);
            env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
                .map(move |number| {
                    fail(number);
                    number
                })
                .rebalance()
                .process(ByTheHundred::default())
                .uid("hundreds")
                .sink_to(sink);
            let status = run(&env).unwrap().status;
            assert_eq!(
                (status.state, status.restarts),
                (JobState::Finished, 1),
                "{status:?}"
            );
            let hundreds = results.take();
            assert_each_once(&hundreds, NUMBERS);
            let whole = hundreds
                .iter()
                .filter(|(numbers, ..)| numbers.len() == AT_ONCE)
                .count();
            assert!(hundreds.len() - whole <= parallelism as usize);
        }
    }
}

/// 190 numbers in each run, so that there is always something left that waits.
const EACH: u64 = 190;

/// Runs the job with these numbers until there is a savepoint, or to its end.
fn run_on(
    storage: &MemoryCheckpointStorage,
    sink: &CollectSink<Hundred>,
    parallelism: u32,
    [from, to]: [Option<&str>; 2],
    numbers: std::ops::Range<u64>,
) {
    let builder = StreamExecutionEnvironment::builder()
        .parallelism(parallelism)
        .checkpoint_storage(storage.clone());
    let builder = match from {
        Some(path) => builder.restore_from(path, ClaimMode::NoClaim),
        None => builder,
    };
    let env = builder.build().unwrap();
    env.enable_checkpointing(Duration::from_secs(600));
    let (feed, source) = ChannelSource::bounded(1 << 12);
    env.from_source(source, "numbers")
        .uid("numbers")
        .rebalance()
        .process(ByTheHundred::default())
        .uid("hundreds")
        .sink_to(sink.clone())
        .uid("results");
    let job = block_on(env.execute_async(&format!("from {from:?}"))).unwrap();
    numbers.for_each(|number| block_on(feed.send(number)).unwrap());
    wait_for(&job, |status| status.records >= EACH);
    if let Some(path) = to {
        block_on(job.savepoint(SavepointRequest::new(path).suspend())).unwrap();
    }
    drop(feed);
    block_on(job.wait()).unwrap();
}

#[test]
fn split_and_union_lists_go_from_savepoint_to_savepoint_at_any_parallelism() {
    let storage = MemoryCheckpointStorage::new();
    let (sink, results) = CollectSink::new();
    let paths = ["savepoints/1", "savepoints/2", "savepoints/3"].map(Some);
    let [first, second, third] = paths;
    let runs = [
        (2, [None, first]),
        (4, [first, second]),
        (1, [second, third]),
        (3, [third, None]),
    ];
    for (run, (parallelism, savepoints)) in (0..).zip(runs) {
        run_on(
            &storage,
            &sink,
            parallelism,
            savepoints,
            run * EACH..(run + 1) * EACH,
        );
    }
    let hundreds = results.take();
    assert_each_once(&hundreds, 4 * EACH);
    for (_, parallelism, before) in hundreds {
        let expected = [(2, 0), (4, 2), (1, 4), (3, 1)]
            .into_iter()
            .find(|(now, _)| *now == parallelism);
        let subtasks = expected.map_or(0, |(_, before)| before);
        assert!(
            before.iter().copied().eq(0..subtasks),
            "x{parallelism}: {before:?}"
        );
    }
}

/// Adds an item for each number, and sends on what there is.
#[derive(Clone)]
struct Adding<T> {
    descriptor: fn() -> StateDescriptor<T>,
    item: T,
    items: OperatorListState<T>,
}

impl<T: Data + Display> ProcessFunction<u64> for Adding<T> {
    type Output = Vec<String>;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.items = context.operator_list_state((self.descriptor)());
        Ok(())
    }

    fn process_element(
        &mut self,
        _number: u64,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Vec<String>>,
    ) -> Result<()> {
        self.items.add(context, &self.item)?;
        let items = self.items.items(context)?;
        out.collect(items.iter().map(T::to_string).collect());
        Ok(())
    }
}

/// Adds one item to those of a savepoint, and says what there is then.
fn add_one<T: Data + Display + Sync>(
    storage: &MemoryCheckpointStorage,
    descriptor: fn() -> StateDescriptor<T>,
    item: T,
    [from, to]: [Option<&str>; 2],
) -> Result<Vec<String>> {
    let builder = StreamExecutionEnvironment::builder()
        .checkpoint_storage(storage.clone())
        .parallelism(1)
        .restart(RestartSettings::None);
    let builder = match from {
        Some(path) => builder.restore_from(path, ClaimMode::NoClaim),
        None => builder,
    };
    let env = builder.build()?;
    env.enable_checkpointing(Duration::from_secs(600));
    let (feed, source) = ChannelSource::bounded(10);
    let (sink, results) = CollectSink::new();
    let function = Adding {
        descriptor,
        item,
        items: OperatorListState::default(),
    };
    env.from_source(source, "numbers")
        .uid("numbers")
        .process(function)
        .uid("adding")
        .sink_to(sink)
        .uid("results");
    let job = block_on(env.execute_async(&format!("from {from:?} to {to:?}")))?;
    block_on(feed.send(1))?;
    let status = wait_for(&job, |status| {
        status.records > 0 || status.state == JobState::Failed
    });
    if status.state == JobState::Failed {
        return Err(block_on(job.wait()).err().unwrap());
    }
    if let Some(path) = to {
        block_on(job.savepoint(SavepointRequest::new(path).suspend()))?;
    }
    drop(feed);
    block_on(job.wait())?;
    Ok(results.take().pop().unwrap())
}

#[test]
fn a_list_of_an_older_version_is_migrated_and_one_that_does_not_fit_is_refused() {
    let storage = MemoryCheckpointStorage::new();
    let numbers = || StateDescriptor::new("items");
    let texts = || StateDescriptor::<String>::new("items").version(2);
    let migrating = || {
        let descriptor = StateDescriptor::<String>::new("items").version(2);
        descriptor.migrate(|_, stored| Ok(format!("number {}", snapline::core::decode::<u64>(stored)?)))
    };
    let [first, second] = ["savepoints/1", "savepoints/2"].map(Some);
    assert_eq!(add_one(&storage, numbers, 7_u64, [None, first]).unwrap(), ["7"]);
    let refused = add_one(&storage, texts, "eight".to_owned(), [first, None]).unwrap_err();
    let told = refused.to_string();
    for part in [
        "items",
        "operator: process",
        "version 1",
        "version 2",
        "u64",
        "String",
        "how to migrate",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let found = add_one(&storage, migrating, "eight".to_owned(), [first, second]).unwrap();
    assert_eq!(found, ["number 7", "eight"]);
    let found = add_one(&storage, texts, "nine".to_owned(), [second, None]).unwrap();
    assert_eq!(found, ["number 7", "eight", "nine"]);
    let newer = add_one(&storage, numbers, 7, [second, Some("savepoints/3")]).unwrap_err();
    assert!(newer.to_string().contains("newer version"), "{newer}");
}
