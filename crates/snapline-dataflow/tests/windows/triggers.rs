//! When windows emit, and what stays.

use crate::script::{Describe, Record, add, check, millis, plain};
use snapline_core::Timestamp;
use snapline_dataflow::{
    ContinuousEventTimeTrigger, CountTrigger, DataStream, DeltaTrigger, GlobalWindows, OutputTag,
    PurgingTrigger, SlidingEventTimeWindows, Trigger, TriggerContext, TriggerResult,
    TumblingEventTimeWindows, Window,
};
use snapline_testkit::harness::OperatorHarness;

const EACH_THREE_SECONDS: Describe = |records, late| {
    let windows = records
        .window(GlobalWindows)
        .trigger(ContinuousEventTimeTrigger::of(millis(3000)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_continuous_trigger_emits_at_each_multiple_of_its_interval() {
    let steps =
        "A@0 B@3000 B@3999 A@20 A@999 B@1998 B@1999 B@1000 W1000 W2000 W3000 W4000 | W5000 W6000 W7000 W8000";
    let expected =
        "W3000: (A,3)@9223372036854775807; W6000: (A,3)@9223372036854775807 (B,5)@9223372036854775807";
    check(EACH_THREE_SECONDS, steps, expected);
}

const TWOS: Describe = |records, late| {
    let windows = records.window(GlobalWindows).trigger(CountTrigger::of(2));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_count_trigger_counts_anew_after_it_has_fired() {
    let expected = "A: (A,2)@9223372036854775807; A: (A,4)@9223372036854775807";
    check(TWOS, "A A A | B A", expected);
}

const PURGED_TWOS: Describe = |records, late| {
    let windows = records
        .window(GlobalWindows)
        .trigger(PurgingTrigger::of(CountTrigger::of(2)));
    windows.side_output_late_data(late).reduce_with(add, plain)
};

#[test]
fn a_purging_trigger_emits_each_record_once() {
    check(
        PURGED_TWOS,
        "A:1 A:2 A:3 | A:4",
        "A:2: (A,3)@9223372036854775807; A:4: (A,7)@9223372036854775807",
    );
}

const MORE_THAN_TEN: Describe = |records, late| {
    let far = DeltaTrigger::of(10.0, |(_, from): &Record, (_, to): &Record| {
        from.abs_diff(*to) as f64
    });
    records
        .window(GlobalWindows)
        .side_output_late_data(late)
        .trigger(far)
        .reduce_with(add, plain)
};

#[test]
fn a_delta_trigger_compares_with_the_record_that_made_it_fire() {
    let expected = "A:11: (A,21)@9223372036854775807; A:22: (A,59)@9223372036854775807";
    check(MORE_THAN_TEN, "A:0 A:10 | A:11 A:16 A:22", expected);
}

/// Does what the value of a record says: 1 fires, 2 purges, 3 does both, 8 waits for the clock to be at 50, anything else waits.
/// Timers at 100 fire.
#[derive(Clone)]
struct Told;

impl<W: Window> Trigger<Record, W> for Told {
    type State = u64;

    fn on_element(
        &self,
        (_, value): &Record,
        _: &W,
        seen: &mut u64,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        *seen += 1;
        context.add_event_time_timer(Timestamp(100));
        context.add_event_time_timer(Timestamp(100));
        if *value == 9 {
            context.delete_event_time_timer(Timestamp(100));
        }
        if *value == 8 {
            context.add_processing_time_timer(Timestamp(50));
        }
        match value {
            1 => TriggerResult::Fire,
            2 => TriggerResult::Purge,
            3 => TriggerResult::FireAndPurge,
            _ => TriggerResult::Continue,
        }
    }

    /// Purges, and fires too, when two records have come.
    fn on_event_time(&self, _: Timestamp, _: &W, seen: &mut u64, _: &mut TriggerContext) -> TriggerResult {
        if *seen >= 2 {
            TriggerResult::FireAndPurge
        } else {
            TriggerResult::Purge
        }
    }

    /// Fires, purges or does both by how many records have come.
    fn on_processing_time(
        &self,
        _: Timestamp,
        _: &W,
        seen: &mut u64,
        _: &mut TriggerContext,
    ) -> TriggerResult {
        match seen {
            1 => TriggerResult::Fire,
            2 => TriggerResult::Purge,
            3 => TriggerResult::FireAndPurge,
            _ => TriggerResult::Continue,
        }
    }
}

const AS_TOLD: Describe = |records, late| {
    let windows = records.window(TumblingEventTimeWindows::of(millis(1000)));
    windows
        .side_output_late_data(late)
        .trigger(Told)
        .reduce_with(add, plain)
};

#[test]
fn a_trigger_fires_and_purges_independently_and_keeps_its_state_when_contents_go() {
    check(
        AS_TOLD,
        "A:5@0 A:1@0 A:5@0 A:3@0 A:5@0 A:1@0",
        "A:1@0: (A,6)@999; A:3@0: (A,14)@999; A:1@0: (A,6)@999",
    );
    check(AS_TOLD, "A:5@0 A:2@0 A:1@0", "A:1@0: (A,1)@999");
    check(AS_TOLD, "A:5@0 W99 W100 W999", "");
    check(AS_TOLD, "A:5@0 A:2@0 A:7@0 W99 | W100 W999", "W100: (A,7)@999");
    check(AS_TOLD, "A:5@0 A:9@0 W100 W998 W999", "W999: (A,14)@999");
    check(
        AS_TOLD,
        "A:8@0 T49 T50 | A:1@0",
        "T50: (A,8)@999; A:1@0: (A,9)@999",
    );
    check(AS_TOLD, "A:8@0 A:5@0 T50 A:1@0", "A:1@0: (A,1)@999");
    check(
        AS_TOLD,
        "A:8@0 A:5@0 | A:5@0 T50 A:1@0",
        "T50: (A,18)@999; A:1@0: (A,1)@999",
    );
    check(
        AS_TOLD,
        "A:8@0 A:5@0 A:5@0 A:5@0 T50 T60 A:1@0",
        "A:1@0: (A,24)@999",
    );
}

const EACH_IN_TWO: Describe = |records, late| {
    let windows = records.window(SlidingEventTimeWindows::of(millis(2000), millis(1000)));
    windows
        .side_output_late_data(late)
        .trigger(CountTrigger::of(1))
        .reduce_with(add, plain)
};

#[test]
fn the_windows_of_a_record_fire_by_themselves() {
    check(
        EACH_IN_TWO,
        "A@1500 A@2500",
        "A@1500: (A,1)@1999 (A,1)@2999; A@2500: (A,1)@3999 (A,2)@2999",
    );
}

/// Waits for the moment at which a window that takes records for 500 ms after its end is let go, and fires then.
#[derive(Clone)]
struct AtCleanup;

impl<W: Window> Trigger<Record, W> for AtCleanup {
    type State = ();

    fn on_element(&self, _: &Record, window: &W, (): &mut (), context: &mut TriggerContext) -> TriggerResult {
        context.add_event_time_timer(window.max_timestamp().plus_millis(500));
        TriggerResult::Continue
    }

    fn on_event_time(&self, _: Timestamp, _: &W, (): &mut (), _: &mut TriggerContext) -> TriggerResult {
        TriggerResult::Fire
    }
}

const WHEN_LET_GO: Describe = |records, late| {
    records
        .window(TumblingEventTimeWindows::of(millis(1000)))
        .allowed_lateness(millis(500))
        .side_output_late_data(late)
        .trigger(AtCleanup)
        .reduce_with(add, plain)
};

#[test]
fn a_window_whose_trigger_waits_for_the_moment_it_is_let_go_fires_once_and_is_gone() {
    let steps = "A@0 A@999 W999 A@1 W1498 | W1499 A@2 W5000";
    check(WHEN_LET_GO, steps, "W1499: (A,3)@999; A@2: LATE(A)");
    let tag = OutputTag::new("late");
    let mut harness = OperatorHarness::builder()
        .build_with_side_output(&tag, |records: DataStream<Record>| {
            WHEN_LET_GO(records.key_by(|(key, _)| key.clone()), &tag)
        })
        .unwrap();
    let mut bytes_at = |watermark| {
        harness.watermark(watermark).unwrap();
        let bytes = harness.snapshot().unwrap().bytes();
        harness.push(("A".to_owned(), 1), 0).unwrap();
        bytes
    };
    let [empty, full, gone] = [0, 1498, 1499].map(&mut bytes_at);
    assert!(full > empty);
    assert_eq!(gone, empty, "state is left of a window that was let go");
}
