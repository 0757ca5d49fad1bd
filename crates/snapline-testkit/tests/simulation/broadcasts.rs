//! Jobs with operator state: rules that all subtasks are told, and lists of subtasks.

use snapline_core::{AlignmentSettings, Result, Timestamp};
use snapline_dataflow::{
    BroadcastContext, BroadcastProcessFunction, BroadcastState, Collector, KeyedBroadcastContext,
    KeyedBroadcastProcessFunction, OperatorListState, ProcessContext, ProcessFunction, RecordContext,
    RuntimeContext, SnapshotContext, TimeDomain, ValueState,
};
use snapline_testkit::simulation::{Report, Simulation};
use std::ops::Range;

const RECORDS: u64 = 60;
const RULES: u64 = 40;
const KEYS: u64 = 7;
const ALIGNMENTS: [AlignmentSettings; 2] = [AlignmentSettings::Aligned, AlignmentSettings::Unaligned];

fn of_key(numbers: u64, key: u64) -> u64 {
    (0..numbers).filter(|number| number % KEYS == key).count() as u64
}

/// Counts the rules for a number. A rule that is lost, or comes twice, shows in the count.
fn note(rules: &mut snapline_dataflow::BroadcastStateMut<'_, u64, u64>, rule: u64) -> Result<()> {
    let times = rules.get(&(rule % KEYS)).copied().unwrap_or(0);
    rules.insert(rule % KEYS, times + 1).map(drop)
}

/// Counts the records of each key, and at the end of the data tells the count with that of its rules.
#[derive(Clone, Default)]
struct Ruled {
    rules: BroadcastState<u64, u64>,
    count: ValueState<u64, u64>,
}

impl KeyedBroadcastProcessFunction<u64, u64, u64> for Ruled {
    type Output = (u64, u64, u64);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.rules = context.broadcast_state("rules");
        self.count = context.value_state("count");
        Ok(())
    }

    fn process_element(
        &mut self,
        _: u64,
        context: &mut ProcessContext<'_, u64>,
        _: &mut Collector<'_, (u64, u64, u64)>,
    ) -> Result<()> {
        let count = self.count.value(context)?.unwrap_or(0);
        self.count.update(context, count + 1)?;
        context.register_event_time_timer(Timestamp(1))
    }

    fn process_broadcast_element(
        &mut self,
        rule: u64,
        context: &mut KeyedBroadcastContext<'_, u64>,
        _: &mut Collector<'_, (u64, u64, u64)>,
    ) -> Result<()> {
        note(&mut context.broadcast_state(&self.rules)?, rule)
    }

    fn on_timer(
        &mut self,
        _: Timestamp,
        _: TimeDomain,
        context: &mut ProcessContext<'_, u64>,
        out: &mut Collector<'_, (u64, u64, u64)>,
    ) -> Result<()> {
        let key = *context.current_key();
        let rules = context.broadcast_state(&self.rules)?.get(&key).copied();
        out.collect((key, self.count.value(context)?.unwrap_or(0), rules.unwrap_or(0)));
        Ok(())
    }
}

/// Rules beside keyed records, in all subtasks alike.
pub(crate) fn rules_beside_keys(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            let numbers = env.from_source(world.source(0..RECORDS), "numbers");
            let rules = env.from_source(world.source(0..RULES), "rules");
            let by_key = numbers.key_by(|number| number % KEYS);
            let ruled = by_key.connect_broadcast(&rules).process(Ruled::default());
            ruled.sink_to(world.sink());
        })
        .expect_exactly_once((0..KEYS).map(|key| (key, of_key(RECORDS, key), of_key(RULES, key))))
}

/// Lets records through, and at the end of the data one subtask tells how many rules there are of each number.
#[derive(Clone, Default)]
struct Passes {
    is_first: bool,
    rules: BroadcastState<u64, u64>,
    has_told: OperatorListState<()>,
}

impl BroadcastProcessFunction<u64, u64> for Passes {
    type Output = (u64, u64);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.is_first = context.subtask().0 == 0;
        self.rules = context.broadcast_state("rules");
        self.has_told = context.operator_list_state("has told");
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, (u64, u64)>,
    ) -> Result<()> {
        out.collect((number, 0));
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        rule: u64,
        context: &mut BroadcastContext<'_>,
        _: &mut Collector<'_, (u64, u64)>,
    ) -> Result<()> {
        note(&mut context.broadcast_state(&self.rules)?, rule)
    }

    fn finish(&mut self, context: &mut RecordContext<'_>, out: &mut Collector<'_, (u64, u64)>) -> Result<()> {
        if self.is_first && self.has_told.items(context)?.is_empty() {
            self.has_told.add(context, &())?;
            let rules = context.broadcast_state(&self.rules)?.iter();
            rules.for_each(|(number, times)| out.collect((RECORDS + number, *times)));
        }
        Ok(())
    }
}

/// The same beside records without keys, some of whose subtasks end before others.
pub(crate) fn rules_without_keys(seeds: Range<u64>) -> Report {
    let counts = (0..KEYS).map(|key| (RECORDS + key, of_key(RULES, key)));
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            let numbers = env.from_source(world.source(0..RECORDS), "numbers");
            let rules = env.from_source(world.source(0..RULES), "rules");
            let passed = numbers
                .rebalance()
                .connect_broadcast(&rules)
                .process(Passes::default());
            passed.sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS).map(|number| (number, 0)).chain(counts))
}

/// Sends numbers on by the dozen.
#[derive(Clone, Default)]
struct ByTheDozen {
    waiting: Vec<u64>,
    stored: OperatorListState<u64>,
}

impl ProcessFunction<u64> for ByTheDozen {
    type Output = Vec<u64>;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.stored = context.operator_list_state("waiting");
        self.waiting = self.stored.items(context)?;
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, Vec<u64>>,
    ) -> Result<()> {
        self.waiting.push(number);
        if self.waiting.len() >= 12 {
            out.collect(std::mem::take(&mut self.waiting));
        }
        Ok(())
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
        self.stored.update(context, &self.waiting)
    }

    fn finish(&mut self, _: &mut RecordContext<'_>, out: &mut Collector<'_, Vec<u64>>) -> Result<()> {
        out.collect(std::mem::take(&mut self.waiting));
        Ok(())
    }
}

/// What waits in the fields of a function.
pub(crate) fn waiting_in_lists(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            let numbers = env.from_source(world.source(0..RECORDS), "numbers");
            let dozens = numbers.rebalance().process(ByTheDozen::default());
            let each = dozens.flat_map(|dozen, out| dozen.into_iter().for_each(|number| out.collect(number)));
            each.sink_to(world.sink());
        })
        .expect_exactly_once(0..RECORDS)
}
