//! Tumbling and sliding windows of event time, and records that are late.

use crate::script::{Describe, add, check, millis, plain, told};
use snapline_dataflow::{
    EventTimeTrigger, GlobalWindows, PurgingTrigger, SlidingEventTimeWindows, TumblingEventTimeWindows,
};

const TUMBLING: Describe = |records, late| {
    let windows = records.window(TumblingEventTimeWindows::of(millis(3000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_tumbling_window_emits_when_event_time_has_passed_its_end() {
    let steps =
        "B@3999 B@3000 A@20 A@0 A@999 B@1998 B@1999 B@1000 W999 W1999 | W2999 W3999 W4999 W5999 W6999 W7999";
    check(TUMBLING, steps, "W2999: (A,3)@2999 (B,3)@2999; W5999: (B,2)@5999");
}

#[test]
fn windows_before_the_epoch_are_windows_like_others() {
    check(
        TUMBLING,
        "A@-1 A@-3000 A@0 A@-3001 W-3002 W-3001 W-1 W2999",
        "W-3001: (A,1)@-3001; W-1: (A,2)@-1; W2999: (A,1)@2999",
    );
}

#[test]
fn a_window_at_the_end_of_time_emits_at_the_end_of_the_stream() {
    check(
        TUMBLING,
        "A@9223372036854775806 A@MAX W9223372036854775000 end",
        "end: (A,2)@9223372036854775806",
    );
    check(
        TUMBLING,
        "A@-9223372036854775808 A@-9223372036854775807 W0",
        "W0: (A,2)@-9223372036854774001",
    );
}

const MOVED: Describe = |records, late| {
    let windows = TumblingEventTimeWindows::of(millis(5000)).with_offset_millis(-100);
    records
        .window(windows)
        .side_output_late_data(late)
        .reduce_with(add, told)
};

#[test]
fn an_offset_moves_windows_to_either_side() {
    check(
        MOVED,
        "A@0 A@4899 A@4900 W9899",
        "W9899: (A,1)[4900,9900)@9899 (A,2)[-100,4900)@4899",
    );
}

const PURGED_LATE: Describe = |records, late| {
    let windows = records.window(TumblingEventTimeWindows::of(millis(2000)));
    let windows = windows
        .trigger(PurgingTrigger::of(EventTimeTrigger))
        .allowed_lateness(millis(500));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_late_record_that_is_allowed_emits_at_once_and_one_that_is_not_goes_aside() {
    check(
        PURGED_LATE,
        "B@500 W1500 B@1300 W2300 B@1997 W6000 B@1998 W7000",
        "W2300: (B,2)@1999; B@1997: (B,1)@1999; B@1998: LATE(B)",
    );
}

const ACCUMULATED_LATE: Describe = |records, late| {
    let windows = records.window(TumblingEventTimeWindows::of(millis(2000)));
    windows
        .allowed_lateness(millis(500))
        .side_output_late_data(late)
        .reduce_with(add, plain)
};

#[test]
fn a_window_that_keeps_its_records_emits_all_of_them_again_for_a_late_one() {
    check(
        ACCUMULATED_LATE,
        "B@500 W2300 B@1997 W2499 B@1998",
        "W2300: (B,1)@1999; B@1997: (B,2)@1999; B@1998: LATE(B)",
    );
}

const LATE_AT_THE_END_OF_TIME: Describe = |records, late| {
    let windows = records.window(TumblingEventTimeWindows::of(millis(1000)));
    windows
        .allowed_lateness(millis(2000))
        .side_output_late_data(late)
        .reduce_with(add, plain)
};

#[test]
fn a_lateness_beyond_the_end_of_time_overflows_nothing() {
    // MAX is ...775807, so the window ends at ...775000 and would go at ...776999.
    check(
        LATE_AT_THE_END_OF_TIME,
        "A@9223372036854774057 W9223372036854774307 W9223372036854774999",
        "W9223372036854774999: (A,1)@9223372036854774999",
    );
}

const SLIDING: Describe = |records, late| {
    let windows = records.window(SlidingEventTimeWindows::of(millis(3000), millis(1000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_record_that_is_late_for_some_of_its_windows_is_in_the_others() {
    let steps = "B@1000 W1999 B@2000 W3000 A@3001 B@2400 B@2400 A@3001 B@3900 W6000 A@3001 W25000";
    let expected = "W1999: (B,1)@1999; W3000: (B,2)@2999; \
        W6000: (A,2)@3999 (A,2)@4999 (A,2)@5999 (B,1)@5999 (B,4)@4999 (B,5)@3999; A@3001: LATE(A)";
    check(SLIDING, steps, expected);
}

const GAPS: Describe = |records, late| {
    let windows = records.window(SlidingEventTimeWindows::of(millis(1000), millis(3000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_record_between_windows_is_in_none_and_not_lost_as_late() {
    check(
        GAPS,
        "A@999 A@1000 A@2999 A@3000 W3999",
        "W3999: (A,1)@3999 (A,1)@999",
    );
    check(GAPS, "W3500 A@3999 W5000", "W5000: (A,1)@3999");
}

const GLOBAL: Describe = |records, late| {
    records
        .window(GlobalWindows)
        .side_output_late_data(late)
        .trigger(EventTimeTrigger)
        .reduce_with(add, plain)
};

#[test]
fn a_global_window_is_never_late_and_ends_with_the_stream() {
    check(
        GLOBAL,
        "A@5 W1000 A@3 B | W5000 end",
        "end: (A,2)@9223372036854775807 (B,1)@9223372036854775807",
    );
}
