//! What windows cost: against a loop by hand, and windows that overlap against those that do not.

use super::{EACH_SECOND, NO_CHECKPOINTS, PLAIN, Plan, TWO_SUBTASKS, Variant, variant};

/// The first is what the others are compared with. All emit once a second of event time.
const SLIDING: [Variant; 4] = [
    variant("snapline, tumbling 1 s", &["--size-ms", "1000"]),
    variant(
        "snapline, 60 s / 1 s",
        &["--size-ms", "60000", "--slide-ms", "1000"],
    ),
    variant("hand-written, tumbling 1 s", &["--size-ms", "1000", "--baseline"]),
    variant(
        "hand-written, 60 s / 1 s",
        &["--size-ms", "60000", "--slide-ms", "1000", "--baseline"],
    ),
];

/// Tumbling windows with few and with many keys, and sliding windows.
pub(super) fn plans(records: u64, rounds: usize) -> Vec<Plan> {
    let against_a_loop = || vec![PLAIN, NO_CHECKPOINTS, EACH_SECOND, TWO_SUBTASKS];
    vec![
        plan(
            "windowed, 1 s, 1000 keys",
            records,
            &["--keys", "1000"],
            rounds,
            against_a_loop(),
        ),
        plan(
            "windowed, 1 s, 1000000 keys",
            records,
            &["--keys", "1000000"],
            rounds,
            against_a_loop(),
        ),
        Plan {
            name: "sliding",
            ..plan(
                "sliding, 1000 keys",
                records,
                &["--keys", "1000"],
                rounds,
                SLIDING.into(),
            )
        },
    ]
}

fn plan(title: &str, records: u64, work: &[&str], rounds: usize, variants: Vec<Variant>) -> Plan {
    let records = records.to_string();
    let arguments = ["--records", &records].into_iter().chain(work.iter().copied());
    Plan {
        name: "windowed",
        workload: "windowed",
        title: title.to_owned(),
        arguments: arguments.map(str::to_owned).collect(),
        text_bytes: None,
        rounds,
        variants,
        axis: None,
    }
}
