//! What it costs to send records from one thread to another.

use super::{Plan, Variant, variant};

const EXCHANGE: [Variant; 3] = [
    variant("hand-written, two threads", &["--baseline"]),
    variant("snapline, by key", &["--by", "key"]),
    variant("snapline, in turn", &["--by", "turn"]),
];

/// One for each size of a record.
pub(super) fn plans(records: u64, rounds: usize) -> Vec<Plan> {
    ["8", "16", "128"]
        .map(|bytes| plan(bytes, records, rounds))
        .into()
}

fn plan(bytes: &str, records: u64, rounds: usize) -> Plan {
    let records = records.to_string();
    let job = ["--parallelism", "2", "--checkpoint-interval-ms", "1000"];
    let work = ["--records", &records, "--record-bytes", bytes];
    Plan {
        name: "exchange",
        workload: "exchange",
        title: format!("exchange, {bytes} bytes"),
        arguments: job.into_iter().chain(work).map(str::to_owned).collect(),
        text_bytes: None,
        rounds,
        variants: EXCHANGE.into(),
        axis: None,
    }
}
