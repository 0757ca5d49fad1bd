//! Tests of event time at a source with several splits.

use super::*;
use crate::testing::RecordingLink;
use snapline_core::Timestamp;
use std::time::Duration;

fn times(splits: usize, idleness: Option<u64>) -> (SplitTimes<i64>, RecordingLink) {
    let strategy = WatermarkStrategy::for_monotonous_timestamps();
    let strategy = strategy.with_timestamp_assigner(|record: &i64| Timestamp(*record));
    let strategy = match idleness {
        Some(millis) => strategy.with_idleness(Duration::from_millis(millis)),
        None => strategy,
    };
    (SplitTimes::new(strategy, splits), RecordingLink::default())
}

#[test]
fn event_time_is_that_of_the_slowest_split_until_it_is_read_to_its_end() {
    let (mut times, next) = times(2, None);
    let mut send = |split, records: &[i64]| {
        times
            .send(Some(split), &mut records.to_vec().into(), &mut next.clone())
            .unwrap();
    };
    send(0, &[10, 20]);
    send(1, &[5]);
    send(1, &[30]);
    times.finish(vec![0]);
    times
        .send(Some(1), &mut vec![31].into(), &mut next.clone())
        .unwrap();
    assert_eq!(next.take(), "10@10 20@20 | 5@5 | W4 30@30 | W19 31@31 | W30");
}

#[test]
fn the_splits_of_a_reader_that_does_not_tell_them_apart_are_one_stream() {
    for splits in [0, 1, 3] {
        let (mut times, mut next) = times(splits, None);
        times.send(None, &mut vec![10].into(), &mut next).unwrap();
        times.send(None, &mut vec![8, 12].into(), &mut next).unwrap();
        assert_eq!(next.take(), "10@10 | W9 8@8 12@12 | W11", "{splits} splits");
    }
}

#[test]
fn splits_are_idle_by_themselves_and_the_reader_with_the_last_of_them() {
    let (mut times, mut next) = times(2, Some(10));
    times.send(Some(0), &mut vec![10].into(), &mut next).unwrap();
    times.send(Some(1), &mut vec![20].into(), &mut next).unwrap();
    assert_eq!(next.take(), "10@10 | 20@20 | W9");
    let tell = |times: &mut SplitTimes<i64>, now| {
        let mut alarm = Alarm::new(Timestamp(now));
        times.on_processing_time(&mut alarm, &mut next.clone()).unwrap();
        alarm.next()
    };
    assert_eq!(tell(&mut times, 0), Some(Timestamp(11)));
    times
        .send(Some(1), &mut vec![22].into(), &mut next.clone())
        .unwrap();
    assert_eq!(tell(&mut times, 11), Some(Timestamp(22)));
    assert_eq!(next.take(), "22@22 | W21");
    assert_eq!(tell(&mut times, 22), None);
    times.send(Some(0), &mut vec![40].into(), &mut next).unwrap();
    assert_eq!(next.take(), "idle active 40@40 | W39");
}
