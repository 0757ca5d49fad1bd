//! What the queries of Nexmark cost, each against a loop by hand.

use super::{EACH_SECOND, NO_CHECKPOINTS, PLAIN, Plan, TWO_SUBTASKS};

const QUERIES: [&str; 17] = [
    "q0", "q1", "q2", "q3", "q4", "q5", "q7", "q8", "q9", "q11", "q12", "q15", "q16", "q17", "q18", "q19",
    "q20",
];

/// One for each query.
pub(super) fn plans(events: u64, rounds: usize) -> Vec<Plan> {
    QUERIES.map(|query| plan(query, events, rounds)).into()
}

fn plan(query: &str, events: u64, rounds: usize) -> Plan {
    let arguments = ["--query", query, "--events", &events.to_string()];
    Plan {
        name: "nexmark",
        workload: "nexmark",
        title: format!("nexmark, {query}"),
        arguments: arguments.map(str::to_owned).to_vec(),
        text_bytes: None,
        rounds,
        variants: vec![PLAIN, NO_CHECKPOINTS, EACH_SECOND, TWO_SUBTASKS],
        axis: None,
    }
}
