//! Tests of explained plans.

use crate::testing::environment;
use crate::{
    BroadcastContext, BroadcastProcessFunction, Collector, OutputTag, RecordContext,
    StreamExecutionEnvironment,
};
use snapline_connector::{DiscardSink, SequenceSource};
use snapline_core::Result;

/// Numbers, counted by their last digit, with two subtasks.
fn job() -> StreamExecutionEnvironment {
    let env = environment(2);
    let numbers = env
        .from_source(SequenceSource::new(0..10), "numbers")
        .uid("numbers");
    numbers
        .map(|number| (number % 10, 1))
        .key_by(|pair| pair.0)
        .sum(|pair| &mut pair.1)
        .uid("sums")
        .sink_to(DiscardSink)
        .name("the \"end\"");
    env
}

#[test]
fn a_plan_as_text_names_tasks_uids_and_edges() {
    let expected = "\
digits (at most 128 subtasks per operator)

[0] numbers > map > key-by x2
    uid numbers
    uid map-1 (by position)
    uid key-by-2 (by position)
    --> [1] hash

[1] sum > the \"end\" x2
    uid sums
    uid the--end--4 (by position)
";
    assert_eq!(job().explain("digits").unwrap().to_string(), expected);
}

#[test]
fn a_plan_as_json_has_the_fields_of_its_types() {
    let json = job().explain("digits").unwrap().to_json().unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let expected = serde_json::json!({
        "from": 0, "output_of": "key-by-2", "to": 1, "partitioning": "hash", "is_back_edge": false
    });
    assert_eq!(json["edges"], serde_json::json!([expected]));
    let map = &json["tasks"][0]["operators"][1];
    assert_eq!(map["chained_to"], serde_json::json!(["numbers"]));
    assert_eq!(map["has_own_uid"], false);
}

#[test]
fn a_plan_as_a_diagram_quotes_what_names_contain() {
    let plan = job().explain("digits").unwrap();
    let mermaid = "\
flowchart LR
    t0[\"numbers<br/>map<br/>key-by<br/>x2\"]
    t1[\"sum<br/>the #quot;end#quot;<br/>x2\"]
    t0 -->|hash| t1
";
    assert_eq!(plan.to_mermaid(), mermaid);
    let dot = "\
digraph \"digits\" {
    rankdir=LR;
    node [shape=box];
    t0 [label=\"numbers\\nmap\\nkey-by\\nx2\"];
    t1 [label=\"sum\\nthe \\\"end\\\"\\nx2\"];
    t0 -> t1 [label=\"hash\"];
}
";
    assert_eq!(plan.to_dot(), dot);
}

#[test]
fn an_edge_back_into_a_loop_is_marked() {
    let env = environment(1);
    let numbers = env.from_source(SequenceSource::new(1..5), "numbers");
    let done = numbers.iterate(|numbers| {
        let smaller = numbers.map(|number| number - 1);
        (
            smaller.filter(|number| *number > 0),
            smaller.filter(|number| *number == 0),
        )
    });
    done.sink_to(DiscardSink);
    let plan = env.explain("countdown").unwrap();
    let back: Vec<(usize, usize)> = plan
        .edges
        .iter()
        .filter(|edge| edge.is_back_edge)
        .map(|edge| (edge.from, edge.to))
        .collect();
    let [(from, to)] = back[..] else { panic!("{plan}") };
    assert!(from >= to);
    assert!(plan.to_string().contains("back into the loop"));
    assert!(plan.to_mermaid().contains("-.->"));
    assert!(plan.to_dot().contains("style=dashed"));
}

#[test]
fn explaining_leaves_the_job_as_it_is_and_its_mistakes_too() {
    let env = job();
    assert_eq!(
        env.explain("digits").unwrap(),
        env.plan("digits").unwrap().explain()
    );

    let env = environment(1);
    let numbers = env.from_source(SequenceSource::new(0..1), "numbers");
    numbers.parallelism(0).sink_to(DiscardSink);
    let explained = env.explain("job").unwrap_err().to_string();
    assert_eq!(explained, env.plan("job").unwrap_err().to_string());
}

/// Lets all records through.
#[derive(Clone)]
struct Ruled;

impl BroadcastProcessFunction<u64, u64> for Ruled {
    type Output = u64;

    fn process_element(
        &mut self,
        number: u64,
        _: &mut RecordContext<'_>,
        out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        out.collect(number);
        Ok(())
    }

    fn process_broadcast_element(
        &mut self,
        _: u64,
        _: &mut BroadcastContext<'_>,
        _: &mut Collector<'_, u64>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_is_told_to_all_beside_another_is_an_edge_of_its_own() {
    let env = environment(2);
    let numbers = env.from_source(SequenceSource::new(0..5), "numbers");
    let rules = env.from_source(SequenceSource::new(0..5), "rules");
    let ruled = numbers.connect_broadcast(&rules).process(Ruled);
    ruled.sink_to(DiscardSink);
    let plan = env.explain("ruled").unwrap();
    let tasks: Vec<String> = plan.tasks.iter().map(ToString::to_string).collect();
    let expected = [
        "numbers > records x2",
        "rules > broadcast x2",
        "broadcast-process > sink x2",
    ];
    assert_eq!(tasks, expected);
    let edges: Vec<_> = plan
        .edges
        .iter()
        .map(|edge| (edge.from, edge.to, edge.partitioning))
        .collect();
    assert_eq!(edges, [(0, 2, "forward"), (1, 2, "broadcast")]);
}

#[test]
fn exchanges_of_every_kind_and_side_outputs_have_their_names() {
    let env = environment(2);
    let numbers = env.from_source(SequenceSource::new(0..5), "numbers");
    let split = numbers.flat_map(|number, out: &mut Collector<'_, u64>| out.collect(number));
    split
        .side_output(&OutputTag::<u64>::new("aside"))
        .global()
        .sink_to(DiscardSink);
    let shuffled = split.shuffle().map(|number| number);
    let rescaled = shuffled.rescale().map(|number| number).parallelism(4);
    rescaled.partition_custom(|_, _| 0).sink_to(DiscardSink);
    let plan = env.explain("exchanges").unwrap();
    let tasks: Vec<String> = plan.tasks.iter().map(ToString::to_string).collect();
    let expected = [
        "numbers > flat-map > aside x2",
        "sink x2",
        "map x2",
        "map > partition x4",
        "sink x2",
    ];
    assert_eq!(tasks, expected);
    let edges: Vec<_> = plan
        .edges
        .iter()
        .map(|edge| (edge.from, edge.to, edge.partitioning))
        .collect();
    assert_eq!(
        edges,
        [
            (0, 1, "global"),
            (0, 2, "shuffle"),
            (2, 3, "rescale"),
            (3, 4, "custom")
        ]
    );
}
