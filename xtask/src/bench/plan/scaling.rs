//! How costs grow: with the parallelism, with the number of tasks, and with the size of the state.

use super::{Axis, Plan, Size, Variant, keyed_sum_with};

const PARALLELISM: [Variant; 4] = [
    Variant {
        label: "1",
        arguments: &["--parallelism", "1"],
    },
    Variant {
        label: "2",
        arguments: &["--parallelism", "2"],
    },
    Variant {
        label: "4",
        arguments: &["--parallelism", "4"],
    },
    Variant {
        label: "8",
        arguments: &["--parallelism", "8"],
    },
];
/// Half of them read and half of them sum, all with all: 25, 2,500 and 250,000 channels.
const SUBTASKS: [Variant; 3] = [
    Variant {
        label: "10",
        arguments: &["--parallelism", "5"],
    },
    Variant {
        label: "100",
        arguments: &["--parallelism", "50"],
    },
    Variant {
        label: "1000",
        arguments: &["--parallelism", "500"],
    },
];
/// Entries of two numbers, 40 bytes each in memory.
const STATE: [Variant; 4] = [
    Variant {
        label: "10",
        arguments: &["--keys", "250000"],
    },
    Variant {
        label: "100",
        arguments: &["--keys", "2500000"],
    },
    Variant {
        label: "1000",
        arguments: &["--keys", "25000000"],
    },
    Variant {
        label: "2000",
        arguments: &["--keys", "50000000"],
    },
];
const CHAINS: [Variant; 3] = [
    Variant {
        label: "10",
        arguments: &["--parallelism", "10"],
    },
    Variant {
        label: "100",
        arguments: &["--parallelism", "100"],
    },
    Variant {
        label: "1000",
        arguments: &["--parallelism", "1000"],
    },
];

pub(super) fn plans(size: Size) -> Vec<Plan> {
    let (records, most) = match size {
        Size::Quick => ("1000000", 2),
        Size::Standard => ("20000000", 3),
        Size::Full => ("100000000", 4),
    };
    let plan = |keys: &[&str], title: &str, axis, variants: &[Variant]| Plan {
        name: "scaling",
        title: title.to_owned(),
        axis: Some(axis),
        variants: variants.to_vec(),
        ..keyed_sum_with(&[&["--records", records], keys].concat(), 1)
    };
    let million = ["--keys", "1000000"];
    let mut plans = vec![
        plan(&million, "scaling: parallelism", Axis::Parallelism, &PARALLELISM),
        plan(
            &million,
            "scaling: subtasks",
            Axis::Subtasks,
            &SUBTASKS[..most.min(3)],
        ),
        plan(&[], "scaling: state", Axis::Megabytes, &STATE[..most]),
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
