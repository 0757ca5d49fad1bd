//! Tests of timestamps and watermarks in the middle of a chain.

use super::*;
use crate::alarm::Alarm;
use crate::testing::RecordingLink;
use crate::time::generator::{WatermarkGenerator, WatermarkOutput};
use snapline_core::{ErrorKind, Timestamp};
use std::time::Duration;

fn assign(strategy: WatermarkStrategy<i64>) -> (AssignLink<i64>, RecordingLink) {
    let next = RecordingLink::default();
    let link = AssignLink {
        stamper: Stamper::new(&strategy),
        watermark: Watermark::MIN,
        watermarks: Vec::new(),
        next: Box::new(next.clone()),
    };
    (link, next)
}

fn signal(link: &mut AssignLink<i64>, signal: Signal<'_>) {
    let mut signal = signal;
    link.on_signal(&mut signal).unwrap();
}

fn own_time(strategy: WatermarkStrategy<i64>) -> WatermarkStrategy<i64> {
    strategy.with_timestamp_assigner(|record| Timestamp(*record))
}

#[test]
fn a_watermark_follows_the_records_of_a_batch_and_never_goes_back() {
    let bound = Duration::from_millis(10);
    let (mut link, next) = assign(own_time(WatermarkStrategy::for_bounded_out_of_orderness(bound)));
    link.on_batch(&mut vec![50, 45].into()).unwrap();
    link.on_batch(&mut vec![48].into()).unwrap();
    link.on_batch(&mut vec![60].into()).unwrap();
    assert_eq!(next.take(), "50@50 45@45 | W39 48@48 | 60@60 | W49");
}

#[test]
fn the_end_is_the_only_watermark_from_before_that_counts() {
    let (mut link, next) = assign(own_time(WatermarkStrategy::for_monotonous_timestamps()));
    signal(&mut link, Signal::Watermark(Watermark(Timestamp(70))));
    signal(&mut link, Signal::Idle);
    signal(&mut link, Signal::Active);
    link.on_batch(&mut vec![5].into()).unwrap();
    signal(&mut link, Signal::Watermark(Watermark::MAX));
    signal(&mut link, Signal::EndOfData);
    assert_eq!(next.take(), "5@5 | W4 MAX end");
}

/// Says that the time of each odd record has come, and one that is earlier.
struct AtOdd;

impl WatermarkGenerator<i64> for AtOdd {
    fn on_event(&mut self, event: &i64, timestamp: Timestamp, out: &mut WatermarkOutput) {
        if event % 2 != 0 {
            out.emit_watermark(Watermark(timestamp));
            out.emit_watermark(Watermark(Timestamp(-7)));
        }
    }

    fn on_periodic_emit(&mut self, _: &mut WatermarkOutput) {}
}

#[test]
fn a_watermark_of_a_record_stands_behind_it_in_the_middle_of_a_batch() {
    let (mut link, next) = assign(own_time(WatermarkStrategy::for_generator(|| AtOdd)));
    link.on_batch(&mut vec![2, 3, 4, 5, 3, 6].into()).unwrap();
    link.on_batch(&mut vec![7].into()).unwrap();
    assert_eq!(next.take(), "2@2 3@3 | W3 4@4 5@5 | W5 3@3 6@6 | 7@7 | W7");
}

#[test]
fn timestamps_that_records_have_are_kept_and_without_any_the_error_says_what_to_do() {
    let (mut link, next) = assign(WatermarkStrategy::for_monotonous_timestamps());
    let mut stamped = Batch {
        timestamps: Some(vec![Timestamp(9)]),
        ..Batch::from(vec![1])
    };
    link.on_batch(&mut stamped).unwrap();
    assert_eq!(next.take(), "1@9 | W8");
    let error = link.on_batch(&mut vec![1].into()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("with_timestamp_assigner"), "{error}");
}

#[test]
fn a_stream_without_records_is_idle_after_the_timeout_and_active_with_the_next() {
    let idle_after = Duration::from_millis(10);
    let strategy = WatermarkStrategy::for_monotonous_timestamps().with_idleness(idle_after);
    let (mut link, next) = assign(own_time(strategy));
    let mut asked = Vec::new();
    for now in [0, 5, 11] {
        let mut alarm = Alarm::new(Timestamp(now));
        signal(&mut link, Signal::ProcessingTime(&mut alarm));
        asked.push(alarm.next());
        assert!(alarm.is_heard());
    }
    assert_eq!(asked, [Some(Timestamp(11)), Some(Timestamp(11)), None]);
    link.on_batch(&mut vec![1].into()).unwrap();
    assert_eq!(next.take(), "idle active 1@1 | W0");
}

#[test]
fn who_sets_no_timeout_does_not_listen_to_the_clock() {
    let (mut link, _) = assign(own_time(WatermarkStrategy::for_monotonous_timestamps()));
    let mut alarm = Alarm::new(Timestamp(0));
    signal(&mut link, Signal::ProcessingTime(&mut alarm));
    assert!(!alarm.is_heard());
}

#[test]
fn timestamps_at_the_ends_of_time_overflow_nothing() {
    let bound = Duration::MAX;
    let (mut link, next) = assign(own_time(WatermarkStrategy::for_bounded_out_of_orderness(bound)));
    link.on_batch(&mut vec![i64::MIN, i64::MAX].into()).unwrap();
    let records = format!("{0}@{0} {1}@{1} |", i64::MIN, i64::MAX);
    assert_eq!(next.take(), records);
    let (mut link, next) = assign(own_time(WatermarkStrategy::for_monotonous_timestamps()));
    link.on_batch(&mut vec![i64::MIN, i64::MAX].into()).unwrap();
    assert_eq!(next.take(), format!("{records} W{}", i64::MAX - 1));
}
