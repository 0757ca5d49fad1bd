//! Alignment as marbles: one line per channel, one line for what comes out.
//!
//! Numbers are records, `|1` is the barrier of checkpoint 1, `x1` its cancel marker, `.` the end.
//! The first channel that is neither blocked nor empty delivers next.

use crate::gate::{Element, Event, Gate, Hold};
use snapline_barrier::{AlignmentAction, BarrierAligner, BarrierHandler, BarrierTracker, EndOfInputRule};

fn element(marble: &str) -> Element {
    match marble.split_at(1) {
        ("|", id) => Element::Barrier(id.parse().unwrap()),
        ("x", id) => Element::Cancel(id.parse().unwrap()),
        (".", "") => Element::End,
        _ => Element::Data(marble.parse().unwrap()),
    }
}

fn play(handler: impl BarrierHandler, hold: Hold, channels: &[&str]) -> String {
    let inputs = channels.iter().map(|line| {
        let (_name, marbles) = line.split_once(':').unwrap();
        marbles.split_whitespace().map(element).collect()
    });
    let mut gate = Gate::new(handler, hold, &inputs.collect::<Vec<_>>(), &[]);
    while let Some(channel) = { gate.movable().next() } {
        gate.step(channel);
    }
    let marble = |event: &Event| match event {
        Event::Took(_, Element::Data(record)) => Some(record.to_string()),
        Event::Did(AlignmentAction::Snapshot { barrier, .. }) => Some(format!("|{}", barrier.checkpoint)),
        Event::Did(AlignmentAction::ForwardCancel(checkpoint)) => Some(format!("x{checkpoint}")),
        _ => None,
    };
    gate.log.iter().filter_map(marble).collect::<Vec<_>>().join(" ")
}

fn check(a: &str, b: &str, expected: &str) {
    for hold in [Hold::WhenBlocked, Hold::AtBarrier] {
        let aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
        assert_eq!(play(aligner, hold, &[a, b]), expected, "{a} {b} {hold:?}");
    }
}

fn check_tracker(a: &str, b: &str, expected: &str) {
    let tracker = BarrierTracker::new(2, EndOfInputRule::StandsIn);
    assert_eq!(play(tracker, Hold::WhenBlocked, &[a, b]), expected, "{a} {b}");
}

#[test]
fn a_channel_waits_behind_its_barrier_for_the_other() {
    check("a: 1 |1 2", "b: |1 3", "1 |1 2 3");
    check("a: |1 1 2", "b: 3 4 |1 5", "3 4 |1 1 2 5");
    check("a: 1 |1 2 |2 3", "b: 4 |1 5 |2 6", "1 4 |1 2 5 |2 3 6");
}

#[test]
fn a_channel_without_a_barrier_holds_the_other_up() {
    check("a: 1 |1 2", "b: 3 4", "1 3 4");
}

#[test]
fn an_ended_channel_is_not_waited_for() {
    check("a: |1 1", "b: 2 .", "2 |1 1");
    check("a: . ", "b: 1 |1 2", "1 |1 2");
}

#[test]
fn a_cancel_marker_lets_the_waiting_channel_go() {
    check("a: |1 1 |2 2", "b: 3 x1 4 |2 5", "3 x1 1 4 |2 2 5");
}

#[test]
fn a_newer_barrier_lets_the_waiting_channel_go() {
    check("a: |1 1 |2 2", "b: 3 |2 4", "3 x1 1 |2 2 4");
}

#[test]
fn at_least_once_nothing_waits() {
    check_tracker("a: 1 |1 2", "b: |1 3", "1 2 |1 3");
    check_tracker("a: |1 1 |2 2", "b: 3 |1 4 |2 5", "1 2 3 |1 4 |2 5");
    check_tracker("a: |1 1", "b: 2 x1 3", "1 2 x1 3");
}
