//! Functions with a broadcast side, on the harness.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use snapline_core::{Result, Timestamp};
use snapline_dataflow::{
    BroadcastContext, BroadcastProcessFunction, BroadcastState, Collector, DataStream, KeyedBroadcastContext,
    KeyedBroadcastProcessFunction, KeyedProcessFunction, ProcessContext, RecordContext, RuntimeContext,
    TimeDomain, ValueState,
};
use snapline_testkit::harness::{HarnessSnapshot, OperatorHarness};

/// What is pushed: a record of a key, or a rule for one.
type Pushed = (u8, String, i64);
const RECORD: u8 = 0;
const RULE: u8 = 1;
/// Removes a rule, or all of them.
const REMOVE: u8 = 2;
const CLEAR: u8 = 3;
/// Says what every key has.
const TELL: u8 = 4;

fn pushed(kind: u8, name: &str, number: i64) -> Pushed {
    (kind, name.to_owned(), number)
}

/// Sums numbers per key, times the factor that the rules have for it, 1 without any. Rules add up, so that one that was
/// lost or came twice shows.
#[derive(Clone, Default)]
struct Weighted {
    factors: BroadcastState<String, i64>,
    sum: ValueState<String, i64>,
}

impl KeyedBroadcastProcessFunction<String, Pushed, Pushed> for Weighted {
    type Output = (String, i64);

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.factors = context.broadcast_state("factors");
        self.sum = context.value_state("sum");
        Ok(())
    }

    fn process_element(
        &mut self,
        (_, key, number): Pushed,
        context: &mut ProcessContext<'_, String>,
        out: &mut Collector<'_, (String, i64)>,
    ) -> Result<()> {
        let factors = context.broadcast_state(&self.factors)?;
        let sum = self.sum.value(context)?.unwrap_or(0);
        let sum = sum + number * factors.get(&key).copied().unwrap_or(1);
        self.sum.update(context, sum)?;
        if let Some(Timestamp(at)) = context.timestamp() {
            context.register_event_time_timer(Timestamp(at + 10))?;
        }
        out.collect((key, sum));
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        (kind, key, number): Pushed,
        context: &mut KeyedBroadcastContext<'_, String>,
        out: &mut Collector<'_, (String, i64)>,
    ) -> Result<()> {
        let mut factors = context.broadcast_state(&self.factors)?;
        match kind {
            RULE => {
                let factor = factors.get(&key).copied().unwrap_or(0) + number;
                factors.insert(key, factor)?;
            }
            REMOVE => drop(factors.remove(&key)?),
            CLEAR => factors.clear(),
            _ => context.apply_to_keyed_state(&self.sum, |context| {
                let sum = self.sum.value(context)?.unwrap_or(0);
                self.sum.update(context, sum + number)?;
                out.collect((context.current_key().clone(), sum + number));
                Ok(())
            })?,
        }
        Ok(())
    }

    /// The sum times the factor of now, negative.
    fn on_timer(
        &mut self,
        _time: Timestamp,
        _domain: TimeDomain,
        context: &mut ProcessContext<'_, String>,
        out: &mut Collector<'_, (String, i64)>,
    ) -> Result<()> {
        let key = context.current_key().clone();
        let factor = context
            .broadcast_state(&self.factors)?
            .get(&key)
            .copied()
            .unwrap_or(1);
        let sum = self.sum.value(context)?.unwrap_or(0);
        out.collect((key, -sum * factor));
        Ok(())
    }
}

fn weighted(stream: DataStream<Pushed>) -> DataStream<(String, i64)> {
    let rules = stream.filter(|(kind, ..)| *kind != RECORD);
    let records = stream.filter(|(kind, ..)| *kind == RECORD);
    let by_key = records.key_by(|(_, key, _)| key.clone());
    by_key.connect_broadcast(&rules).process(Weighted::default())
}

type Weights = OperatorHarness<Pushed, (String, i64)>;

fn harness(parallelism: u32, snapshot: Option<&HarnessSnapshot>) -> Weights {
    let builder = OperatorHarness::builder().parallelism(parallelism);
    let builder = match snapshot {
        Some(snapshot) => builder.restore(snapshot),
        None => builder,
    };
    builder.build(weighted).unwrap()
}

/// Pushes a record of each key and returns what came out, in the order of the keys.
fn ask(harness: &mut Weights, keys: &[&str]) -> Vec<i64> {
    for key in keys {
        harness.push_untimed(pushed(RECORD, key, 1)).unwrap();
    }
    let mut found = harness.take_records();
    found.sort();
    found.into_iter().map(|(_, sum)| sum).collect()
}

const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[test]
fn records_of_every_subtask_see_the_rules_that_have_come() {
    for parallelism in 1..=4 {
        let mut harness = harness(parallelism, None);
        assert_eq!(ask(&mut harness, &KEYS), [1; 6]);
        for key in KEYS {
            harness.push_untimed(pushed(RULE, key, 100)).unwrap();
        }
        assert_eq!(ask(&mut harness, &KEYS), [101; 6], "x{parallelism}");
        assert!(harness.take_records().is_empty(), "a rule emits nothing");
    }
}

#[test]
fn rules_are_restored_in_every_subtask_at_any_parallelism() {
    let mut snapshot = None;
    let mut factor = 0;
    for parallelism in [2, 3, 1, 4, 4] {
        let mut harness = harness(parallelism, snapshot.as_ref());
        for key in KEYS {
            harness.push_untimed(pushed(RULE, key, 5)).unwrap();
        }
        factor += 5;
        let before = ask(&mut harness, &KEYS);
        let after = ask(&mut harness, &KEYS);
        let added: Vec<i64> = after
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect();
        assert_eq!(added, [factor; 6], "x{parallelism}");
        snapshot = Some(harness.snapshot().unwrap());
    }
}

#[test]
fn a_snapshot_has_the_rules_of_its_moment() {
    let mut first = harness(2, None);
    first.push_untimed(pushed(RULE, "a", 10)).unwrap();
    let snapshot = first.snapshot().unwrap();
    first.push_untimed(pushed(RULE, "a", 10)).unwrap();
    assert_eq!(ask(&mut first, &["a"]), [20]);
    assert_eq!(ask(&mut harness(3, Some(&snapshot)), &["a"]), [10]);
}

#[test]
fn rules_that_were_removed_stay_so_after_a_restore() {
    let mut first = harness(2, None);
    for key in KEYS {
        first.push_untimed(pushed(RULE, key, 10)).unwrap();
    }
    first.push_untimed(pushed(REMOVE, "b", 0)).unwrap();
    first.push_untimed(pushed(REMOVE, "never", 0)).unwrap();
    let mut second = harness(1, Some(&first.snapshot().unwrap()));
    assert_eq!(ask(&mut second, &["a", "b", "c"]), [10, 1, 10]);
    second.push_untimed(pushed(CLEAR, "", 0)).unwrap();
    let mut third = harness(2, Some(&second.snapshot().unwrap()));
    assert_eq!(ask(&mut third, &["a", "b", "d"]), [11, 2, 1]);
}

#[test]
fn timers_see_the_rules_of_when_they_fire_also_after_a_restore() {
    let mut first = harness(2, None);
    first.push(pushed(RECORD, "a", 3), 0).unwrap();
    first.push(pushed(RECORD, "b", 4), 0).unwrap();
    let mut second = harness(3, Some(&first.snapshot().unwrap()));
    second.push(pushed(RULE, "b", 2), 5).unwrap();
    second.watermark(10).unwrap();
    let mut fired = second.take_timed();
    fired.sort();
    let at = Some(Timestamp(10));
    assert_eq!(
        fired,
        [("a".to_owned(), -3, at), ("b".to_owned(), -8, at)].map(|(key, sum, at)| ((key, sum), at))
    );
}

#[test]
fn a_broadcast_record_can_change_the_state_of_every_key() {
    for parallelism in 1..=3 {
        let mut first = harness(parallelism, None);
        assert_eq!(ask(&mut first, &KEYS), [1; 6]);
        first.push_untimed(pushed(TELL, "", 10)).unwrap();
        let mut told = first.take_records();
        told.sort();
        assert_eq!(
            told,
            KEYS.map(|key| (key.to_owned(), 11)),
            "each key once, x{parallelism}"
        );
        let mut second = harness(2, Some(&first.snapshot().unwrap()));
        assert_eq!(ask(&mut second, &KEYS), [12; 6]);
    }
}

/// Knows no rules, and lets the numbers of its keys be.
#[derive(Clone)]
struct Forgetful;

impl KeyedBroadcastProcessFunction<String, Pushed, Pushed> for Forgetful {
    type Output = (String, i64);

    fn process_element(
        &mut self,
        _: Pushed,
        _: &mut ProcessContext<'_, String>,
        _: &mut Collector<'_, (String, i64)>,
    ) -> Result<()> {
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        _: Pushed,
        _: &mut KeyedBroadcastContext<'_, String>,
        _: &mut Collector<'_, (String, i64)>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn rules_that_nobody_asks_for_are_in_the_next_snapshot() {
    let mut first = harness(2, None);
    assert_eq!(ask(&mut first, &["a"]), [1]);
    first.push_untimed(pushed(RULE, "a", 10)).unwrap();
    let snapshot = first.snapshot().unwrap();
    let forgets = |stream: DataStream<Pushed>| {
        let rules = stream.filter(|(kind, ..)| *kind != RECORD);
        let records = stream.filter(|(kind, ..)| *kind == RECORD);
        let by_key = records.key_by(|(_, key, _)| key.clone());
        by_key.connect_broadcast(&rules).process(Forgetful)
    };
    let builder = OperatorHarness::builder().parallelism(3).restore(&snapshot);
    let snapshot = builder.build(forgets).unwrap().snapshot().unwrap();
    assert_eq!(ask(&mut harness(2, Some(&snapshot)), &["a"]), [11]);
}

/// Lets numbers through that no rule forbids, and says from how many subtasks it was told.
#[derive(Clone, Default)]
struct Allowed {
    forbidden: BroadcastState<i64, ()>,
}

impl BroadcastProcessFunction<i64, i64> for Allowed {
    type Output = i64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.forbidden = context.broadcast_state("forbidden");
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        if !context.broadcast_state(&self.forbidden)?.contains_key(&number) {
            out.collect(number);
        }
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        rule: i64,
        context: &mut BroadcastContext<'_>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        context.broadcast_state(&self.forbidden)?.insert(-rule, ())?;
        out.collect(rule);
        Ok(())
    }
}

fn allowed(numbers: DataStream<i64>) -> DataStream<i64> {
    let rules = numbers.filter(|number| *number < 0);
    let numbers = numbers.filter(|number| *number >= 0);
    numbers
        .rebalance()
        .connect_broadcast(&rules)
        .process(Allowed::default())
}

#[test]
fn a_stream_without_keys_sees_the_rules_too_at_any_parallelism() {
    let mut snapshot: Option<HarnessSnapshot> = None;
    for (parallelism, rule) in [(2, -1), (3, -2), (1, -3)] {
        let builder = OperatorHarness::builder().parallelism(parallelism);
        let builder = match &snapshot {
            Some(snapshot) => builder.restore(snapshot),
            None => builder,
        };
        let mut harness = builder.build(allowed).unwrap();
        harness.push(rule, 7).unwrap();
        let told = vec![(rule, Some(Timestamp(7))); parallelism as usize];
        assert_eq!(harness.take_timed(), told, "all subtasks are told");
        for number in [1, 2, 3, 1, 2, 3, 9] {
            harness.push_untimed(number).unwrap();
        }
        let mut passed = harness.take_records();
        passed.sort_unstable();
        let mut expected: Vec<i64> = [1, 1, 2, 2, 3, 3, 9].into();
        expected.retain(|number| -number < rule);
        assert_eq!(passed, expected, "x{parallelism}");
        snapshot = Some(harness.snapshot().unwrap());
    }
}

/// Registers states in a way that is a mistake for its kind of function.
#[derive(Clone)]
struct Mistaken(fn(&mut RuntimeContext));

impl KeyedProcessFunction<i64, i64> for Mistaken {
    type Output = i64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        (self.0)(context);
        Ok(())
    }

    fn process_element(
        &mut self,
        _number: i64,
        _context: &mut ProcessContext<'_, i64>,
        _out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        Ok(())
    }
}

impl KeyedBroadcastProcessFunction<i64, i64, i64> for Mistaken {
    type Output = i64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        (self.0)(context);
        Ok(())
    }

    fn process_element(
        &mut self,
        _number: i64,
        _context: &mut ProcessContext<'_, i64>,
        _out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        _rule: i64,
        _context: &mut KeyedBroadcastContext<'_, i64>,
        _out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn states_that_do_not_fit_the_function_are_refused_with_a_way_out() {
    let keyed = |open: fn(&mut RuntimeContext)| {
        let describe = |numbers: DataStream<i64>| numbers.key_by(|number| *number).process(Mistaken(open));
        OperatorHarness::new(describe).unwrap_err().to_string()
    };
    let refused = keyed(|context| _ = context.broadcast_state::<u8, u8>("rules"));
    assert!(refused.contains(".connect_broadcast("), "{refused}");
    let refused = keyed(|context| _ = context.operator_list_state::<u8>("items"));
    assert!(refused.contains(".list_state("), "{refused}");

    let broadcast = |open: fn(&mut RuntimeContext)| {
        let describe = |numbers: DataStream<i64>| {
            let keyed = numbers.key_by(|number| *number);
            keyed.connect_broadcast(&numbers).process(Mistaken(open))
        };
        OperatorHarness::new(describe).map(drop)
    };
    let refused = broadcast(|context| {
        _ = context.broadcast_state::<u8, u8>("rules");
        _ = context.broadcast_state::<u8, u16>("rules");
    });
    let refused = refused.unwrap_err();
    assert_eq!(refused.context("state"), Some("rules"), "{refused}");
    broadcast(|context| {
        _ = context.broadcast_state::<u8, u8>("rules");
        _ = context.broadcast_state::<u8, u8>("rules");
        _ = context.broadcast_state::<u8, u16>("others");
    })
    .unwrap();
}
