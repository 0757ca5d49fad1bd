//! How long no result comes while a job goes from one subtask to two and back.

use super::{Plan, Variant, variant};

const RESCALE: [Variant; 3] = [
    variant("1000 keys", &["--keys", "1000"]),
    variant("100000 keys", &["--keys", "100000"]),
    variant("1000000 keys", &["--keys", "1000000"]),
];

pub(super) fn plan(phase_ms: u64, rounds: usize) -> Plan {
    let arguments = ["--rate", "1000000", "--phase-ms", &phase_ms.to_string()];
    Plan {
        name: "rescale",
        workload: "rescale",
        title: "rescale, 1000000 records each second".to_owned(),
        arguments: arguments.map(str::to_owned).to_vec(),
        text_bytes: None,
        rounds,
        variants: RESCALE.into(),
        axis: None,
    }
}
