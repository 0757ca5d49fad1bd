//! What a recorder keeps, call by call.

use super::*;
use snapline_core::ErrorKind;

const CHANNEL: ChannelIndex = ChannelIndex(0);
const OTHER: ChannelIndex = ChannelIndex(1);
const ONE: CheckpointId = CheckpointId(1);
const TWO: CheckpointId = CheckpointId(2);

fn recorder() -> ChannelStateRecorder<u64> {
    ChannelStateRecorder::new()
}

fn numbers(recorder: &mut ChannelStateRecorder<u64>, checkpoint: CheckpointId) -> Vec<(u32, Vec<u64>)> {
    let state = recorder.take(checkpoint).into_iter();
    state
        .map(|recorded| {
            let batches = recorded.batches.iter().map(|(_, batch)| *batch);
            (recorded.channel.0, batches.collect())
        })
        .collect()
}

fn process(recorder: &mut ChannelStateRecorder<u64>, channel: ChannelIndex, seqs: std::ops::Range<u64>) {
    seqs.for_each(|seq| recorder.on_batch(channel, seq, || seq));
}

#[test]
fn only_what_is_processed_between_start_and_stop_is_kept() {
    let mut recorder = recorder();
    process(&mut recorder, CHANNEL, 0..2);
    recorder.start(ONE, CHANNEL).unwrap();
    process(&mut recorder, CHANNEL, 2..4);
    process(&mut recorder, OTHER, 0..4);
    assert!(recorder.is_recording(ONE, CHANNEL) && !recorder.is_recording(ONE, OTHER));
    recorder.stop(ONE, CHANNEL);
    process(&mut recorder, CHANNEL, 4..6);
    assert!(!recorder.is_recording(ONE, CHANNEL));
    assert_eq!(numbers(&mut recorder, ONE), [(0, vec![2, 3])]);
    assert_eq!(numbers(&mut recorder, ONE), []);
}

#[test]
fn nothing_is_made_of_a_batch_that_nobody_records() {
    let mut recorder = recorder();
    let refuse = || -> u64 { panic!("a batch was copied in vain") };
    recorder.on_batch(CHANNEL, 0, refuse);
    recorder.start(ONE, CHANNEL).unwrap();
    recorder.on_batch(OTHER, 0, refuse);
    recorder.stop(ONE, CHANNEL);
    recorder.on_batch(CHANNEL, 1, refuse);
}

#[test]
fn overtaken_batches_come_last() {
    let mut recorder = recorder();
    recorder.start(ONE, CHANNEL).unwrap();
    process(&mut recorder, CHANNEL, 5..6);
    recorder.on_overtaken(ONE, CHANNEL, 6, 6);
    recorder.on_overtaken(ONE, CHANNEL, 7, 7);
    recorder.on_overtaken(ONE, OTHER, 0, 0);
    recorder.on_overtaken(TWO, CHANNEL, 8, 8);
    recorder.stop(ONE, CHANNEL);
    recorder.on_overtaken(ONE, CHANNEL, 8, 8);
    process(&mut recorder, CHANNEL, 6..9);
    assert_eq!(numbers(&mut recorder, ONE), [(0, vec![5, 6, 7])]);
}

/// B-72: the coordinator has given 1 up, and the barrier of 2 comes before 1 is stopped.
#[test]
fn stopping_an_older_checkpoint_leaves_a_newer_one_alone() {
    let mut recorder = recorder();
    recorder.start(ONE, CHANNEL).unwrap();
    recorder.on_overtaken(ONE, CHANNEL, 0, 0);
    recorder.stop(ONE, CHANNEL);
    process(&mut recorder, CHANNEL, 0..3);
    recorder.stop(TWO, CHANNEL);
    recorder.stop(ONE, CHANNEL);
    process(&mut recorder, CHANNEL, 3..4);
    let late = recorder.start(TWO, CHANNEL).unwrap_err();
    assert_eq!(late.by, TWO);
    assert_eq!(numbers(&mut recorder, ONE), [(0, vec![0])]);
}

/// B-73.
#[test]
fn a_channel_is_not_recorded_for_a_checkpoint_that_it_has_left_behind() {
    let mut recorder = recorder();
    recorder.stop(TWO, CHANNEL);
    let late = recorder.start(ONE, CHANNEL).unwrap_err();
    assert_eq!((late.checkpoint, late.by), (ONE, TWO));
    assert_eq!(Error::from(late).kind(), ErrorKind::Internal);
    recorder.start(ONE, OTHER).unwrap();
}

#[test]
fn two_checkpoints_can_record_the_same_channel() {
    let mut recorder = recorder();
    recorder.start(ONE, CHANNEL).unwrap();
    process(&mut recorder, CHANNEL, 0..1);
    recorder.start(TWO, CHANNEL).unwrap();
    process(&mut recorder, CHANNEL, 1..2);
    recorder.stop(ONE, CHANNEL);
    process(&mut recorder, CHANNEL, 2..3);
    assert_eq!(numbers(&mut recorder, ONE), [(0, vec![0, 1])]);
    assert_eq!(numbers(&mut recorder, TWO), [(0, vec![1, 2])]);
}

#[test]
fn a_dropped_checkpoint_costs_nothing_any_more() {
    let mut recorder = recorder();
    recorder.start(ONE, CHANNEL).unwrap();
    recorder.start(ONE, CHANNEL).unwrap();
    recorder.start(ONE, OTHER).unwrap();
    process(&mut recorder, CHANNEL, 0..1);
    recorder.drop(ONE);
    recorder.drop(ONE);
    recorder.stop(ONE, OTHER);
    assert_eq!(recorder.running, 0);
    process(&mut recorder, CHANNEL, 1..2);
    assert_eq!(numbers(&mut recorder, ONE), []);
}

#[test]
fn runs_tell_gaps_repetitions_and_reordering() {
    let cases: [(&[u64], &[(u64, u64)]); 5] = [
        (&[3, 4, 5], &[(3, 6)]),
        (&[3, 5], &[(3, 4), (5, 6)]),
        (&[3, 3], &[(3, 4), (3, 4)]),
        (&[4, 3], &[(4, 5), (3, 4)]),
        (&[], &[]),
    ];
    for (seqs, expected) in cases {
        let recorded = RecordedChannel {
            channel: CHANNEL,
            batches: seqs.iter().map(|&seq| (seq, ())).collect(),
        };
        let runs: Vec<_> = recorded.runs().iter().map(|run| (run.from, run.to)).collect();
        assert_eq!(runs, expected, "{seqs:?}");
    }
}
