//! Windows by the clock.

use crate::script::{Describe, add, check, millis, plain, told};
use snapline_dataflow::{
    ContinuousProcessingTimeTrigger, GlobalWindows, ProcessingTimeSessionWindows,
    SlidingProcessingTimeWindows, TumblingProcessingTimeWindows,
};

const TUMBLING: Describe = |records, late| {
    let windows = records.window(TumblingProcessingTimeWindows::of(millis(3000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn windows_by_the_clock_ignore_timestamps() {
    check(
        TUMBLING,
        "T3 B@MAX B@7000 B A@7000 A@7000 | T5000 A@7000 A A@7000 W100000 T7000",
        "T5000: (A,2)@2999 (B,3)@2999; T7000: (A,3)@5999",
    );
}

const SLIDING: Describe = |records, late| {
    let windows = records.window(SlidingProcessingTimeWindows::of(millis(3000), millis(1000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn sliding_windows_by_the_clock_have_each_record_several_times() {
    check(
        SLIDING,
        "T3 A T1000 B T2000 A T3000 T5000",
        "T1000: (A,1)@999; T2000: (A,1)@1999 (B,1)@1999; T3000: (A,2)@2999 (B,1)@2999; \
            T5000: (A,1)@3999 (A,1)@4999 (B,1)@3999",
    );
}

const SESSIONS: Describe = |records, late| {
    let sessions = records.window(ProcessingTimeSessionWindows::with_gap(millis(3000)));
    sessions.side_output_late_data(late).reduce_with(add, told)
};

#[test]
fn sessions_by_the_clock_end_when_nothing_has_come_for_the_gap() {
    check(
        SESSIONS,
        "T3 B T1000 B T5000 B B A A A T10000",
        "T5000: (B,2)[3,4000)@3999; T10000: (A,3)[5000,8000)@7999 (B,2)[5000,8000)@7999",
    );
}

const CONTINUOUS: Describe = |records, late| {
    let windows = records
        .window(GlobalWindows)
        .trigger(ContinuousProcessingTimeTrigger::of(millis(1000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_window_may_emit_each_second_of_the_clock() {
    check(
        CONTINUOUS,
        "T100 A | T999 T1000 A A T1500 T2500",
        "T1000: (A,1)@9223372036854775807; T2500: (A,3)@9223372036854775807",
    );
}
