//! Two streams in the same windows, on the harness.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use snapline_core::Timestamp;
use snapline_dataflow::{
    DataStream, Either, EventTimeSessionWindows, KeyedConnectedStreams, OutputTag, SlidingEventTimeWindows,
    TumblingEventTimeWindows,
};
use snapline_testkit::harness::OperatorHarness;
use std::time::Duration;

/// A side, a key and a number.
type Pushed = (char, String, i64);
type Pair = (String, i64, i64);

fn connected(stream: &DataStream<Pushed>) -> KeyedConnectedStreams<String, Pushed, Pushed> {
    let left = stream.filter(|(side, ..)| *side == 'l');
    let right = stream.filter(|(side, ..)| *side == 'r');
    left.connect(&right)
        .key_by(|(_, key, _)| key.clone(), |(_, key, _)| key.clone())
}

fn pair(left: &Pushed, right: &Pushed) -> Pair {
    (left.1.clone(), left.2, right.2)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Pushes what is written like `l a 5`: the number is the timestamp too. Returns the pairs, in order.
fn pairs(harness: &mut OperatorHarness<Pushed, Pair>, pushed: &str, watermark: i64) -> Vec<String> {
    for record in pushed.split(", ") {
        let [side, key, number] = record.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{record}")
        };
        let (side, number) = (side.chars().next().unwrap(), number.parse().unwrap());
        harness.push((side, key.to_owned(), number), number).unwrap();
    }
    harness.watermark(watermark).unwrap();
    let mut pairs = harness.take_timed();
    pairs.sort();
    let text = |((key, left, right), at): (Pair, Option<Timestamp>)| {
        format!("{key} {left}+{right}@{}", at.unwrap().0)
    };
    pairs.into_iter().map(text).collect()
}

#[test]
fn records_of_a_key_are_paired_when_they_are_in_the_same_tumbling_window() {
    let windows = || TumblingEventTimeWindows::of(ms(10));
    let describe = |stream| connected(&stream).window(windows()).join(pair);
    let mut harness = OperatorHarness::builder().parallelism(2).build(describe).unwrap();
    let pushed = "l a 1, l a 2, r a 9, r a 10, r b 3, l c 4, l b 19, r b 11, r b 12";
    assert_eq!(pairs(&mut harness, pushed, 9), ["a 1+9@9", "a 2+9@9"]);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = OperatorHarness::builder()
        .parallelism(3)
        .restore(&snapshot)
        .build(describe)
        .unwrap();
    assert_eq!(
        pairs(&mut harness, "l a 13", 19),
        ["a 13+10@19", "b 19+11@19", "b 19+12@19"]
    );
}

#[test]
fn a_pair_comes_once_for_each_sliding_window_that_has_both() {
    let windows = || SlidingEventTimeWindows::of(ms(10), ms(5));
    let describe = |stream| connected(&stream).window(windows()).join(pair);
    let mut harness = OperatorHarness::new(describe).unwrap();
    let expected = ["a 6+8@9", "a 6+8@14", "a 6+12@14"];
    let mut found = pairs(&mut harness, "l a 6, r a 8, r a 12", 30);
    found.sort_by_key(|pair| expected.iter().position(|known| known == pair));
    assert_eq!(found, expected);
}

#[test]
fn a_session_is_that_of_both_streams() {
    let windows = || EventTimeSessionWindows::with_gap(ms(10));
    let describe = |stream| connected(&stream).window(windows()).join(pair);
    let mut harness = OperatorHarness::new(describe).unwrap();
    let pushed = "l a 0, r a 8, l a 16, l a 40, r a 51";
    assert_eq!(
        pairs(&mut harness, pushed, 100),
        ["a 0+8@25", "a 16+8@25"],
        "8 joins 0 and 16"
    );
}

#[test]
fn a_group_has_what_only_one_stream_has_and_late_records_go_aside() {
    let late = OutputTag::<Either<Pushed, Pushed>>::new("late");
    let describe = |stream| {
        let windows = connected(&stream).window(TumblingEventTimeWindows::of(ms(10)));
        windows
            .side_output_late_data(&late)
            .co_group(|key, context, lefts, rights, out| {
                let end = context.window().end().0;
                out.collect((format!("{key} {end}"), lefts.len() as i64, rights.len() as i64));
                Ok(())
            })
    };
    let builder = OperatorHarness::builder();
    let mut harness = builder.build_with_side_output(&late, describe).unwrap();
    let found = pairs(&mut harness, "l a 1, l a 2, r b 3, l c 4, r c 5", 9);
    assert_eq!(found, ["a 10 2+0@9", "b 10 0+1@9", "c 10 1+1@9"]);
    assert!(pairs(&mut harness, "r a 6", 12).is_empty());
    let aside = harness.take_side_output(&late);
    assert!(matches!(&aside[..], [Either::Right((_, _, 6))]), "{aside:?}");
}
