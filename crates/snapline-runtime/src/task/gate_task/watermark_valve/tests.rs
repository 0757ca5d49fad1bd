//! Scenarios of merged watermarks, after those of Flink's valve.

use super::*;
use snapline_core::Timestamp;

/// Runs steps like `0:25` (a watermark on channel 0), `1 idle` and `1 on`, each with what the task is told
/// then: watermarks, `idle`, `on`.
fn check(channels: usize, steps: &[(&str, &str)]) {
    let mut valve = WatermarkValve::new(channels);
    for (step, expected) in steps {
        let mut told = Vec::new();
        let channel: usize = step[..1].parse().unwrap();
        match &step[1..] {
            " idle" => valve.on_idle(channel, &mut told),
            " on" => told.extend(valve.on_active(channel)),
            watermark => {
                let millis = watermark[1..].parse().unwrap();
                told.extend(valve.on_watermark(channel, Watermark(Timestamp(millis))));
            }
        }
        let told: Vec<String> = told.iter().map(text).collect();
        assert_eq!(told.join(" "), *expected, "at {step} of {steps:?}");
    }
}

fn text(told: &TimeSignal) -> String {
    match told {
        TimeSignal::Watermark(watermark) => watermark.0.to_string(),
        TimeSignal::Idle => "idle".to_owned(),
        TimeSignal::Active => "on".to_owned(),
    }
}

#[test]
fn one_channel_is_followed_and_never_back() {
    check(1, &[("0:0", "0"), ("0:25", "25")]);
    check(1, &[("0:25", "25"), ("0:18", ""), ("0:42", "42"), ("0:42", "")]);
}

#[test]
fn the_slowest_channel_counts() {
    check(3, &[("0:25", ""), ("1:10", ""), ("2:17", "10")]);
    check(
        3,
        &[
            ("0:5", ""),
            ("1:7", ""),
            ("2:9", "5"),
            ("0:12", "7"),
            ("1:8", "8"),
            ("2:10", ""),
            ("1:15", "10"),
        ],
    );
}

#[test]
fn a_channel_that_goes_back_is_not_heard() {
    let steps = [
        ("0:25", ""),
        ("1:10", ""),
        ("2:17", "10"),
        ("0:12", ""),
        ("1:8", ""),
        ("2:15", ""),
    ];
    check(3, &steps);
}

#[test]
fn all_have_to_be_idle_and_one_is_enough_to_be_active() {
    let steps = [
        ("0 on", ""),
        ("1 on", ""),
        ("1 idle", ""),
        ("1 idle", ""),
        ("0 idle", "idle"),
        ("0 idle", ""),
        ("1 on", "on"),
        ("1 on", ""),
        ("0 on", ""),
    ];
    check(2, &steps);
}

#[test]
fn one_channel_is_idle_and_active_by_itself() {
    check(
        1,
        &[
            ("0:25", "25"),
            ("0 idle", "idle"),
            ("0:50", ""),
            ("0 on", "on"),
            ("0:50", "50"),
        ],
    );
}

#[test]
fn event_time_does_not_wait_for_channels_that_become_idle_one_after_another() {
    check(
        3,
        &[
            ("0:25", ""),
            ("1:10", ""),
            ("2:17", "10"),
            ("1 idle", "17"),
            ("2 idle", "25"),
        ],
    );
}

#[test]
fn the_latest_watermark_is_told_when_the_last_to_become_idle_held_it_back() {
    let steps = [
        ("0:10", ""),
        ("1:5", ""),
        ("2:3", "3"),
        ("0 idle", ""),
        ("1 idle", ""),
        ("2 idle", "10 idle"),
    ];
    check(3, &steps);
    check(
        2,
        &[("0:10", ""), ("1:5", "5"), ("1 idle", "10"), ("0 idle", "idle")],
    );
}

#[test]
fn a_channel_that_comes_back_behind_counts_when_it_has_caught_up() {
    let steps = [
        ("0:10", ""),
        ("1:3", ""),
        ("2:12", "3"),
        ("1 idle", "10"),
        ("1 on", ""),
        ("1:6", ""),
        ("0:20", "12"),
        ("1:9", ""),
        ("2:25", "20"),
        ("1:22", ""),
        ("0:30", "22"),
        ("1:28", "25"),
    ];
    check(3, &steps);
}

#[test]
fn nothing_is_told_while_only_a_channel_that_is_behind_is_active() {
    let steps = [
        ("0:10", ""),
        ("1:12", ""),
        ("2:5", "5"),
        ("2 idle", "10"),
        ("2 on", ""),
        ("0 idle", "12"),
        ("1 idle", ""),
        ("2:7", ""),
        ("2:11", ""),
        ("2:13", "13"),
    ];
    check(3, &steps);
}

#[test]
fn a_channel_that_is_behind_and_becomes_idle_again_changes_nothing() {
    check(
        2,
        &[
            ("0:7", ""),
            ("1:10", "7"),
            ("0 idle", "10"),
            ("0 on", ""),
            ("0:9", ""),
            ("0 idle", ""),
        ],
    );
}

#[test]
fn a_channel_that_comes_back_and_is_not_behind_counts_at_once() {
    check(
        2,
        &[
            ("0:20", ""),
            ("1:10", "10"),
            ("0 idle", ""),
            ("0 on", ""),
            ("1:30", "20"),
        ],
    );
}
