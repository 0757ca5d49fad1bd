//! What it costs when records go round in a loop, with and without checkpoints of those that are on their way.

use super::{EACH_SECOND, NO_CHECKPOINTS, PLAIN, Plan, TWO_SUBTASKS};

/// Connected components. A vertex has four edges on average.
pub(super) fn plan(vertices: u64, rounds: usize) -> Plan {
    let (edges, vertices) = ((vertices * 2).to_string(), vertices.to_string());
    Plan {
        name: "loop",
        workload: "loop",
        title: format!("loop, connected components, {vertices} vertices"),
        arguments: ["--vertices", &vertices, "--edges", &edges]
            .map(str::to_owned)
            .to_vec(),
        text_bytes: None,
        rounds,
        variants: vec![NO_CHECKPOINTS, EACH_SECOND, TWO_SUBTASKS, PLAIN],
        axis: None,
    }
}
