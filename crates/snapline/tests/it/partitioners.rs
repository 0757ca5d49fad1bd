//! Who gets what after a restore, with records in flight and at another parallelism.

use crate::support::{cancel_after_checkpoints, environment, panic_at, run};
use crate::unaligned::{run_until_stuck, unaligned};
use crate::valve::{ValveSink, in_flight, newest_manifest};
use futures::executor::block_on;
use snapline::core::AlignmentSettings;
use snapline::prelude::*;
use snapline::{Error, Result};

const NUMBERS: u64 = 50_000;

/// Fails when a number has come to a subtask to which it does not belong.
#[derive(Clone)]
struct Expect {
    belongs: fn(u64, [u32; 2]) -> bool,
    subtask: [u32; 2],
}

impl ProcessFunction<u64> for Expect {
    type Output = u64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.subtask = [context.subtask().0, context.parallelism()];
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        if !(self.belongs)(number, self.subtask) {
            return Err(Error::invalid("a number is in the wrong subtask").with("number", number));
        }
        out.collect(number);
        Ok(())
    }
}

/// A way to deal numbers out, and which subtask a number belongs to.
type Way = (fn(&DataStream<u64>) -> DataStream<u64>, fn(u64, [u32; 2]) -> bool);

/// The numbers behind an exchange, into a sink with one subtask more than there are before it.
fn describe(env: &StreamExecutionEnvironment, (deal, belongs): Way, sink: ValveSink<u64>) {
    let numbers = env
        .from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .uid("numbers");
    let parallelism = env.settings().parallelism + 1;
    let expected = deal(&numbers).process(Expect {
        belongs,
        subtask: [0, 0],
    });
    expected
        .uid("expected")
        .parallelism(parallelism)
        .sink_to(sink)
        .uid("results")
        .parallelism(parallelism);
}

fn assert_each_once(mut found: Vec<u64>) {
    found.sort_unstable();
    assert!(found.iter().copied().eq(0..NUMBERS), "{} numbers", found.len());
}

const ANYWHERE: fn(u64, [u32; 2]) -> bool = |_, _| true;
const OVERTAKEN: [Way; 4] = [
    (DataStream::rebalance, ANYWHERE),
    (DataStream::shuffle, ANYWHERE),
    (DataStream::global, |_, [subtask, _]| subtask == 0),
    (
        |numbers| numbers.partition_custom(|number, subtasks| (number % u64::from(subtasks)) as u32),
        |number, [subtask, parallelism]| number % u64::from(parallelism) == u64::from(subtask),
    ),
];

#[test]
fn records_in_flight_are_dealt_out_anew_as_their_partitioner_says() {
    for way in OVERTAKEN {
        for sequence in [[1, 3, 3], [4, 2, 1]] {
            let storage = MemoryCheckpointStorage::new();
            let (sink, valve, results) = ValveSink::new();
            for parallelism in sequence {
                let env = unaligned(parallelism, storage.clone(), AlignmentSettings::Unaligned);
                describe(&env, way, sink.clone());
                run_until_stuck(&env, &valve, 10);
                let in_flight = in_flight(&newest_manifest(&storage));
                assert!(
                    in_flight.iter().any(|(uid, _)| uid == "expected"),
                    "{in_flight:?}"
                );
            }
            valve.open();
            let env = unaligned(2, storage, AlignmentSettings::Aligned);
            describe(&env, way, sink);
            run(&env).unwrap();
            assert_each_once(results.take());
        }
    }
}

/// A rescale is pointwise, so barriers do not overtake its records and none are in flight; each run has a task that panics.
#[test]
fn records_between_neighbours_come_once_at_any_parallelism() {
    const LONG: u64 = 200_000;
    for alignment in [AlignmentSettings::Aligned, AlignmentSettings::Unaligned] {
        let storage = MemoryCheckpointStorage::new();
        let (sink, results) = CollectSink::new();
        let sequence = [(2, 4), (4, 2), (2, 3), (3, 3)];
        for (run, (from, to)) in sequence.into_iter().enumerate() {
            let env = environment(from, storage.clone());
            env.configure(|settings| {
                settings.checkpoints.as_mut().unwrap().alignment = alignment;
            });
            let fail = panic_at(5_000);
            env.from_source(SequenceSource::new(0..LONG), "numbers")
                .uid("numbers")
                .rescale()
                .map(move |number| {
                    fail(number);
                    number
                })
                .uid("map")
                .parallelism(to)
                .sink_to(sink.clone())
                .uid("results")
                .parallelism(to);
            let job = block_on(env.execute_async("test")).unwrap();
            if run + 1 < sequence.len() {
                cancel_after_checkpoints(&job, run > 0);
            }
            let _ = block_on(job.wait());
            assert_eq!(job.status().restored.is_some(), run > 0, "{:?}", job.status());
        }
        let mut found = results.take();
        found.sort_unstable();
        assert!(found.iter().copied().eq(0..LONG), "{} numbers", found.len());
    }
}
