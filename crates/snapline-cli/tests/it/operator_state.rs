//! Lists, union lists and broadcast maps of functions.

use crate::support::{Home, RARELY, snapline};
use futures::executor::block_on;
use serde_json::{Value, json};
use snapline::Result;
use snapline::connector::ChannelSender;
use snapline::dataflow::{
    BroadcastContext, BroadcastProcessFunction, BroadcastState, Collector, OperatorListState, RecordContext,
    RuntimeContext, SavepointRequest,
};
use snapline::prelude::*;
use snapline::state::StateDescriptor;

/// Notes numbers in a list and what they are called in a union list.
#[derive(Clone, Default)]
struct Noting {
    numbers: OperatorListState<u64>,
    names: OperatorListState<String>,
    words: BroadcastState<u64, String>,
}

impl BroadcastProcessFunction<u64, (u64, String)> for Noting {
    type Output = u64;

    fn open(&mut self, context: &mut RuntimeContext) -> Result<()> {
        self.numbers = context.operator_list_state("numbers");
        self.names = context.operator_union_list_state("names");
        self.words = context.broadcast_state(StateDescriptor::new("words").version(3));
        Ok(())
    }

    fn process_element(
        &mut self,
        number: u64,
        context: &mut RecordContext<'_>,
        _out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        self.numbers.add(context, &number)?;
        self.names.add(context, &format!("number {number}"))
    }

    fn process_broadcast_element(
        &mut self,
        (number, word): (u64, String),
        context: &mut BroadcastContext<'_>,
        _out: &mut Collector<'_, u64>,
    ) -> Result<()> {
        context.broadcast_state(&self.words)?.insert(number, word)?;
        Ok(())
    }
}

struct Job {
    numbers: ChannelSender<u64>,
    words: ChannelSender<(u64, String)>,
    job: JobHandle,
}

impl Job {
    fn start(home: &Home) -> Self {
        let env = home.builder().parallelism(2).build().unwrap();
        env.enable_checkpointing(RARELY);
        let (numbers, number_source) = ChannelSource::bounded(1_000);
        let (words, word_source) = ChannelSource::bounded(1_000);
        let words_stream = env.from_source(word_source, "words").uid("words");
        env.from_source(number_source, "numbers")
            .uid("numbers")
            .rebalance()
            .connect_broadcast(&words_stream)
            .process(Noting::default())
            .uid("noting")
            .sink_to(DiscardSink);
        let job = block_on(env.execute_async("noting")).unwrap();
        Self { numbers, words, job }
    }

    fn savepoint(&self, numbers: &[u64], words: &[(u64, &str)], path: &str) {
        let until = self.job.status().records + (numbers.len() + words.len()) as u64;
        for (number, word) in words {
            block_on(self.words.send((*number, (*word).to_owned()))).unwrap();
        }
        numbers
            .iter()
            .for_each(|number| block_on(self.numbers.send(*number)).unwrap());
        while self.job.status().records < until {
            std::thread::yield_now();
        }
        block_on(self.job.savepoint(SavepointRequest::new(path))).unwrap();
    }
}

/// The rows of an operator.
fn of_noting(rows: &Value) -> Vec<Value> {
    let rows = rows.as_array().unwrap().iter();
    rows.filter(|row| row["operator"] == "noting").cloned().collect()
}

#[test]
fn operator_state_of_every_kind_is_shown_exported_and_compared() {
    let home = Home::new();
    let job = Job::start(&home);
    job.savepoint(&[1, 2, 3], &[(1, "one"), (2, "two")], "savepoints/one");
    job.savepoint(&[4], &[(2, "zwei"), (3, "three")], "savepoints/two");
    job.job.cancel();
    let [one, two] = ["one", "two"].map(|name| home.text(&format!("checkpoints/savepoints/{name}")));

    let document = snapline(["savepoint", "inspect", &one, "--json"])
        .with_code(0)
        .json();
    let list = |name: &str, kind: &str, item: &str, bytes: u64| json!({"operator": "noting", "list": name, "kind": kind, "item": item, "version": 1, "items": 3, "bytes": bytes});
    assert_eq!(
        of_noting(&document["lists"]),
        [
            list("names", "union", "String", 27),
            list("numbers", "split", "u64", 3)
        ]
    );
    let map = json!({"operator": "noting", "map": "words", "key": "u64", "value": "String", "version": 3,
        "entries": 2, "bytes": 10});
    assert_eq!(of_noting(&document["broadcast"]), [map]);

    let exported = |name: &str| {
        let export = [
            "savepoint",
            "export",
            &one,
            "--operator",
            "noting",
            "--state",
            name,
        ];
        snapline(export).with_code(0).lines()
    };
    let mut numbers: Vec<_> = exported("numbers")
        .iter()
        .map(|line| line["item"].clone())
        .collect();
    numbers.sort_by_key(Value::as_u64);
    assert_eq!(numbers, [1, 2, 3]);
    let names = exported("names");
    assert!(
        names.len() == 3 && names.iter().all(|line| line["kind"] == "union"),
        "{names:?}"
    );
    let word = |key: u64, value: &str| json!({"operator": "noting", "broadcast": "words", "key": key, "value": value});
    assert_eq!(exported("words"), [word(1, "one"), word(2, "two")]);

    let mut lines = snapline(["savepoint", "diff", &one, &two, "--operator", "noting", "--json"])
        .with_code(1)
        .lines();
    let totals = lines.pop().unwrap()["totals"].clone();
    let row = |state: &str, numbers: [u64; 4]| {
        let [added, removed, changed, same] = numbers;
        json!({"operator": "noting", "state": state, "added": added, "removed": removed, "changed": changed, "same": same})
    };
    assert_eq!(
        totals,
        json!([
            row("names (union list)", [1, 0, 0, 3]),
            row("numbers (list)", [1, 0, 0, 3]),
            row("words (broadcast)", [1, 0, 1, 1]),
        ])
    );
    let change = |change: &str, key: u64, before: Value, after: &str| json!({"change": change, "operator": "noting", "state": "words", "key": key, "before": before, "after": after});
    assert_eq!(
        lines,
        [
            change("changed", 2, json!("two"), "zwei"),
            change("added", 3, Value::Null, "three")
        ]
    );
}
