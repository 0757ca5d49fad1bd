//! One function with states of all kinds does the same on every backend.

use crate::support::panic_at;
use futures::executor::block_on;
use snapline::Result;
use snapline::backends::file::FileStateBackend;
use snapline::prelude::*;
use snapline::state::{Slot, StateBackend};
use std::collections::BTreeSet;
use std::time::Duration;

/// The state backend that a chapter of the documentation writes, as it stands there.
#[path = "../../../../examples/plugins/custom-state/src/lib.rs"]
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    missing_debug_implementations,
    unreachable_pub,
    reason = "it is a crate with rules of its own"
)]
mod sorted;

const KEYS: u64 = 97;
const NUMBERS: u64 = 20_000;

#[derive(Clone, Copy)]
struct Average;

impl AggregateFunction for Average {
    type Input = u64;
    type Accumulator = (u64, u64);
    type Output = u64;

    fn create_accumulator(&self) -> (u64, u64) {
        (0, 0)
    }

    fn add(&self, (sum, count): &mut (u64, u64), value: u64) {
        *sum += value;
        *count += 1;
    }

    fn result(&self, (sum, count): &(u64, u64)) -> u64 {
        sum / count
    }
}

/// Keeps something of its numbers in a state of each kind, and tells it when the data end.
#[derive(Clone, Default)]
struct Everything {
    largest: ValueState<u64, u64>,
    lasting: ValueState<u64, u64>,
    hundreds: ListState<u64, u64>,
    digits: MapState<u64, u64, u64>,
    xor: ReducingState<u64, u64>,
    average: AggregatingState<u64, Average>,
}

impl KeyedProcessFunction<u64, u64> for Everything {
    type Output = String;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        let ttl = StateTtl::new(Duration::from_secs(100_000));
        let lasting = StateDescriptor::new("lasting").time_to_live(ttl, context.clock());
        self.largest = context.value_state("largest");
        self.lasting = context.value_state(lasting);
        self.hundreds = context.list_state("hundreds");
        self.digits = context.map_state("digits");
        self.xor = context.reducing_state("xor", |xor, more| *xor ^= more);
        self.average = context.aggregating_state("average", Average);
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, String>,
    ) -> Result<()> {
        let largest = self.largest.value(context)?.unwrap_or(0);
        self.largest.update(context, largest.max(number))?;
        self.lasting.modify(context, |slot| match slot {
            Slot::Occupied(count) => *count += 1,
            Slot::Vacant(vacant) => *vacant = Some(1),
        })?;
        if number % 100 < 10 {
            self.hundreds.add(context, number)?;
        }
        let digit = number % 10;
        let so_far = self.digits.get(context, &digit)?.unwrap_or(0);
        match so_far {
            2 => _ = self.digits.remove(context, &digit)?,
            _ => self.digits.put(context, digit, so_far + 1)?,
        }
        self.xor.add(context, number)?;
        self.average.add(context, number)?;
        context.register_event_time_timer(Timestamp::MAX)?;
        context.register_event_time_timer(Timestamp(number as i64))?;
        context.delete_event_time_timer(Timestamp(number as i64))
    }

    fn on_timer(
        &mut self,
        _: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, String>,
    ) -> Result<()> {
        let key = *context.current_key();
        let hundreds: BTreeSet<u64> = self.hundreds.items(context)?.into_iter().collect();
        out.collect(format!(
            "{}: {:?} {:?} {hundreds:?} {:?} {:?} {:?}",
            key,
            self.largest.value(context)?,
            self.lasting.value(context)?,
            self.digits.entries(context)?,
            self.xor.value(context)?,
            self.average.result(context)?,
        ));
        Ok(())
    }
}

/// What comes out when a task has panicked on the way.
fn told_on(backend: impl StateBackend) -> Vec<String> {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(2)
        .checkpoint_storage(MemoryCheckpointStorage::new())
        .state_backend(backend)
        .restart(RestartSettings::FixedDelay {
            attempts: 20,
            delay_ms: 0,
        })
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    let (sink, told) = CollectSink::new();
    let fail = panic_at(NUMBERS / 2);
    env.from_source(SequenceSource::new(0..NUMBERS), "numbers")
        .map(move |number| {
            fail(number);
            number
        })
        .key_by(|number| number % KEYS)
        .process(Everything::default())
        .sink_to(sink);
    let status = block_on(env.execute("test")).unwrap().status;
    assert_eq!(
        (status.state, status.restarts),
        (JobState::Finished, 1),
        "{status:?}"
    );
    let mut told = told.take();
    told.sort_unstable();
    told
}

#[test]
fn one_function_with_states_of_all_kinds_does_the_same_on_every_backend() {
    let in_memory = told_on(MemoryStateBackend::new());
    assert_eq!(in_memory.len(), KEYS as usize);
    let folder = tempfile::tempdir().unwrap();
    let on_disk = FileStateBackend::builder(folder.path())
        .memory_bytes(2 << 20)
        .build();
    assert!(in_memory == told_on(on_disk), "{in_memory:?}");
    assert!(in_memory == told_on(sorted::SortedBackend), "{in_memory:?}");
}
