//! What windows let go of.

use crate::script::{Describe, Record, add, check, millis, plain};
use snapline_dataflow::{
    CountEvictor, CountTrigger, DeltaEvictor, Evictor, GlobalWindows, TimeEvictor, Timed,
    TumblingEventTimeWindows,
};

const FOUR_AFTER: Describe = |records, late| {
    let windows = records.window(GlobalWindows).trigger(CountTrigger::of(2));
    windows
        .evictor(CountEvictor::of(4).after())
        .side_output_late_data(late)
        .reduce_with(add, plain)
};

#[test]
fn an_evictor_that_comes_after_lets_all_be_emitted_first() {
    let expected = "B: (B,2)@9223372036854775807; B: (B,4)@9223372036854775807; A: (A,2)@9223372036854775807; \
        A: (A,4)@9223372036854775807; B: (B,6)@9223372036854775807; B: (B,6)@9223372036854775807";
    check(FOUR_AFTER, "B B B B A A | A A B B B B", expected);
}

const FOUR_BEFORE: Describe = |records, late| {
    let windows = records.window(GlobalWindows).trigger(CountTrigger::of(2));
    windows
        .evictor(CountEvictor::of(4))
        .side_output_late_data(late)
        .reduce_with(add, plain)
};

#[test]
fn an_evictor_that_comes_before_keeps_the_newest() {
    let expected = "B: (B,2)@9223372036854775807; B: (B,4)@9223372036854775807; B: (B,4)@9223372036854775807";
    check(FOUR_BEFORE, "B B B B | B B", expected);
}

const TWO_SECONDS: Describe = |records, late| {
    let windows = records.window(GlobalWindows).trigger(CountTrigger::of(2));
    windows
        .evictor(TimeEvictor::of(millis(2000)))
        .side_output_late_data(late)
        .reduce_with(add, plain)
};

#[test]
fn a_time_evictor_goes_by_the_latest_timestamp_and_leaves_records_without_one() {
    let expected = "B@1500: (B,2)@9223372036854775807; B@3500: (B,2)@9223372036854775807";
    check(TWO_SECONDS, "B@1000 B@1500 | B@2000 B@3500", expected);
    check(
        TWO_SECONDS,
        "B B B B",
        "B: (B,2)@9223372036854775807; B: (B,4)@9223372036854775807",
    );
}

const TWO_SECONDS_AFTER: Describe = |records, late| {
    let windows = records.window(GlobalWindows).trigger(CountTrigger::of(2));
    windows
        .evictor(TimeEvictor::of(millis(2000)).after())
        .side_output_late_data(late)
        .reduce_with(add, plain)
};

#[test]
fn a_time_evictor_that_comes_after_emits_once_more_what_it_removes() {
    let expected = "B@9000: (B,2)@9223372036854775807; B@9500: (B,3)@9223372036854775807";
    check(TWO_SECONDS_AFTER, "B@1000 B@9000 | B@9100 B@9500", expected);
}

const NEAR: Describe = |records, late| {
    let near = DeltaEvictor::of(10.0, |(_, one): &Record, (_, newest): &Record| {
        one.abs_diff(*newest) as f64
    });
    let windows = records
        .window(GlobalWindows)
        .trigger(CountTrigger::of(2))
        .evictor(near);
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_delta_evictor_keeps_what_is_near_the_newest() {
    let expected = "B:3: (B,4)@9223372036854775807; B:12: (B,23)@9223372036854775807";
    check(NEAR, "B:1 B:3 | B:8 B:12", expected);
}

/// Nothing stays.
struct All;

impl<T, W> Evictor<T, W> for All {
    fn evict_before(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        elements.clear();
    }
}

const NOTHING: Describe = |records, late| {
    let windows = records
        .window(TumblingEventTimeWindows::of(millis(1000)))
        .evictor(All);
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_window_of_which_nothing_is_left_emits_nothing() {
    check(NOTHING, "A@1 W999", "");
}
