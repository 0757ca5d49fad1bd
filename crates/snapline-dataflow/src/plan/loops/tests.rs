//! Tests of loops.

use crate::environment::StreamExecutionEnvironment;
use crate::plan::{JobGraph, JobLoop};
use crate::testing::environment;
use crate::{DataStream, Partitioning};
use snapline_connector::{DiscardSink, SequenceSource};
use snapline_core::ErrorKind;
use std::collections::BTreeSet;

fn numbers(env: &StreamExecutionEnvironment) -> DataStream<u64> {
    env.from_source(SequenceSource::new(0..10), "numbers")
}

fn smaller(numbers: &DataStream<u64>) -> DataStream<u64> {
    numbers.filter(|number| *number > 0).map(|number| number - 1)
}

fn entered_at(entry: usize, vertices: impl IntoIterator<Item = usize>) -> JobLoop {
    JobLoop {
        vertices: vertices.into_iter().collect(),
        entries: BTreeSet::from([entry]),
    }
}

fn chains(job: &JobGraph) -> Vec<String> {
    let name = |id| job.node(id).node.name.as_str();
    let chain = |vertex: &crate::JobVertex| {
        vertex
            .members
            .iter()
            .map(|id| name(*id))
            .collect::<Vec<_>>()
            .join(" > ")
    };
    job.vertices.iter().map(chain).collect()
}

#[test]
fn a_loop_begins_a_chain_that_may_send_to_itself() {
    for parallelism in [1, 2] {
        let env = environment(parallelism);
        let all = numbers(&env).iterate(|numbers| (smaller(&numbers), numbers));
        all.sink_to(DiscardSink);
        let job = env.plan("test").unwrap();
        assert_eq!(chains(&job), ["numbers", "iterate > filter > map > sink"]);
        assert_eq!(job.loops(), BTreeSet::from([entered_at(1, [1])]));
        assert_eq!(job.back_edges(0).count(), 0);
        assert_eq!(job.back_edges(1).collect::<Vec<_>>(), [1]);
        let back = job.vertices[1].outputs[0];
        assert_eq!(
            (back.vertex, back.input, back.partitioning),
            (1, 1, Partitioning::Forward)
        );
    }
}

#[test]
fn a_loop_can_be_keyed_and_of_another_parallelism() {
    let env = environment(2);
    let least = numbers(&env).map(|number| (number % 3, number)).iterate(|pairs| {
        let pairs = pairs.parallelism(3);
        let least = pairs.key_by(|pair| pair.0).min(|pair| &mut pair.1);
        (least.filter(|pair| pair.1 > 0), least)
    });
    least.sink_to(DiscardSink).parallelism(1);
    let job = env.plan("test").unwrap();
    assert_eq!(
        chains(&job),
        ["numbers > map", "iterate > key-by", "min > filter", "sink"]
    );
    assert_eq!(job.loops(), BTreeSet::from([entered_at(1, [1, 2])]));
    assert_eq!(job.vertices[1].inputs[1].partitioning, Partitioning::Rebalance);
}

#[test]
fn a_loop_in_a_loop_is_part_of_it_and_one_behind_it_is_not() {
    let env = environment(2);
    let outer = numbers(&env).iterate(|numbers| {
        let inner = numbers.iterate(|numbers| (smaller(&numbers), numbers.rebalance().map(|number| number)));
        (smaller(&inner), inner)
    });
    let behind = outer.rebalance().iterate(|numbers| (smaller(&numbers), numbers));
    behind.sink_to(DiscardSink);
    let job = env.plan("test").unwrap();
    assert_eq!(
        chains(&job),
        [
            "numbers",
            "iterate",
            "iterate > filter > map",
            "map > filter > map",
            "iterate > filter > map > sink"
        ]
    );
    assert_eq!(
        job.loops(),
        BTreeSet::from([entered_at(1, [1, 2, 3]), entered_at(4, [4])])
    );
}

#[test]
fn a_loop_with_another_entry_is_refused_and_told_by_its_operators() {
    type Describe = fn(&StreamExecutionEnvironment) -> DataStream<u64>;
    let cases: [(Describe, &str, [&str; 2]); 5] = [
        (
            |env| {
                let outside = numbers(env).name("outside");
                numbers(env).iterate(|numbers| {
                    let both = numbers.union(&outside).map(|number| number).name("both");
                    (both.clone(), both)
                })
            },
            "second entry",
            ["outside", "both"],
        ),
        (
            |env| {
                numbers(env).iterate(|looped| {
                    let late = numbers(env).name("late");
                    let both = looped.union(&late).map(|number| number).name("both");
                    (both.clone(), both)
                })
            },
            "second entry",
            ["late", "both"],
        ),
        (
            |env| {
                let early = numbers(env).name("early");
                numbers(env).iterate(|looped| (early, looped))
            },
            "not made from the stream of the loop",
            ["early", "iterate"],
        ),
        (
            |env| numbers(env).iterate(|looped| (numbers(env).name("late"), looped)),
            "not made from the stream of the loop",
            ["late", "iterate"],
        ),
        (
            |env| numbers(env).iterate(|looped| (looped.union(&numbers(env).name("late")), looped)),
            "not made from the stream of the loop",
            ["late", "iterate"],
        ),
    ];
    for (describe, rule, operators) in cases {
        let env = environment(2);
        describe(&env).sink_to(DiscardSink);
        let error = env.plan("test").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        for part in [rule, operators[0], operators[1], "before .iterate(...)"] {
            assert!(
                error.to_string().contains(part),
                "{error} does not tell of {part:?}"
            );
        }
    }
}
