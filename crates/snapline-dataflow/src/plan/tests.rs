//! Tests of planning.

use super::*;
use crate::environment::StreamExecutionEnvironment;
use crate::testing::environment;
use snapline_connector::{DiscardSink, SequenceSource};

/// The chains of a job as text: the names of their operators and their parallelism.
fn chains(env: &StreamExecutionEnvironment) -> Vec<String> {
    let job = env.plan("test").unwrap();
    let name = |id: &NodeId| job.node(*id).node.name.clone();
    let chain = |vertex: &JobVertex| {
        format!(
            "{} x{}",
            vertex.members.iter().map(name).collect::<Vec<_>>().join(" > "),
            vertex.parallelism
        )
    };
    job.vertices.iter().map(chain).collect()
}

fn numbers(env: &StreamExecutionEnvironment) -> crate::DataStream<u64> {
    env.from_source(SequenceSource::new(0..10), "numbers")
}

#[test]
fn a_keyed_job_with_one_subtask_is_one_chain_and_with_two_it_is_cut_at_the_exchange() {
    for (parallelism, expected) in [
        (1, vec!["numbers > map > key-by > sum > sink x1"]),
        (2, vec!["numbers > map > key-by x2", "sum > sink x2"]),
    ] {
        let env = environment(parallelism);
        let pairs = numbers(&env).map(|number| (number % 3, number));
        pairs
            .key_by(|pair| pair.0)
            .sum(|pair| &mut pair.1)
            .sink_to(DiscardSink);
        assert_eq!(chains(&env), expected);
    }
}

#[test]
fn unions_rebalances_and_other_parallelisms_cut_chains_and_forks_do_not() {
    let env = environment(2);
    let (a, b) = (numbers(&env).name("a"), numbers(&env).name("b"));
    a.union(&b).filter(|_| true).sink_to(DiscardSink);
    assert_eq!(chains(&env), ["a x2", "b x2", "filter > sink x2"]);

    numbers(&env)
        .rebalance()
        .filter(|_| true)
        .sink_to(DiscardSink)
        .parallelism(1);
    assert_eq!(chains(&env), ["numbers x2", "filter x2", "sink x1"]);

    let fork = numbers(&env);
    fork.sink_to(DiscardSink).name("left");
    fork.map(|number| number).sink_to(DiscardSink).name("right");
    assert_eq!(chains(&env), ["numbers > left > map > right x2"]);
}

#[test]
fn uids_come_from_names_and_positions_unless_set() {
    let env = environment(1);
    numbers(&env)
        .map(|number| number)
        .uid("mine")
        .sink_to(DiscardSink)
        .name("The Sink");
    let job = env.plan("My Job").unwrap();
    let uids: Vec<_> = job.nodes.iter().map(|node| node.uid.as_str()).collect();
    assert_eq!(
        (job.job.as_str(), uids),
        ("my-job", vec!["numbers-0", "mine", "the-sink-2"])
    );
}

#[test]
fn a_mistake_is_told_with_what_to_do() {
    type Describe = fn(&StreamExecutionEnvironment);
    let cases: [(Describe, &str); 6] = [
        (|env| _ = numbers(env), "the job has no sink"),
        (
            |env| _ = numbers(env).parallelism(0).sink_to(DiscardSink),
            "must be between 1 and the maximum",
        ),
        (
            |env| _ = numbers(env).parallelism(129).sink_to(DiscardSink),
            "parallelism: 129",
        ),
        (
            |env| _ = numbers(env).uid("x").map(|n| n).uid("x").sink_to(DiscardSink),
            "give one of them another",
        ),
        (
            |env| _ = numbers(env).uid("a/b").sink_to(DiscardSink),
            "an operator uid must have",
        ),
        (
            |env| _ = numbers(env).union(&numbers(env)).uid("x").sink_to(DiscardSink),
            "a union has no operator of its own",
        ),
    ];
    for (describe, expected) in cases {
        let env = environment(1);
        describe(&env);
        let message = env.plan("test").unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn an_environment_describes_one_job_after_the_other() {
    let env = environment(1);
    for _ in 0..2 {
        numbers(&env).sink_to(DiscardSink);
        assert_eq!(env.plan("test").unwrap().nodes.len(), 2);
    }
}

#[test]
fn a_parallelism_whose_channels_would_exhaust_the_machine_is_refused() {
    for (parallelism, accepted) in [(1448, true), (1449, false)] {
        let env = environment(parallelism);
        numbers(&env)
            .key_by(|number| *number)
            .reduce(|_, _| {})
            .sink_to(DiscardSink);
        let planned = env.plan("test");
        assert_eq!(planned.is_ok(), accepted, "{parallelism}");
        if let Err(error) = planned {
            assert!(error.message().contains("lower the parallelism"), "{error}");
        }
    }
}

#[test]
fn an_edge_with_records_in_flight_is_a_channel_even_where_it_would_be_chained() {
    let env = environment(1);
    let pairs = numbers(&env).map(|number| (number % 3, number));
    pairs
        .key_by(|pair| pair.0)
        .sum(|pair| &mut pair.1)
        .sink_to(DiscardSink);
    let job = env.plan("test").unwrap();
    let sum = NodeId(3);
    let again = job.with_channels(&BTreeSet::from([(sum, 0)])).unwrap();
    let members: Vec<_> = again.vertices.iter().map(|vertex| vertex.members.len()).collect();
    assert_eq!((job.vertices.len(), members), (1, vec![3, 2]));
    assert_eq!(again.node(sum).node.inputs[0].partitioning, Partitioning::Hash);
    assert_eq!(again.vertices[0].outputs[0].partitioning, Partitioning::Hash);
    let as_before = again.with_channels(&BTreeSet::new()).unwrap();
    assert_eq!(as_before.vertices.len(), 1);
}

#[test]
fn pointwise_and_broadcast_edges_stay_aligned_and_the_others_do_not() {
    let env = environment(2);
    let (a, b) = (numbers(&env), numbers(&env));
    let all = a.union(&b.broadcast()).union(&a.rebalance()).map(|number| number);
    all.key_by(|number| *number)
        .reduce(|_, _| {})
        .sink_to(DiscardSink)
        .parallelism(1);
    let job = env.plan("test").unwrap();
    let stays = |node: usize, input| job.stays_aligned(NodeId(node), input);
    assert_eq!([stays(2, 0), stays(2, 1), stays(2, 2)], [true, true, false]);
    assert_eq!([stays(4, 0), stays(5, 0)], [false, false]);
}
