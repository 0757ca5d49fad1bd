//! Who gets what from each partitioner, on the harness.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use snapline_core::Result;
use snapline_dataflow::{Collector, DataStream, ProcessFunction, RecordContext, RuntimeContext};
use snapline_testkit::harness::OperatorHarness;
use std::collections::BTreeMap;

/// Says by which subtask a number has come, behind that by which it came before.
#[derive(Clone, Default)]
struct By(u32);

type Route = (Vec<u32>, u64);

impl ProcessFunction<Route> for By {
    type Output = Route;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.0 = context.subtask().0;
        Ok(())
    }

    fn process_element(
        &mut self,
        (mut route, number): Route,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, Route>,
    ) -> Result<()> {
        route.push(self.0);
        out.collect((route, number));
        Ok(())
    }
}

/// The numbers below 24 by their ways from one of so many subtasks, among which they are spread, to one of so many others.
fn routes(
    [from, to]: [u32; 2],
    partition: fn(&DataStream<Route>) -> DataStream<Route>,
) -> BTreeMap<[u32; 2], Vec<u64>> {
    let describe = |numbers: DataStream<u64>| {
        let numbers = numbers.map(|number| (Vec::new(), number)).parallelism(1);
        let spread = numbers.rebalance().process(By::default()).parallelism(from);
        partition(&spread).process(By::default()).parallelism(to)
    };
    let mut harness = OperatorHarness::builder()
        .parallelism(to)
        .build(describe)
        .unwrap();
    (0..24).for_each(|number| harness.push_untimed(number).unwrap());
    harness.end().unwrap();
    let mut routes: BTreeMap<[u32; 2], Vec<u64>> = BTreeMap::new();
    for (route, number) in harness.take_records() {
        routes.entry([route[0], route[1]]).or_default().push(number);
    }
    routes
}

fn ways(routes: &BTreeMap<[u32; 2], Vec<u64>>) -> Vec<[u32; 2]> {
    routes.keys().copied().collect()
}

#[test]
fn forward_keeps_the_number_of_the_subtask() {
    for partition in [
        |stream: &DataStream<Route>| stream.forward(),
        |stream: &DataStream<Route>| stream.clone(),
    ] {
        let routes = routes([3, 3], partition);
        assert_eq!(ways(&routes), [[0, 0], [1, 1], [2, 2]]);
        assert_eq!(routes[&[1, 1]], [1, 4, 7, 10, 13, 16, 19, 22]);
    }
}

#[test]
fn forward_to_another_parallelism_is_refused_and_nothing_said_is_in_turn() {
    let describe = |numbers: DataStream<u64>| {
        let numbers = numbers.map(|number| number).parallelism(2);
        numbers.forward().map(|number| number).parallelism(3)
    };
    let error = OperatorHarness::new(describe).unwrap_err();
    assert!(error.to_string().contains(".rescale()"), "{error}");
    let routes = routes([2, 3], Clone::clone);
    assert_eq!(ways(&routes), [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]);
    assert!(routes.values().all(|numbers| numbers.len() == 4));
}

#[test]
fn rebalance_deals_the_records_of_each_subtask_out_in_turn() {
    let routes = routes([2, 3], DataStream::rebalance);
    assert_eq!(routes[&[0, 0]], [0, 6, 12, 18]);
    assert_eq!(routes[&[0, 1]], [2, 8, 14, 20]);
    assert_eq!(routes[&[1, 2]], [5, 11, 17, 23]);
}

#[test]
fn rescale_deals_out_among_neighbours_alone() {
    let cases: [([u32; 2], &[[u32; 2]]); 5] = [
        ([2, 4], &[[0, 0], [0, 1], [1, 2], [1, 3]]),
        ([4, 2], &[[0, 0], [1, 0], [2, 1], [3, 1]]),
        ([2, 3], &[[0, 0], [0, 1], [1, 2]]),
        ([3, 2], &[[0, 0], [1, 1], [2, 1]]),
        ([3, 3], &[[0, 0], [1, 1], [2, 2]]),
    ];
    for (parallelisms, expected) in cases {
        assert_eq!(
            ways(&routes(parallelisms, DataStream::rescale)),
            expected,
            "{parallelisms:?}"
        );
    }
    let routes = routes([2, 4], DataStream::rescale);
    assert_eq!(routes[&[0, 1]], [2, 6, 10, 14, 18, 22]);
}

#[test]
fn shuffle_sends_each_record_once_to_anyone_and_in_the_same_way_again() {
    let routes = || routes([2, 3], DataStream::shuffle);
    let first = routes();
    assert_eq!(first, routes());
    let mut all: Vec<u64> = first.values().flatten().copied().collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..24));
    assert!(first.len() > 3, "{first:?}");
}

#[test]
fn broadcast_sends_all_to_all_and_global_all_to_the_first() {
    let broadcast = routes([2, 3], DataStream::broadcast);
    assert_eq!(broadcast.len(), 6);
    assert!(broadcast.values().all(|numbers| numbers.len() == 12));
    let global = routes([2, 3], DataStream::global);
    assert_eq!(ways(&global), [[0, 0], [1, 0]]);
}

#[test]
fn a_function_sends_each_record_where_it_likes() {
    let by_size = |stream: &DataStream<Route>| {
        stream.partition_custom(|(_, number), subtasks| if *number < 10 { 0 } else { subtasks - 1 })
    };
    let routes = routes([2, 3], by_size);
    assert_eq!(ways(&routes), [[0, 0], [0, 2], [1, 0], [1, 2]]);
    assert_eq!(routes[&[1, 0]], [1, 3, 5, 7, 9]);
}

#[test]
fn a_union_is_dealt_out_from_each_of_its_streams() {
    let describe = |numbers: DataStream<u64>| {
        let routes = numbers.map(|number| (vec![0], number));
        let both = routes.union(&routes.map(|route| route));
        both.partition_custom(|_, subtasks| subtasks - 1)
            .process(By::default())
            .parallelism(2)
    };
    let mut harness = OperatorHarness::builder().parallelism(2).build(describe).unwrap();
    harness.push_untimed(7).unwrap();
    assert_eq!(harness.take_records(), vec![(vec![0, 1], 7); 2]);
}
