//! How costs grow: with the parallelism, with the number of tasks, and with the size of the state.

use super::{Axis, Plan, Size, Variant, keyed_sum_with, variant};

const PARALLELISM: [Variant; 4] = [
    variant("1", &["--parallelism", "1"]),
    variant("2", &["--parallelism", "2"]),
    variant("4", &["--parallelism", "4"]),
    variant("8", &["--parallelism", "8"]),
];
/// Half of them read and half of them sum, all with all: 25, 2,500 and 250,000 channels.
const SUBTASKS: [Variant; 3] = [
    variant("10", &["--parallelism", "5"]),
    variant("100", &["--parallelism", "50"]),
    variant("1000", &["--parallelism", "500"]),
];
/// Entries of two numbers, of 28 to 44 bytes each in memory: 40 are counted.
const STATE: [Variant; 4] = [
    variant("10", &["--keys", "250000"]),
    variant("100", &["--keys", "2500000"]),
    variant("1000", &["--keys", "25000000"]),
    variant("2000", &["--keys", "50000000"]),
];
const CHAINS: [Variant; 3] = [
    variant("10", &["--parallelism", "10"]),
    variant("100", &["--parallelism", "100"]),
    variant("1000", &["--parallelism", "1000"]),
];

pub(super) fn plans(size: Size) -> Vec<Plan> {
    // Each key comes four times on average where there are the most, so that hardly any is missing.
    let (records, to_fill, most) = match size {
        Size::Quick => ("1000000", "10000000", 2),
        Size::Standard => ("20000000", "100000000", 3),
        Size::Full => ("100000000", "200000000", 4),
    };
    let plan = |arguments: &[&str], title: &str, axis, variants: &[Variant]| Plan {
        name: "scaling",
        title: title.to_owned(),
        axis: Some(axis),
        variants: variants.to_vec(),
        ..keyed_sum_with(arguments, 1)
    };
    let million = ["--records", records, "--keys", "1000000"];
    let subtasks = &SUBTASKS[..most.min(3)];
    let mut plans = vec![
        plan(&million, "scaling: parallelism", Axis::Parallelism, &PARALLELISM),
        plan(&million, "scaling: subtasks", Axis::Subtasks, subtasks),
        plan(
            &["--records", to_fill],
            "scaling: state",
            Axis::Megabytes,
            &STATE[..most],
        ),
    ];
    plans.extend(["chain", "shuffle"].map(idle));
    plans
}

/// Tasks that have nothing to do.
fn idle(shape: &str) -> Plan {
    Plan {
        name: "scaling",
        workload: "idle",
        title: format!("scaling: idle, {shape}"),
        axis: Some(Axis::Parallelism),
        variants: CHAINS[..if shape == "chain" { 3 } else { 2 }].to_vec(),
        ..keyed_sum_with(&["--shape", shape], 1)
    }
}
