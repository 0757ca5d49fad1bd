//! How long records take at 25, 50 and 80 % of what the job does at most, with and without checkpoints.

use super::{Plan, Variant, variant};

const LATENCY: [Variant; 6] = [
    variant("25 %", &["--load", "25", "--checkpoint-interval-ms", "0"]),
    variant(
        "25 %, each 1 s",
        &["--load", "25", "--checkpoint-interval-ms", "1000"],
    ),
    variant("50 %", &["--load", "50", "--checkpoint-interval-ms", "0"]),
    variant(
        "50 %, each 1 s",
        &["--load", "50", "--checkpoint-interval-ms", "1000"],
    ),
    variant("80 %", &["--load", "80", "--checkpoint-interval-ms", "0"]),
    variant(
        "80 %, each 1 s",
        &["--load", "80", "--checkpoint-interval-ms", "1000"],
    ),
];

/// Both with one subtask, whose chain has no channel, and with two.
pub(super) fn plans(seconds: u64, rounds: usize) -> Vec<Plan> {
    ["1", "2"]
        .map(|parallelism| plan(parallelism, seconds, rounds))
        .into()
}

fn plan(parallelism: &str, seconds: u64, rounds: usize) -> Plan {
    let arguments = [
        "--parallelism",
        parallelism,
        "--keys",
        "100000",
        "--seconds",
        &seconds.to_string(),
    ];
    Plan {
        name: "latency",
        workload: "latency",
        title: format!("latency, 100000 keys, p{parallelism}"),
        arguments: arguments.map(str::to_owned).to_vec(),
        text_bytes: None,
        rounds,
        variants: LATENCY.into(),
        axis: None,
    }
}
