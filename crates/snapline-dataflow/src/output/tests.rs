//! Tests of the ends of chains.

use super::*;
use crate::testing::{RecordingPort, Sent};
use snapline_core::{MaxParallelism, StableHasher, SubtaskIndex, Timestamp};
use std::sync::Arc;

const MAX: MaxParallelism = MaxParallelism::DEFAULT;

fn settings(partitioning: Partitioning, batch_records: usize) -> OutputSettings {
    OutputSettings {
        partitioning,
        max_parallelism: MAX,
        batch_records,
        seed: 7,
    }
}

fn output(partitioning: Partitioning, channels: usize, batch_records: usize) -> (Output<u64>, RecordingPort) {
    let port = RecordingPort::new(channels);
    (
        Output::new(settings(partitioning, batch_records), Box::new(port.clone())),
        port,
    )
}

fn keyed(records: std::ops::Range<u64>) -> Batch<u64> {
    let mut hasher = StableHasher::new();
    let hashes = records
        .clone()
        .map(|record| hasher.hash(&record).unwrap())
        .collect();
    Batch {
        hashes: Some(hashes),
        ..Batch::from(records.collect::<Vec<_>>())
    }
}

fn records_of(sent: &[Sent], wanted: usize) -> Vec<u64> {
    let of_channel = |sent: &Sent| match sent {
        Sent::Batch(channel, records) if *channel == wanted => records.clone(),
        _ => Vec::new(),
    };
    sent.iter().flat_map(of_channel).collect()
}

#[test]
fn a_keyed_exchange_sends_each_record_to_the_owner_of_its_key_group() {
    for channels in 1..5 {
        let (mut output, port) = output(Partitioning::Hash, channels, 16);
        for records in [0..1000, 1000..1001, 1001..1030, 1030..1030] {
            let mut batch = keyed(records);
            output.on_batch(&mut batch).unwrap();
            assert!(batch.is_empty() && batch.hashes.is_some_and(|hashes| hashes.is_empty()));
        }
        output.on_signal(&mut Signal::Flush).unwrap();
        let sent = port.take();
        let mut hasher = StableHasher::new();
        for channel in 0..channels {
            let range = MAX.range_of(SubtaskIndex(channel as u32), channels as u32);
            let mut owns = |record: &u64| range.contains(MAX.key_group(hasher.hash(record).unwrap()));
            let expected: Vec<u64> = (0..1030).filter(|record| owns(record)).collect();
            assert_eq!(records_of(&sent, channel), expected);
        }
        assert!(
            sent.iter()
                .all(|sent| matches!(sent, Sent::Batch(_, records) if records.len() <= 16))
        );
    }
}

#[test]
fn records_without_hashes_are_refused_by_a_keyed_exchange() {
    let (mut output, _) = output(Partitioning::Hash, 2, 16);
    assert!(output.on_batch(&mut Batch::from(vec![1, 2])).is_err());
}

#[test]
fn rebalance_deals_records_out_in_turn_across_batches() {
    let (mut output, port) = output(Partitioning::Rebalance, 2, 100);
    output.on_batch(&mut Batch::from(vec![1, 2, 3])).unwrap();
    output.on_batch(&mut Batch::from(vec![4, 5])).unwrap();
    output.on_signal(&mut Signal::Flush).unwrap();
    let sent = port.take();
    assert_eq!(
        [records_of(&sent, 0), records_of(&sent, 1)],
        [vec![1, 3, 5], vec![2, 4]]
    );
}

#[test]
fn a_barrier_comes_after_every_record_before_it() {
    let (mut output, port) = output(Partitioning::Rebalance, 1, 100);
    output.on_batch(&mut Batch::from(vec![1])).unwrap();
    output
        .on_signal(&mut Signal::CancelCheckpoint(CheckpointId(3)))
        .unwrap();
    output.on_batch(&mut Batch::from(vec![2])).unwrap();
    output.on_signal(&mut Signal::EndOfData).unwrap();
    let expected = [
        Sent::Batch(0, vec![1]),
        Sent::ToAll(PortSignal::CancelCheckpoint(CheckpointId(3))),
        Sent::Batch(0, vec![2]),
        Sent::ToAll(PortSignal::EndOfData),
    ];
    assert_eq!(port.take(), expected);
}

#[test]
fn a_channel_that_few_records_go_to_does_not_wait_for_a_full_batch() {
    let (mut output, port) = output(Partitioning::Rebalance, 1, 1000);
    for record in 0..BATCHES as u64 {
        output.on_batch(&mut Batch::from(vec![record])).unwrap();
    }
    assert_eq!(records_of(&port.take(), 0).len(), BATCHES);
}

#[test]
fn a_fork_hands_every_record_and_signal_to_both_ways() {
    let (left, left_port) = output(Partitioning::Forward, 1, 10);
    let (right, right_port) = output(Partitioning::Forward, 1, 10);
    let mut tee = Tee::new(vec![Box::new(left), Box::new(right)]);
    tee.on_batch(&mut Batch::from(vec![1, 2])).unwrap();
    tee.on_signal(&mut Signal::EndOfInput).unwrap();
    let expected = [Sent::Batch(0, vec![1, 2]), Sent::ToAll(PortSignal::EndOfInput)];
    assert_eq!(
        (left_port.take(), right_port.take()),
        (expected.to_vec(), expected.to_vec())
    );
}

#[test]
fn a_broadcast_sends_every_record_and_its_columns_to_all_channels() {
    let (mut output, port) = output(Partitioning::Broadcast, 3, 2);
    let mut batch = keyed(0..5);
    output.on_batch(&mut batch).unwrap();
    output.on_batch(&mut keyed(5..6)).unwrap();
    output.on_signal(&mut Signal::Flush).unwrap();
    let sent = port.take();
    assert!(batch.is_empty());
    for channel in 0..3 {
        assert_eq!(records_of(&sent, channel), [0, 1, 2, 3, 4, 5], "{channel}");
    }
}

fn timed(records: std::ops::Range<u64>) -> Batch<u64> {
    let timestamps = records.clone().map(|record| Timestamp(record as i64 * 10));
    Batch {
        timestamps: Some(timestamps.collect()),
        ..keyed(records)
    }
}

#[test]
fn timestamps_go_with_their_records_however_these_are_dealt_out() {
    let cases = [
        (Partitioning::Forward, 1),
        (Partitioning::Rebalance, 3),
        (Partitioning::Hash, 3),
        (Partitioning::Broadcast, 2),
        (Partitioning::Rescale, 2),
        (Partitioning::Shuffle, 3),
        (Partitioning::Global, 2),
    ];
    for (partitioning, channels) in cases {
        let (mut output, port) = output(partitioning, channels, 4);
        for mut batch in [
            timed(0..50),
            keyed(50..60),
            timed(60..61),
            timed(61..64),
            keyed(64..65),
        ] {
            output.on_batch(&mut batch).unwrap();
        }
        output.on_signal(&mut Signal::Flush).unwrap();
        let sent = port.take();
        let mut all: Vec<u64> = (0..channels)
            .flat_map(|channel| records_of(&sent, channel))
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, (0..65).collect::<Vec<u64>>(), "{partitioning:?}");
    }
}

#[test]
fn a_watermark_goes_out_behind_all_records_before_it_and_the_newest_is_enough() {
    let (mut output, port) = output(Partitioning::Rebalance, 1, 100);
    let watermark = |output: &mut Output<u64>, millis| {
        output
            .on_signal(&mut Signal::Watermark(Watermark(Timestamp(millis))))
            .unwrap();
    };
    output.on_batch(&mut Batch::from(vec![1])).unwrap();
    watermark(&mut output, 5);
    output.on_batch(&mut Batch::from(vec![2])).unwrap();
    watermark(&mut output, 8);
    assert_eq!(port.take(), []);
    output.on_signal(&mut Signal::Flush).unwrap();
    watermark(&mut output, 9);
    output.on_signal(&mut Signal::Idle).unwrap();
    watermark(&mut output, i64::MAX);
    output.on_signal(&mut Signal::EndOfData).unwrap();
    let watermark = |millis| Sent::ToAll(PortSignal::Watermark(Watermark(Timestamp(millis))));
    let expected = [
        Sent::Batch(0, vec![1, 2]),
        watermark(8),
        watermark(9),
        Sent::ToAll(PortSignal::Idle),
        Sent::ToAll(PortSignal::EndOfData),
    ];
    assert_eq!(port.take(), expected);
}

/// The watermarks that go out of an output when these have come, behind so many records.
fn passed_on((channels, records): (usize, u64), came: std::ops::Range<i64>) -> Vec<i64> {
    let (mut output, port) = output(Partitioning::Rebalance, channels, 1000);
    if records > 0 {
        let records: Vec<u64> = (0..records).collect();
        output.on_batch(&mut Batch::from(records)).unwrap();
    }
    for millis in came {
        output
            .on_signal(&mut Signal::Watermark(Watermark(Timestamp(millis))))
            .unwrap();
    }
    let mut before = 0;
    let watermark = |sent| match sent {
        Sent::Batch(_, records) => {
            before += records.len() as u64;
            None
        }
        Sent::ToAll(PortSignal::Watermark(watermark)) => {
            assert_eq!(before, records, "what came before it goes before it");
            Some(watermark.0.0)
        }
        other => panic!("{other:?}"),
    };
    port.take().into_iter().filter_map(watermark).collect()
}

#[test]
fn a_watermark_does_not_wait_for_long() {
    let cases = [
        // At once, where nothing waits, or with a few others where there are many channels.
        ((1, 0), 1..4, vec![1, 2, 3]),
        ((8, 0), 1..4, vec![1, 2, 3]),
        ((9, 0), 1..4, vec![2]),
        ((24, 0), 1..10, vec![3, 6, 9]),
        // Behind a few records, as long as they would wait for others.
        ((1, 1), 1..8, vec![]),
        ((1, 1), 1..11, vec![8, 9, 10]),
        ((3, 5), 1..10, vec![8, 9]),
    ];
    for (output, came, expected) in cases {
        assert_eq!(passed_on(output, came.clone()), expected, "{output:?} {came:?}");
    }
}

#[test]
fn with_batches_of_one_record_each_watermark_goes_out() {
    let (mut output, port) = output(Partitioning::Hash, 2, 1);
    let mut expected = Vec::new();
    for record in 0..20 {
        output.on_batch(&mut keyed(record..record + 1)).unwrap();
        let watermark = Watermark(Timestamp(record as i64));
        output.on_signal(&mut Signal::Watermark(watermark)).unwrap();
        expected.push(Sent::ToAll(PortSignal::Watermark(watermark)));
    }
    let is_watermark = |sent: &Sent| !matches!(sent, Sent::Batch(..));
    let sent: Vec<Sent> = port.take().into_iter().filter(is_watermark).collect();
    assert_eq!(sent, expected);
}

#[test]
fn a_shuffle_is_even_and_the_same_again_with_the_same_seed() {
    let dealt = |seed| {
        let port = RecordingPort::new(4);
        let settings = OutputSettings {
            seed,
            ..settings(Partitioning::Shuffle, 64)
        };
        let mut output = Output::new(settings, Box::new(port.clone()));
        for start in [0, 1000, 2000, 3000] {
            let records: Vec<u64> = (start..start + 1000).collect();
            output.on_batch(&mut Batch::from(records)).unwrap();
        }
        output.on_signal(&mut Signal::Flush).unwrap();
        let sent = port.take();
        [0, 1, 2, 3].map(|channel| records_of(&sent, channel))
    };
    let first = dealt(1);
    let mut all: Vec<u64> = first.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..4000), "each record once");
    for channel in &first {
        assert!((900..1100).contains(&channel.len()), "{}", channel.len());
        assert!(channel.is_sorted(), "in the order in which they came");
    }
    assert_eq!(dealt(1), first);
    assert_ne!(dealt(2), first);
}

#[test]
fn all_records_go_to_the_first_subtask_and_barriers_to_all() {
    let (mut output, port) = output(Partitioning::Global, 3, 2);
    output.on_batch(&mut Batch::from(vec![1, 2, 3])).unwrap();
    output.on_signal(&mut Signal::EndOfData).unwrap();
    let expected = [Sent::Batch(0, vec![1, 2, 3]), Sent::ToAll(PortSignal::EndOfData)];
    assert_eq!(port.take(), expected);
}

#[test]
fn a_function_chooses_the_subtask_and_one_that_is_not_there_fails() {
    let port = RecordingPort::new(3);
    let partitioner = Arc::new(|record: &u64, count: u32| {
        if *record == 99 {
            count
        } else {
            *record as u32 % count
        }
    });
    let mut output = Output::custom(partitioner, Box::new(port.clone()), 100);
    output.on_batch(&mut Batch::from(vec![1, 2, 3, 4])).unwrap();
    output.on_signal(&mut Signal::Flush).unwrap();
    let sent = port.take();
    assert_eq!(
        [0, 1, 2].map(|channel| records_of(&sent, channel)),
        [vec![3], vec![1, 4], vec![2]]
    );
    let error = output.on_batch(&mut Batch::from(vec![99])).unwrap_err();
    assert_eq!(
        (error.context("chosen"), error.context("subtasks")),
        (Some("3"), Some("3"))
    );
}

#[test]
fn many_buffers_leave_with_fewer_records_and_have_the_time_to_be_filled() {
    let cases = [
        ((1024, 1), (1024, 8)),
        ((1024, 8), (1024, 8)),
        ((1024, 32), (256, 8)),
        ((1024, 128), (64, 8)),
        ((1024, 512), (64, 32)),
        ((16, 512), (16, 512)),
        ((1, 3), (1, 8)),
        ((0, 3), (0, 8)),
    ];
    for ((batch_records, channels), expected) in cases {
        assert_eq!(
            limits(batch_records, channels),
            expected,
            "{batch_records} {channels}"
        );
    }
}
