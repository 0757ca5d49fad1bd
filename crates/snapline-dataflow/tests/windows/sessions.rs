//! Windows that merge.

use crate::script::{Describe, Record, add, check, millis, told};
use snapline_core::{Result, Timestamp};
use snapline_dataflow::{
    CountTrigger, EventTimeSessionWindows, EventTimeTrigger, PurgingTrigger, TimeDomain, TimeWindow,
    WindowAssigner,
};

const SESSIONS: Describe = |records, late| {
    let sessions = records.window(EventTimeSessionWindows::with_gap(millis(3000)));
    sessions.side_output_late_data(late).reduce_with(add, told)
};

#[test]
fn a_session_lasts_until_nothing_has_come_for_the_gap() {
    let steps =
        "B:1@0 B:2@1000 B:3@2500 A:1@10 A:2@1000 | A:3@2500 B:4@5501 B:5@6000 B:5@6000 B:6@6050 W12000";
    let expected = "W12000: (A,6)[10,5500)@5499 (B,20)[5501,9050)@9049 (B,6)[0,5500)@5499";
    check(SESSIONS, steps, expected);
}

#[test]
fn late_records_do_not_merge_into_what_is_gone() {
    let steps = "B@1000 W1999 B@2000 W4998 B@4500 B@8500 W7400 B@7000 W11501 B@11600 W14600 B@10000 B@10100 B@14500 \
        W20000 W100000";
    let expected = "W11501: (B,5)[1000,11500)@11499; W14600: (B,1)[11600,14600)@14599; B@10000: LATE(B); \
        B@10100: LATE(B); W20000: (B,1)[14500,17500)@17499";
    check(SESSIONS, steps, expected);
}

const LATE_STEPS: &str = "B@1000 W1999 B@2000 W4998 B@4500 B@8500 W7400 B@7000 W11501 B@11600 W14600 B@10000 B@14500 \
    W20000 W100000";

const A_LITTLE_LATE: Describe = |records, late| {
    let sessions = records.window(EventTimeSessionWindows::with_gap(millis(3000)));
    sessions
        .allowed_lateness(millis(10))
        .side_output_late_data(late)
        .reduce_with(add, told)
};

#[test]
fn a_late_record_merges_with_a_session_that_is_still_there() {
    let expected = "W11501: (B,5)[1000,11500)@11499; W14600: (B,1)[11600,14600)@14599; \
        B@10000: (B,2)[10000,14600)@14599; W20000: (B,3)[10000,17500)@17499";
    check(A_LITTLE_LATE, LATE_STEPS, expected);
}

const VERY_LATE: Describe = |records, late| {
    let sessions = records.window(EventTimeSessionWindows::with_gap(millis(3000)));
    sessions
        .allowed_lateness(millis(10_000))
        .side_output_late_data(late)
        .reduce_with(add, told)
};

#[test]
fn a_late_record_makes_one_of_two_sessions_that_have_emitted() {
    let expected = "W11501: (B,5)[1000,11500)@11499; W14600: (B,1)[11600,14600)@14599; \
        B@10000: (B,7)[1000,14600)@14599; W20000: (B,8)[1000,17500)@17499";
    check(VERY_LATE, LATE_STEPS, expected);
}

const PURGED: Describe = |records, late| {
    let sessions = records.window(EventTimeSessionWindows::with_gap(millis(3000)));
    let sessions = sessions.trigger(PurgingTrigger::of(EventTimeTrigger));
    sessions
        .allowed_lateness(millis(10_000))
        .side_output_late_data(late)
        .reduce_with(add, told)
};

#[test]
fn what_a_session_has_emitted_may_be_dropped_and_its_span_stays() {
    let expected = "W11501: (B,5)[1000,11500)@11499; W14600: (B,1)[11600,14600)@14599; \
        B@10000: (B,1)[1000,14600)@14599; W20000: (B,1)[1000,17500)@17499";
    check(PURGED, LATE_STEPS, expected);
}

const FOURS: Describe = |records, late| {
    let sessions = records.window(EventTimeSessionWindows::with_gap(millis(3000)));
    sessions
        .trigger(CountTrigger::of(4))
        .side_output_late_data(late)
        .reduce_with(add, told)
};

#[test]
fn the_counts_of_sessions_are_added_when_they_merge() {
    let steps =
        "B:1@0 B:2@1000 B:3@2500 B:4@3500 A:1@10 A:2@1000 | A:3@2500 A:1@6000 A:2@6500 A:3@7000 A:10@4500";
    let expected = "B:4@3500: (B,10)[0,6500)@6499; A:10@4500: (A,22)[10,10000)@9999";
    check(FOURS, steps, expected);
}

/// Sessions in which a record of value 33 lasts no time.
#[derive(Clone)]
struct Points;

impl WindowAssigner<Record> for Points {
    type Window = TimeWindow;
    type DefaultTrigger = EventTimeTrigger;

    fn assign(&self, (_, value): &Record, at: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        let gap = if *value == 33 { 0 } else { 3000 };
        windows.push(TimeWindow::new(at, at.plus_millis(gap)));
        Ok(())
    }

    fn default_trigger(&self) -> EventTimeTrigger {
        EventTimeTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::EventTime
    }

    fn is_merging(&self) -> bool {
        true
    }
}

const POINTS: Describe = |records, late| {
    records
        .window(Points)
        .side_output_late_data(late)
        .reduce_with(add, told)
};

#[test]
fn a_window_of_no_length_joins_the_session_that_it_is_in() {
    let steps = "B:1@0 B:33@1000 | B:33@2500 A:1@10 A:2@1000 A:33@2500 W12000";
    check(POINTS, steps, "W12000: (A,36)[10,4000)@3999 (B,67)[0,3000)@2999");
}

const DYNAMIC: Describe = |records, late| {
    let gap = |(_, value): &Record| millis(*value);
    let sessions = records.window(EventTimeSessionWindows::with_dynamic_gap(gap));
    sessions.side_output_late_data(late).reduce_with(add, told)
};

#[test]
fn each_record_may_say_how_long_the_gap_behind_it_is() {
    let steps = "A:1000@0 A:10@900 A:5@950 W949 W999 A:7@2000 W5000";
    check(
        DYNAMIC,
        steps,
        "W999: (A,1015)[0,1000)@999; W5000: (A,7)[2000,2007)@2006",
    );
}

#[test]
fn a_record_between_two_sessions_makes_one_of_them_and_one_within_changes_no_bounds() {
    check(
        SESSIONS,
        "A@0 A@5000 A@1000 A@3500 W7999",
        "W7999: (A,4)[0,8000)@7999",
    );
}
