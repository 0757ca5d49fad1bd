//! Jobs with loops. What comes back of each record that goes round is less than one record, one, two, or many at once.

use crate::jobs::{KEYS, RECORDS};
use snapline_connector::CollectionSource;
use snapline_core::AlignmentSettings;
use snapline_dataflow::Emit;
use snapline_testkit::simulation::{Faults, Report, Simulation};
use std::ops::Range;

const ALIGNMENTS: [AlignmentSettings; 2] = [AlignmentSettings::Aligned, AlignmentSettings::Unaligned];

/// Each number goes round until it is small.
pub(crate) fn looped(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS / 2), "numbers")
                .iterate(|numbers| {
                    let halved = numbers.map(|number| if number < 5 { number } else { number - 5 });
                    (
                        halved.filter(|number| *number >= 5),
                        halved.filter(|number| *number < 5),
                    )
                })
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS / 2).map(|number| number % 5))
}

/// The same over all subtasks, so that a number may come round to another one.
pub(crate) fn looped_and_shuffled(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS / 2), "numbers")
                .iterate(|numbers| {
                    let halved = numbers.map(|number| if number < 5 { number } else { number - 5 });
                    (
                        halved.filter(|number| *number >= 5).rebalance(),
                        halved.filter(|number| *number < 5),
                    )
                })
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS / 2).map(|number| number % 5))
}

/// Several loops side by side, of which now this one and now that one starts again.
pub(crate) fn loops_that_panic(seeds: Range<u64>) -> Report {
    Simulation::seeds(seeds)
        .faults(Faults::none().panics(12).delays(100))
        .run(|env, world| {
            env.from_source(world.source(0..RECORDS / 4), "numbers")
                .iterate(|numbers| {
                    let smaller = numbers.map(|number| number.saturating_sub(1));
                    (
                        smaller.filter(|number| *number > 0),
                        smaller.filter(|number| *number == 0),
                    )
                })
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..RECORDS / 4).map(|_| 0_u64))
}

/// Every other number is even, goes round once more, and comes back as its half: a round has half the records of the
/// one before.
pub(crate) fn amplified_by_half(seeds: Range<u64>) -> Report {
    let halves = |number: u64| (0..).take_while(move |halved| number << halved < RECORDS);
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            env.from_source(world.source(1..RECORDS), "numbers")
                .iterate(|numbers| {
                    let even = numbers.filter(|number| number % 2 == 0);
                    (even.map(|number| number / 2).rebalance(), numbers)
                })
                .sink_to(world.sink());
        })
        .expect_exactly_once((1..RECORDS).flat_map(move |number| halves(number).map(move |_| number)))
}

/// Each record goes round eight times, to another key each time, which counts it: as many records in each round.
pub(crate) fn amplified_by_one(seeds: Range<u64>) -> Report {
    const NUMBERS: u64 = RECORDS / 2;
    const ROUNDS: u64 = 8;
    let visits = |key| {
        let rounds = (0..NUMBERS).flat_map(|number| (0..ROUNDS).map(move |round| number * 3 + round));
        rounds.filter(move |visited| visited % KEYS == key).count() as u64
    };
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            env.from_source(world.source(0..NUMBERS), "numbers")
                .map(|number| (number * 3, ROUNDS, 1_u64))
                .iterate(|records| {
                    let counted = records.key_by(|(at, ..)| at % KEYS).sum(|(_, _, count)| count);
                    let again = counted.filter(|(_, rounds, _)| *rounds > 1);
                    (again.map(|(at, rounds, _)| (at + 1, rounds - 1, 1)), counted)
                })
                .map(|(at, _, count)| (at % KEYS, count))
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..KEYS).flat_map(move |key| (1..=visits(key)).map(move |count| (key, count))))
}

/// Each node of a tree brings two: twice the records in each round, until the leaves.
pub(crate) fn amplified_by_two(seeds: Range<u64>) -> Report {
    const TREES: u64 = RECORDS / 4;
    const NODES: u64 = 16;
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            env.from_source(world.source(0..TREES), "trees")
                .map(|tree| (tree, 1_u64))
                .iterate(|nodes| {
                    let inner = nodes.filter(|(_, node)| node * 2 < NODES);
                    let below = inner.flat_map(|(tree, node), out| {
                        out.collect((tree, node * 2));
                        out.collect((tree, node * 2 + 1));
                    });
                    (below.shuffle(), nodes)
                })
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..TREES).flat_map(|tree| (1..NODES).map(move |node| (tree, node))))
}

/// Now and then a record brings very many at once, some of which bring many again; the whole input comes at once, too.
pub(crate) fn bursts(seeds: Range<u64>) -> Report {
    const BURST: u64 = 60;
    let sizes = |number: u64| match number % 25 {
        0 => BURST,
        _ => 0,
    };
    let first = move |number| (0..sizes(number)).map(move |part| (number, part));
    let second = move |(number, part)| (0..sizes(part)).map(move |_| (number, part));
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .at_least_checkpoints(0)
        .run(move |env, world| {
            let at_once = env.from_source(CollectionSource::new(0..RECORDS / 2), "at once");
            let slowly = env.from_source(world.source(RECORDS / 2..RECORDS), "slowly");
            at_once
                .union(&slowly)
                .map(|number| (number, 0, 0))
                .iterate(move |records| {
                    let many = records.flat_map(move |(number, part, round), out| match round {
                        0 => (0..sizes(number)).for_each(|part| out.collect((number, part, 1))),
                        1 => (0..sizes(part)).for_each(|_| out.collect((number, part, 2))),
                        _ => {}
                    });
                    (many.rebalance(), records)
                })
                .map(|(number, part, _)| (number, part))
                .sink_to(world.sink());
        })
        .expect_exactly_once({
            let own = (0..RECORDS).map(|number| (number, 0));
            let first = (0..RECORDS).flat_map(first);
            own.chain(first.clone()).chain(first.flat_map(second))
        })
}

/// Every vertex learns the least one that it is connected to: those three before and behind it, within its ten.
pub(crate) fn connected_components(seeds: Range<u64>) -> Report {
    const VERTICES: u64 = 40;
    Simulation::seeds(seeds)
        .rescale(1..=3)
        .alignments(ALIGNMENTS)
        .run(|env, world| {
            env.from_source(world.source(0..VERTICES), "vertices")
                .map(|vertex| (vertex, vertex, true))
                .iterate(|labels| {
                    let labels = labels.key_by(|(vertex, ..)| *vertex).reduce(|least, new| {
                        *least = (least.0, least.1.min(new.1), new.1 < least.1);
                    });
                    let improved = labels.filter(|(.., is_less)| *is_less);
                    let neighbours = improved.flat_map(|(vertex, label, _), out| {
                        let around = [vertex.checked_sub(3), Some(vertex + 3)].into_iter().flatten();
                        around
                            .filter(|other| other / 10 == vertex / 10)
                            .for_each(|other| out.collect((other, label, true)));
                    });
                    (neighbours, improved)
                })
                .map(|(vertex, label, _)| (vertex, label))
                .key_by(|(vertex, _)| *vertex)
                .emit(Emit::Final)
                .min(|(_, label)| label)
                .sink_to(world.sink());
        })
        .expect_exactly_once((0..VERTICES).map(|vertex| (vertex, vertex / 10 * 10 + vertex % 10 % 3)))
}
