//! Functions without keys and their operator state, on the harness.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use snapline_core::{Result, Timestamp, Watermark};
use snapline_dataflow::{
    Collector, DataStream, OperatorListState, ProcessFunction, RecordContext, RuntimeContext, SnapshotContext,
};
use snapline_testkit::harness::{HarnessSnapshot, OperatorHarness};

/// Keeps numbers in a field and in lists of both kinds; a negative number lets each subtask that gets it tell what it has.
#[derive(Clone, Default)]
struct Keeps {
    field: Vec<i64>,
    split: OperatorListState<i64>,
    direct: OperatorListState<i64>,
    union: OperatorListState<(u32, i64)>,
    union_of_all: Vec<(u32, i64)>,
    subtask: u32,
}

/// The field, the list that is written directly, and what the union list had at the start.
type Told = (Vec<i64>, Vec<i64>, Vec<(u32, i64)>);

impl ProcessFunction<i64> for Keeps {
    type Output = Told;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.subtask = context.subtask().0;
        self.split = context.operator_list_state("split");
        self.direct = context.operator_list_state("direct");
        self.union = context.operator_union_list_state("union");
        self.field = self.split.items(context)?;
        self.union_of_all = self.union.items(context)?;
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Told>,
    ) -> Result<()> {
        if number < 0 {
            let direct = self.direct.items(context)?;
            out.collect((self.field.clone(), direct, self.union_of_all.clone()));
            return Ok(());
        }
        self.direct.add(context, &number)?;
        self.field.push(number);
        Ok(())
    }

    fn snapshot(&mut self, context: &mut SnapshotContext<'_>) -> Result<()> {
        self.split.update(context, &self.field)?;
        let own = (self.subtask, self.field.len() as i64);
        self.union.update(context, &[own])
    }

    fn finish(&mut self, _context: &mut RecordContext<'_>, out: &mut Collector<'_, Told>) -> Result<()> {
        out.collect((std::mem::take(&mut self.field), Vec::new(), Vec::new()));
        Ok(())
    }
}

fn keeps(numbers: DataStream<i64>) -> DataStream<Told> {
    numbers.rebalance().process(Keeps::default())
}

fn harness(parallelism: u32, snapshot: Option<&HarnessSnapshot>) -> OperatorHarness<i64, Told> {
    let builder = OperatorHarness::builder().parallelism(parallelism);
    let builder = match snapshot {
        Some(snapshot) => builder.restore(snapshot),
        None => builder,
    };
    builder.build(keeps).unwrap()
}

/// What each subtask has.
fn told(harness: &mut OperatorHarness<i64, Told>, parallelism: u32) -> Vec<Told> {
    (0..parallelism).for_each(|_| harness.push_untimed(-1).unwrap());
    harness.take_records()
}

#[test]
fn each_subtask_finds_its_own_items_at_the_same_parallelism_and_those_of_all_in_a_union() {
    let mut first = harness(2, None);
    (1..=5).for_each(|number| first.push_untimed(number).unwrap());
    let snapshot = first.snapshot().unwrap();
    let mut second = harness(2, Some(&snapshot));
    let union = vec![(0, 3), (1, 2)];
    let expected = [
        (vec![1, 3, 5], vec![1, 3, 5], union.clone()),
        (vec![2, 4], vec![2, 4], union),
    ];
    assert_eq!(told(&mut second, 2), expected);
}

#[test]
fn items_are_dealt_out_anew_when_the_parallelism_changes_and_none_is_lost() {
    let mut now = harness(2, None);
    (1..=7).for_each(|number| now.push_untimed(number).unwrap());
    let mut before = 2;
    for parallelism in [3, 1, 4] {
        let snapshot = now.snapshot().unwrap();
        now = harness(parallelism, Some(&snapshot));
        let found = told(&mut now, parallelism);
        let lists: [fn(&Told) -> &Vec<i64>; 2] = [|told| &told.0, |told| &told.1];
        for list in lists {
            let loads: Vec<usize> = found.iter().map(|told| list(told).len()).collect();
            assert!(
                loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1,
                "{loads:?}"
            );
            let mut all: Vec<i64> = found.iter().flat_map(list).copied().collect();
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4, 5, 6, 7], "x{parallelism}");
        }
        for (.., union) in &found {
            let subtasks: Vec<u32> = union.iter().map(|(subtask, _)| *subtask).collect();
            assert_eq!(
                subtasks,
                (0..before).collect::<Vec<_>>(),
                "each subtask sees those of all of then"
            );
        }
        before = parallelism;
    }
}

#[test]
fn a_snapshot_has_the_items_of_its_moment() {
    let mut first = harness(1, None);
    (1..=3).for_each(|number| first.push_untimed(number).unwrap());
    let snapshot = first.snapshot().unwrap();
    (4..=5).for_each(|number| first.push_untimed(number).unwrap());
    let expected = (vec![1, 2, 3], vec![1, 2, 3], vec![(0, 3)]);
    assert_eq!(told(&mut harness(1, Some(&snapshot)), 1), [expected]);
    assert_eq!(told(&mut first, 1)[0].1, [1, 2, 3, 4, 5]);
}

#[test]
fn what_is_left_is_emitted_at_the_end_of_the_data() {
    let mut harness = harness(1, None);
    (1..=3).for_each(|number| harness.push(number, number).unwrap());
    harness.end().unwrap();
    assert_eq!(harness.take_timed(), [((vec![1, 2, 3], vec![], vec![]), None)]);
}

/// Emits the time of each record and how far event time had come.
#[derive(Clone)]
struct Times;

impl ProcessFunction<i64> for Times {
    type Output = (Option<i64>, Option<i64>, i64);

    fn process_element(
        &mut self,
        _number: i64,
        context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Self::Output>,
    ) -> Result<()> {
        let watermark = Some(context.current_watermark()).filter(|watermark| *watermark > Watermark::MIN);
        let time = context.timestamp().map(|Timestamp(at)| at);
        out.collect((
            time,
            watermark.map(|watermark| watermark.0.0),
            context.processing_time().0,
        ));
        Ok(())
    }
}

#[test]
fn a_function_sees_the_times_of_its_records_and_passes_them_on() {
    let builder = OperatorHarness::builder().clock(50);
    let mut harness = builder
        .build(|numbers: DataStream<i64>| numbers.process(Times))
        .unwrap();
    harness.push(1, 10).unwrap();
    harness.watermark(15).unwrap();
    harness.push(1, 20).unwrap();
    harness.push_untimed(1).unwrap();
    let expected = [
        ((Some(10), None, 50), Some(Timestamp(10))),
        ((Some(20), Some(15), 50), Some(Timestamp(20))),
        ((None, Some(15), 50), None),
    ];
    assert_eq!(harness.take_timed(), expected);
}

/// A function that has kept a union list and does not any more, or does again.
#[derive(Clone, Default)]
struct Forgets {
    wants: bool,
    union: OperatorListState<u32>,
    found: Vec<u32>,
}

impl ProcessFunction<i64> for Forgets {
    type Output = Vec<u32>;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        if self.wants {
            self.union = context.operator_union_list_state("union");
            self.found = self.union.items(context)?;
            self.union.update(context, &[context.subtask().0])?;
        }
        Ok(())
    }

    fn process_element(
        &mut self,
        _number: i64,
        _context: &mut RecordContext<'_>,
        out: &mut Collector<'_, Vec<u32>>,
    ) -> Result<()> {
        out.collect(self.found.clone());
        Ok(())
    }
}

#[test]
fn a_list_that_nobody_asks_for_survives_and_does_not_grow() {
    let describe = |wants| {
        move |numbers: DataStream<i64>| {
            numbers.rebalance().process(Forgets {
                wants,
                ..Forgets::default()
            })
        }
    };
    let mut snapshot = {
        let mut first = OperatorHarness::builder()
            .parallelism(3)
            .build(describe(true))
            .unwrap();
        first.snapshot().unwrap()
    };
    for parallelism in [2, 2, 3] {
        let builder = OperatorHarness::builder()
            .parallelism(parallelism)
            .restore(&snapshot);
        let mut forgetful = builder.build(describe(false)).unwrap();
        snapshot = forgetful.snapshot().unwrap();
    }
    let builder = OperatorHarness::builder().restore(&snapshot);
    let mut last = builder.build(describe(true)).unwrap();
    last.push_untimed(1).unwrap();
    assert_eq!(last.take_records(), [[0, 1, 2]]);
}

/// Registers states in a way that is a mistake.
#[derive(Clone)]
struct Mistaken(fn(&mut RuntimeContext));

impl ProcessFunction<i64> for Mistaken {
    type Output = i64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        (self.0)(context);
        Ok(())
    }

    fn process_element(
        &mut self,
        number: i64,
        _context: &mut RecordContext<'_>,
        out: &mut Collector<'_, i64>,
    ) -> Result<()> {
        out.collect(number);
        Ok(())
    }
}

#[test]
fn states_that_do_not_fit_a_function_without_keys_are_refused() {
    let open = |open: fn(&mut RuntimeContext)| {
        let describe = |numbers: DataStream<i64>| numbers.process(Mistaken(open));
        OperatorHarness::new(describe).map(drop)
    };
    let refused = open(|context| _ = context.value_state::<i64, i64>("value")).unwrap_err();
    assert!(refused.to_string().contains(".key_by("), "{refused}");
    let refused = open(|context| _ = context.broadcast_state::<u8, u8>("rules")).unwrap_err();
    assert!(refused.to_string().contains(".connect_broadcast("), "{refused}");
    let others: [fn(&mut RuntimeContext); 2] = [
        |context| {
            _ = context.operator_list_state::<u8>("items");
            _ = context.operator_list_state::<u16>("items");
        },
        |context| {
            _ = context.operator_list_state::<u8>("items");
            _ = context.operator_union_list_state::<u8>("items");
        },
    ];
    for other in others {
        assert_eq!(open(other).unwrap_err().context("state"), Some("items"));
    }
    open(|context| {
        _ = context.operator_list_state::<u8>("items");
        _ = context.operator_list_state::<u8>("items");
    })
    .unwrap();
}
