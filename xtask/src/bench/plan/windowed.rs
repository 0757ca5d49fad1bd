//! What windows and sessions cost: against a loop by hand, and windows that overlap against those that do not.

use super::{EACH_SECOND, NO_CHECKPOINTS, PLAIN, Plan, TWO_SUBTASKS, Variant, variant};

/// The first is what the others are compared with: it emits as often as the sliding windows.
const SLIDING: [Variant; 6] = [
    variant("snapline, tumbling 1 s", &["--size-ms", "1000"]),
    variant("snapline, tumbling 60 s", &["--size-ms", "60000"]),
    variant(
        "snapline, 60 s / 1 s",
        &["--size-ms", "60000", "--slide-ms", "1000"],
    ),
    variant("hand-written, tumbling 1 s", &["--size-ms", "1000", "--baseline"]),
    variant(
        "hand-written, tumbling 60 s",
        &["--size-ms", "60000", "--baseline"],
    ),
    variant(
        "hand-written, 60 s / 1 s",
        &["--size-ms", "60000", "--slide-ms", "1000", "--baseline"],
    ),
];

/// Tumbling windows and sessions with few and with many keys, and sliding windows.
pub(super) fn plans(records: u64, rounds: usize) -> Vec<Plan> {
    let against_a_loop = || vec![PLAIN, NO_CHECKPOINTS, EACH_SECOND, TWO_SUBTASKS];
    let windowed =
        |title: &str, work: &[&str], variants: Vec<Variant>| plan(title, records, work, rounds, variants);
    let named = |name, plan| Plan { name, ..plan };
    vec![
        windowed("windowed, 1 s, 1000 keys", &["--keys", "1000"], against_a_loop()),
        windowed(
            "windowed, 1 s, 1000000 keys",
            &["--keys", "1000000"],
            against_a_loop(),
        ),
        named(
            "sliding",
            windowed("sliding, 1000 keys", &["--keys", "1000"], SLIDING.into()),
        ),
        named(
            "sliding",
            windowed("sliding, 100000 keys", &["--keys", "100000"], SLIDING.into()),
        ),
        // A twentieth of the records begin a session.
        named(
            "sessions",
            windowed(
                "sessions, 1000 keys",
                &["--keys", "1000", "--gap-ms", "3"],
                against_a_loop(),
            ),
        ),
        named(
            "sessions",
            windowed(
                "sessions, 100000 keys",
                &["--keys", "100000", "--gap-ms", "301"],
                against_a_loop(),
            ),
        ),
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
