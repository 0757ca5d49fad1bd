//! Functions with state per key: what the states mean, and that failures leave no trace in them.

use crate::support::{assert_exactly_once, cancel_after_checkpoints, environment, panic_at, run};
use futures::executor::block_on;
use snapline::prelude::*;
use snapline::state::Slot;
use snapline::{ErrorKind, Result};

const KEYS: u64 = 97;
const NUMBERS: u64 = 20_000;

#[derive(Clone, Copy)]
struct Sum;

impl AggregateFunction for Sum {
    type Input = u64;
    type Accumulator = u64;
    type Output = u64;

    fn create_accumulator(&self) -> u64 {
        0
    }

    fn add(&self, sum: &mut u64, value: u64) {
        *sum += value;
    }

    fn result(&self, sum: &u64) -> u64 {
        *sum
    }
}

/// Counts the records of each key five times over, in a state of each kind, and emits the count if
/// all of them agree.
#[derive(Clone, Default)]
struct CountFiveTimes {
    value: ValueState<u64, u64>,
    recent: ListState<u64, u64>,
    parities: MapState<u64, bool, u64>,
    reduced: ReducingState<u64, u64>,
    sum: AggregatingState<u64, Sum>,
}

impl KeyedProcessFunction<u64, u64> for CountFiveTimes {
    type Output = (u64, u64);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.value = context.value_state("value");
        self.recent = context.list_state("recent");
        self.parities = context.map_state("parities");
        self.reduced = context.reducing_state("reduced", |count, more| *count += more);
        self.sum = context.aggregating_state("sum", Sum);
        Ok(())
    }

    fn process_element(
        &mut self,
        _number: u64,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, u64)>,
    ) -> Result<()> {
        let count = self.value.value(context)?.unwrap_or(0) + 1;
        self.value.update(context, count)?;
        self.recent.add(context, count)?;
        let recent = self.recent.items(context)?;
        if recent.len() > 3 {
            self.recent.update(context, recent[1..].to_vec())?;
        }
        let parity = count % 2 == 0;
        self.parities.modify(context, parity, |slot| match slot {
            Slot::Occupied(count) => *count += 1,
            Slot::Vacant(vacant) => *vacant = Some(1),
        })?;
        self.reduced.add(context, 1)?;
        self.sum.add(context, 1)?;
        let of_map: u64 = self.parities.entries(context)?.values().sum();
        let others = [
            recent.last().copied(),
            Some(of_map),
            self.reduced.value(context)?,
            self.sum.result(context)?,
        ];
        assert!(others.iter().all(|other| *other == Some(count)), "{others:?}");
        out.collect((*context.current_key(), count));
        Ok(())
    }
}

#[test]
fn states_of_every_kind_are_as_if_nothing_had_failed() {
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
                .key_by(|number| number % KEYS)
                .process(CountFiveTimes::default())
                .uid("counts")
                .sink_to(sink);
            let status = run(&env).unwrap().status;
            assert_eq!(
                (status.state, status.restarts),
                (JobState::Finished, 1),
                "{status:?}"
            );
            assert_exactly_once(&results.take(), NUMBERS);
        }
    }
}

/// Each run takes two checkpoints at least, has a task that panics, and is cancelled; the last one ends.
#[test]
fn states_of_every_kind_go_on_at_any_parallelism() {
    const LONG: u64 = 200_000;
    for sequence in [[1, 2, 3, 1], [4, 2, 1, 3]] {
        let storage = MemoryCheckpointStorage::new();
        let (sink, results) = CollectSink::new();
        for (run, parallelism) in sequence.into_iter().enumerate() {
            let env = environment(parallelism, storage.clone());
            let fail = panic_at(5_000);
            env.from_source(SequenceSource::new(0..LONG), "numbers")
                .map(move |number| {
                    fail(number);
                    number
                })
                .key_by(|number| number % KEYS)
                .process(CountFiveTimes::default())
                .uid("counts")
                .sink_to(sink.clone())
                .uid("results");
            let handle = block_on(env.execute_async("test")).unwrap();
            if run + 1 < sequence.len() {
                cancel_after_checkpoints(&handle, run > 0);
            }
            let _ = block_on(handle.wait());
            assert_eq!(
                handle.status().restored.is_some(),
                run > 0,
                "{:?}",
                handle.status()
            );
        }
        assert_exactly_once(&results.take(), LONG);
    }
}

#[test]
fn a_closure_may_register_states_and_emit_what_it_likes() {
    let env = environment(2, MemoryCheckpointStorage::new());
    let (sink, results) = CollectSink::new();
    env.from_source(SequenceSource::new(0..1_000), "numbers")
        .key_by(|number| number % 10)
        .process_with(|context| {
            let seen = context.list_state("seen");
            move |number, context, out| {
                seen.add(context, number)?;
                if seen.read(context, <[u64]>::len)? == 10 {
                    out.collect(seen.items(context)?.into_iter().sum::<u64>());
                    seen.clear(context)?;
                }
                Ok(())
            }
        })
        .sink_to(sink);
    run(&env).unwrap();
    let results = results.take();
    assert_eq!(results.len(), 100);
    assert_eq!(results.into_iter().sum::<u64>(), (0..1_000).sum::<u64>());
}

#[test]
fn a_state_that_was_not_registered_says_so() {
    #[derive(Clone, Default)]
    struct Forgetful(ValueState<u64, u64>);

    impl KeyedProcessFunction<u64, u64> for Forgetful {
        type Output = u64;

        fn process_element(
            &mut self,
            number: u64,
            context: &mut ProcessContext<'_, u64>,
            _out: &mut Collector<'_, u64>,
        ) -> Result<()> {
            self.0.update(context, number)
        }
    }

    let env = StreamExecutionEnvironment::builder().build().unwrap();
    let (sink, _) = CollectSink::<u64>::new();
    env.from_source(SequenceSource::new(0..10), "numbers")
        .key_by(|number| *number)
        .process(Forgetful::default())
        .sink_to(sink);
    let error = run(&env).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("register it in `open`"), "{error}");
}
