//! What is measured against what, as data.

mod cyclic;
mod exchange;
mod latency;
mod nexmark;
mod rescale;
mod scaling;
mod windowed;

use std::path::{Path, PathBuf};

/// How long a run takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Size {
    Quick,
    Standard,
    Full,
}

/// One workload with one set of options, done in several ways.
pub(super) struct Plan {
    /// By which it is chosen.
    pub(super) name: &'static str,
    pub(super) workload: &'static str,
    pub(super) title: String,
    pub(super) arguments: Vec<String>,
    /// How long the text is that it reads, if it reads one.
    pub(super) text_bytes: Option<u64>,
    /// How often each variant runs.
    pub(super) rounds: usize,
    /// The first is what the others are compared with.
    pub(super) variants: Vec<Variant>,
    /// What the labels of the variants count, if costs are drawn over it.
    pub(super) axis: Option<Axis>,
}

/// What grows from variant to variant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Axis {
    Parallelism,
    Subtasks,
    /// The size of the state in 10^6 bytes.
    Megabytes,
}

impl Axis {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Parallelism => "parallelism",
            Self::Subtasks => "subtasks",
            Self::Megabytes => "state, MB",
        }
    }
}

/// A way to do the work.
#[derive(Clone)]
pub(super) struct Variant {
    pub(super) label: &'static str,
    pub(super) arguments: &'static [&'static str],
}

const fn variant(label: &'static str, arguments: &'static [&'static str]) -> Variant {
    Variant { label, arguments }
}

const PLAIN: Variant = variant("hand-written", &["--baseline"]);
const PREFETCH: Variant = variant("hand-written, prefetch", &["--baseline", "prefetch"]);
const TWO_THREADS: Variant = variant("hand-written, p2", &["--parallelism", "2", "--baseline"]);
const TWO_THREADS_PREFETCH: Variant = variant(
    "hand-written, prefetch, p2",
    &["--parallelism", "2", "--baseline", "prefetch"],
);
const NO_CHECKPOINTS: Variant = variant(
    "snapline, no checkpoints",
    &["--parallelism", "1", "--checkpoint-interval-ms", "0"],
);
const EACH_SECOND: Variant = variant(
    "snapline, each 1 s",
    &["--parallelism", "1", "--checkpoint-interval-ms", "1000"],
);
const PROOF: [Variant; 2] = [
    variant(
        "proof off, p2",
        &["--parallelism", "2", "--consistency-proof", "off"],
    ),
    variant(
        "proof on, p2",
        &["--parallelism", "2", "--consistency-proof", "on"],
    ),
];
/// How barriers are aligned behind a slow sink; the first one's sink is fast.
const BACKPRESSURE: [Variant; 4] = [
    variant(
        "unloaded, aligned",
        &["--mode", "aligned", "--sink-delay-us", "0"],
    ),
    variant("slow, aligned", &["--mode", "aligned", "--sink-delay-us", "2000"]),
    variant(
        "slow, unaligned",
        &["--mode", "unaligned", "--sink-delay-us", "2000"],
    ),
    variant("slow, auto", &["--mode", "auto", "--sink-delay-us", "2000"]),
];
const RECOVERY: [Variant; 2] = [
    variant("snapline", &["--parallelism", "1"]),
    variant("snapline, p2", &["--parallelism", "2"]),
];
const TWO_SUBTASKS: Variant = variant(
    "snapline, each 1 s, p2",
    &["--parallelism", "2", "--checkpoint-interval-ms", "1000"],
);

impl Size {
    /// How often each variant runs, if a run does its work only once.
    fn rounds(self) -> usize {
        match self {
            Self::Quick => 2,
            Self::Standard => 5,
            Self::Full => 7,
        }
    }
}

impl Plan {
    pub(super) fn text_file(&self, folder: &Path, bytes: u64) -> PathBuf {
        folder.join(format!("text-{bytes}.txt"))
    }
}

/// All plans; a workload may have several.
pub(super) fn all(size: Size) -> Vec<Plan> {
    let (text_bytes, records, keys): (u64, u64, &[u64]) = match size {
        Size::Quick => (16_000_000, 4_000_000, &[1_000, 1_000_000]),
        Size::Standard => (64_000_000, 40_000_000, &[1_000, 1_000_000, 10_000_000]),
        Size::Full => (256_000_000, 100_000_000, &[1_000, 1_000_000, 10_000_000]),
    };
    let rounds = size.rounds();
    let mut plans = vec![word_count(text_bytes, rounds)];
    plans.extend(keys.iter().map(|keys| keyed_sum(records, *keys, rounds)));
    plans.push(proof(records, rounds));
    plans.extend(windowed::plans(records, rounds));
    plans.push(match size {
        Size::Quick => cyclic::plan(200_000, rounds),
        Size::Standard => cyclic::plan(1_000_000, rounds),
        Size::Full => cyclic::plan(2_000_000, rounds),
    });
    plans.extend(nexmark::plans(records / 4, rounds));
    plans.extend(exchange::plans(records / 2, rounds));
    plans.extend(match size {
        Size::Quick => latency::plans(2, 1),
        Size::Standard => latency::plans(10, 3),
        Size::Full => latency::plans(60, 5),
    });
    plans.push(backpressure(rounds));
    plans.push(match size {
        Size::Quick => rescale::plan(500, rounds),
        Size::Standard => rescale::plan(1_000, rounds),
        Size::Full => rescale::plan(2_000, rounds),
    });
    plans.push(match size {
        Size::Quick => recovery(10, 2),
        Size::Standard => recovery(50, 5),
        Size::Full => recovery(250, 7),
    });
    plans.extend(scaling::plans(size));
    plans
}

fn word_count(text_bytes: u64, rounds: usize) -> Plan {
    Plan {
        name: "wordcount",
        workload: "wordcount",
        title: format!("wordcount, {} MB", text_bytes / 1_000_000),
        arguments: Vec::new(),
        text_bytes: Some(text_bytes),
        rounds,
        variants: vec![PLAIN, NO_CHECKPOINTS, EACH_SECOND, TWO_SUBTASKS, TWO_THREADS],
        axis: None,
    }
}

fn keyed_sum(records: u64, keys: u64, rounds: usize) -> Plan {
    let arguments = ["--records", &records.to_string(), "--keys", &keys.to_string()];
    Plan {
        title: format!("keyed-sum, {keys} keys"),
        ..keyed_sum_with(&arguments, rounds)
    }
}

fn keyed_sum_with(arguments: &[&str], rounds: usize) -> Plan {
    Plan {
        name: "keyed-sum",
        workload: "keyed-sum",
        title: "keyed-sum".to_owned(),
        arguments: arguments.iter().copied().map(str::to_owned).collect(),
        text_bytes: None,
        rounds,
        variants: vec![
            PLAIN,
            PREFETCH,
            NO_CHECKPOINTS,
            EACH_SECOND,
            TWO_SUBTASKS,
            TWO_THREADS,
            TWO_THREADS_PREFETCH,
        ],
        axis: None,
    }
}

/// What vector clocks cost where every record is sent over a channel.
fn proof(records: u64, rounds: usize) -> Plan {
    let arguments = ["--records", &records.to_string(), "--keys", "1000"];
    Plan {
        name: "proof",
        title: "proof, keyed-sum, 1000 keys".to_owned(),
        variants: PROOF.into(),
        ..keyed_sum_with(&arguments, rounds)
    }
}

fn backpressure(rounds: usize) -> Plan {
    // Enough records for all checkpoints also when the sink keeps nobody waiting.
    let arguments = [
        "--parallelism",
        "2",
        "--checkpoint-interval-ms",
        "100",
        "--checkpoints",
        "8",
        "--records",
        "200000000",
    ];
    Plan {
        name: "backpressure",
        workload: "backpressure",
        title: "backpressure, 2 ms for a batch at the sink".to_owned(),
        arguments: arguments.map(str::to_owned).to_vec(),
        text_bytes: None,
        rounds,
        variants: BACKPRESSURE.into(),
        axis: None,
    }
}

/// A run repeats what it measures by itself, so there is one round.
fn recovery(state_mb: u64, kills: u64) -> Plan {
    let arguments = ["--state-mb", &state_mb.to_string(), "--kills", &kills.to_string()];
    Plan {
        name: "recovery",
        workload: "recovery",
        title: format!("recovery, {state_mb} MB, {kills} times"),
        arguments: arguments.map(str::to_owned).to_vec(),
        text_bytes: None,
        rounds: 1,
        variants: RECOVERY.into(),
        axis: None,
    }
}
