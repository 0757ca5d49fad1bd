//! Medians and ratios, as tables.

mod layout;

use super::Measurement;
pub(super) use layout::Table;

/// The figure that only workloads have which hit their job: from a SIGKILL to the first record, in ms.
pub(super) const KILL_MEDIAN: &str = "kill_first_record_ms_median";

/// The figure that only workloads have whose sink is slow: how much was in flight in a checkpoint.
pub(super) const IN_FLIGHT: &str = "in_flight_bytes";

/// The figure that only workloads have whose records come at a given rate: what 99 of 100 take, in us.
pub(super) const LATENCY: &str = "latency_us_p99";

/// How long records took: columns of the table and figures of the line.
const LATENCIES: [(&str, &str); 5] = [
    ("p50, us", "latency_us_p50"),
    ("p99", LATENCY),
    ("p99.9", "latency_us_p999"),
    ("p99.99", "latency_us_p9999"),
    ("longest", "latency_us_max"),
];

/// How soon a job went on: columns of the table and figures of the line.
const RECOVERY: [(&str, &str); 6] = [
    ("kill, ms", KILL_MEDIAN),
    ("longest", "kill_first_record_ms_max"),
    ("panic, ms", "panic_first_record_ms_median"),
    ("longest", "panic_first_record_ms_max"),
    ("panic, 1 MB", "panic_1mb_first_record_ms_median"),
    ("longest", "panic_1mb_first_record_ms_max"),
];

/// The figure that only workloads have which are rescaled: the longest time without a result, in ms.
pub(super) const GAP_UP: &str = "gap_ms_up";

/// How long no result came: columns of the table and figures of the line.
const RESCALE: [(&str, &str); 4] = [
    ("1 to 2, ms", GAP_UP),
    ("2 to 1, ms", "gap_ms_down"),
    ("running, ms", "gap_ms_running"),
    ("stopping, ms", "stop_ms_max"),
];

/// The figure that only workloads have which have nothing to do: how much memory they take, in 10^6 bytes.
const GROWN: &str = "grown_mb";

/// All variants of one plan, compared with the first where ratios are what counts.
pub(super) fn of_plan(measurements: &[Measurement]) -> Table {
    match measurements.first() {
        Some(first) if first.line[KILL_MEDIAN].is_number() => of_recovery(measurements),
        Some(first) if first.line[IN_FLIGHT].is_number() => of_checkpoints(measurements),
        Some(first) if first.line[LATENCY].is_number() => of_latency(measurements),
        Some(first) if first.line[GAP_UP].is_number() => of_rescale(measurements),
        Some(first) if first.line[GROWN].is_number() => of_idle(measurements),
        _ => of_records(measurements),
    }
}

/// How long checkpoints took, compared with the first variant.
fn of_checkpoints(measurements: &[Measurement]) -> Table {
    let mut table = Table::new(
        title(measurements),
        &[
            "variant",
            "average, ms",
            "longest, ms",
            "times",
            "in flight, KB",
            "checkpoints",
        ],
    );
    let reference = of_first_variant(measurements);
    for label in labels(measurements) {
        let these = of_variant(measurements, label);
        let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
        let times = ratio(&these, &reference, |m| m.number("checkpoint_ms_avg"));
        table.row(
            label,
            [
                format!("{:.1}", figure("checkpoint_ms_avg")),
                format!("{:.1}", figure("checkpoint_ms_max")),
                format!("{times:.1}x"),
                format!("{:.0}", figure(IN_FLIGHT) / 1e3),
                format!("{:.0}", figure("checkpoints_completed")),
            ],
        );
    }
    table
}

/// What tasks and channels take that have nothing to do.
fn of_idle(measurements: &[Measurement]) -> Table {
    let header = [
        "variant",
        "tasks",
        "channels",
        "KB per task",
        "KB per channel",
        "checkpoint, ms",
        "CPU, %",
    ];
    let mut table = Table::new(title(measurements), &header);
    for label in labels(measurements) {
        let these = of_variant(measurements, label);
        let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
        let per = |name: &str| match figure(name) {
            0.0 => "-".to_owned(),
            many => format!("{:.1}", figure(GROWN) * 1e3 / many),
        };
        table.row(
            label,
            [
                format!("{:.0}", figure("tasks")),
                format!("{:.0}", figure("channels")),
                per("tasks"),
                per("channels"),
                format!("{:.1}", figure("checkpoint_ms_avg")),
                format!("{:.0}", figure("cpu_share") * 100.0),
            ],
        );
    }
    table
}

fn of_latency(measurements: &[Measurement]) -> Table {
    let names = LATENCIES.iter().map(|(cell, _)| *cell);
    let header: Vec<&str> = ["variant", "k records/s"].into_iter().chain(names).collect();
    let mut table = Table::new(title(measurements), &header);
    for label in labels(measurements) {
        let these = of_variant(measurements, label);
        let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
        let rate = format!("{:.0}", figure("rate") / 1e3);
        let latencies = LATENCIES.iter().map(|(_, name)| format!("{:.0}", figure(name)));
        table.row(label, [rate].into_iter().chain(latencies));
    }
    table
}

fn of_recovery(measurements: &[Measurement]) -> Table {
    let names = RECOVERY.iter().map(|(cell, _)| *cell);
    let header: Vec<&str> = ["variant", "state, MB"].into_iter().chain(names).collect();
    let mut table = Table::new(title(measurements), &header);
    for label in labels(measurements) {
        let these = of_variant(measurements, label);
        let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
        let state = format!("{:.1}", figure("state_bytes") / 1e6);
        let times = RECOVERY.iter().map(|(_, name)| format!("{:.1}", figure(name)));
        table.row(label, [state].into_iter().chain(times));
    }
    table
}

fn of_rescale(measurements: &[Measurement]) -> Table {
    let names = RESCALE.iter().map(|(cell, _)| *cell);
    let header: Vec<&str> = ["variant"].into_iter().chain(names).collect();
    let mut table = Table::new(title(measurements), &header);
    for label in labels(measurements) {
        let these = of_variant(measurements, label);
        let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
        table.row(
            label,
            RESCALE.iter().map(|(_, name)| format!("{:.1}", figure(name))),
        );
    }
    table
}

fn of_records(measurements: &[Measurement]) -> Table {
    let header = [
        "variant",
        "M records/s",
        "CPU ns/record",
        "speed",
        "CPU",
        "peak MB",
        "stall us",
        "checkpoints",
        "ms each",
    ];
    let mut table = Table::new(title(measurements), &header);
    let reference = of_first_variant(measurements);
    for label in labels(measurements) {
        let these = of_variant(measurements, label);
        let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
        let speed = ratio(&reference, &these, |m| m.number("seconds"));
        let cpu = ratio(&reference, &these, Measurement::cpu_ns);
        table.row(
            label,
            [
                format!("{:.2}", figure("records_per_s") / 1e6),
                format!("{:.1}", median(these.iter().map(|m| m.cpu_ns()))),
                format!("{speed:.2}x"),
                format!("{cpu:.2}x"),
                format!("{:.0}", figure("peak_rss_mb")),
                format!("{:.0}", figure("stall_us_max")),
                format!("{:.0}", figure("checkpoints_completed")),
                format!("{:.1}", figure("checkpoint_ms_avg")),
            ],
        );
    }
    table
}

/// What has changed from one run to the other.
pub(super) fn ratios(before: &[Measurement], after: &[Measurement]) -> String {
    let of_plan = |plan: &&str| {
        let mut table = Table::new((*plan).to_owned(), &["variant", "speed", "CPU", "peak memory"]);
        let of_plan = after.iter().filter(|m| m.plan == *plan);
        for label in in_order(of_plan.map(|m| m.variant.as_str())) {
            let (old, new) = (medians(before, plan, label), medians(after, plan, label));
            let changes = [old[0] / new[0], old[1] / new[1], new[2] / old[2]];
            table.row(label, changes.map(|change| format!("{change:.2}x")));
        }
        table.to_text()
    };
    plans(after).iter().map(of_plan).collect()
}

/// Duration, CPU time per record, and peak memory of one variant.
fn medians(all: &[Measurement], plan: &str, label: &str) -> [f64; 3] {
    let these: Vec<&Measurement> = all
        .iter()
        .filter(|m| m.plan == plan && m.variant == label)
        .collect();
    let figure = |name: &str| median(these.iter().map(|m| m.number(name)));
    [
        median(these.iter().map(|m| m.duration())),
        median(these.iter().map(|m| m.cpu_ns())),
        figure("peak_rss_mb"),
    ]
}

fn plans(measurements: &[Measurement]) -> Vec<&str> {
    in_order(measurements.iter().map(|m| m.plan.as_str()))
}

fn labels(measurements: &[Measurement]) -> Vec<&str> {
    in_order(measurements.iter().map(|m| m.variant.as_str()))
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

fn title(measurements: &[Measurement]) -> String {
    measurements
        .first()
        .map_or_else(String::new, |first| first.plan.clone())
}

fn of_first_variant(measurements: &[Measurement]) -> Vec<&Measurement> {
    let first = measurements.first();
    first.map_or_else(Vec::new, |first| of_variant(measurements, &first.variant))
}

fn of_variant<'a>(measurements: &'a [Measurement], label: &str) -> Vec<&'a Measurement> {
    measurements.iter().filter(|m| m.variant == label).collect()
}

/// The median of what each round says.
fn ratio(reference: &[&Measurement], these: &[&Measurement], figure: impl Fn(&Measurement) -> f64) -> f64 {
    median(reference.iter().zip(these).map(|(a, b)| figure(a) / figure(b)))
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(variant: &str, seconds: f64) -> Measurement {
        let line =
            serde_json::json!({"seconds": seconds, "cpu_seconds": seconds, "records": 1e9, "peak_rss_mb": 8});
        Measurement {
            plan: "p".to_owned(),
            variant: variant.to_owned(),
            line,
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let rounds = [
            ("a", 1.0),
            ("b", 2.0),
            ("a", 10.0),
            ("b", 5.0),
            ("a", 2.0),
            ("b", 2.0),
        ];
        let measurements: Vec<Measurement> = rounds.iter().map(|(v, s)| measurement(v, *s)).collect();
        let table = of_plan(&measurements).to_text();
        let line = table.lines().find(|line| line.starts_with("b ")).unwrap();
        assert!(line.contains(" 1.00x "), "{table}");
        assert!(ratios(&measurements[..1], &measurements[4..5]).contains("0.50x"));
    }

    #[test]
    fn a_recovery_is_shown_and_compared_by_how_soon_the_job_went_on() {
        let recovery = |ms: f64| Measurement {
            plan: "p".to_owned(),
            variant: "v".to_owned(),
            line: serde_json::json!({"seconds": 9, "state_bytes": 5e7, KILL_MEDIAN: ms}),
        };
        assert!(of_plan(&[recovery(250.0)]).to_text().contains(" 250.0 "));
        assert!(ratios(&[recovery(250.0)], &[recovery(125.0)]).contains(" 2.00x "));
    }

    #[test]
    fn checkpoints_behind_a_slow_sink_are_compared_by_how_long_they_took() {
        let checkpoints = |variant: &str, ms: f64| Measurement {
            plan: "p".to_owned(),
            variant: variant.to_owned(),
            line: serde_json::json!({"seconds": 9, "checkpoint_ms_avg": ms, IN_FLIGHT: 5e5}),
        };
        let measurements = [checkpoints("unloaded", 10.0), checkpoints("slow", 25.0)];
        assert!(of_plan(&measurements).to_text().contains(" 2.5x "));
        assert!(ratios(&measurements[..1], &[checkpoints("unloaded", 5.0)]).contains(" 2.00x "));
    }

    #[test]
    fn records_at_a_given_rate_are_compared_by_how_long_they_took() {
        let latency = |us: f64| Measurement {
            plan: "p".to_owned(),
            variant: "v".to_owned(),
            line: serde_json::json!({"seconds": 9, "rate": 250_000, LATENCY: us}),
        };
        let table = of_plan(&[latency(80.0)]).to_text();
        assert!(table.contains(" 250 ") && table.contains(" 80 "), "{table}");
        assert!(ratios(&[latency(80.0)], &[latency(40.0)]).contains(" 2.00x "));
    }

    #[test]
    fn a_job_that_was_rescaled_is_shown_and_compared_by_how_long_no_result_came() {
        let rescale = |ms: f64| Measurement {
            plan: "p".to_owned(),
            variant: "v".to_owned(),
            line: serde_json::json!({"seconds": 9, GAP_UP: ms, "gap_ms_down": 3.25}),
        };
        let table = of_plan(&[rescale(40.0)]).to_text();
        assert!(table.contains(" 40.0 ") && table.contains(" 3.2 "), "{table}");
        assert!(ratios(&[rescale(40.0)], &[rescale(20.0)]).contains(" 2.00x "));
    }

    #[test]
    fn memory_of_idle_tasks_is_told_for_each_task_and_each_channel() {
        let idle = Measurement {
            plan: "p".to_owned(),
            variant: "v".to_owned(),
            line: serde_json::json!({"seconds": 9, "tasks": 20, "channels": 100, GROWN: 5.0}),
        };
        let table = of_plan(&[idle]).to_text();
        assert!(table.contains(" 250.0 ") && table.contains(" 50.0 "), "{table}");
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
        assert!(median([].into_iter()).is_nan());
    }
}
