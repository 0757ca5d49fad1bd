//! Mutations of what a channel delivers: each is caught by the named check.

use crate::sent::{Element, send};
use proptest::prelude::*;
use snapline_barrier::{Breach, ChannelIndex, ChannelReceiver, ChannelSender, ProtocolViolation};
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind};

fn receive(elements: &[Element]) -> Result<u64, ProtocolViolation> {
    let mut receiver = ChannelReceiver::new(ChannelIndex(3), AttemptId(5));
    for element in elements {
        match *element {
            Element::Batch(header) => receiver.on_batch(header)?,
            Element::Barrier(checkpoint, sent) => {
                receiver.on_barrier(checkpoint, sent)?;
                receiver.check_cut(checkpoint)?;
            }
            Element::Overtaking(checkpoint, sent) => receiver.on_overtaking_barrier(checkpoint, sent)?,
            Element::Cancel(checkpoint) => receiver.on_cancel(checkpoint)?,
            Element::End(header) => receiver.on_end_of_input(header)?,
        }
    }
    Ok(receiver.received())
}

fn check(script: &str, mutate: impl FnOnce(&mut Vec<Element>), expected: Breach) {
    let mut elements = send(AttemptId(5), script);
    mutate(&mut elements);
    let violation = receive(&elements).unwrap_err();
    assert_eq!(
        violation,
        ProtocolViolation {
            channel: ChannelIndex(3),
            breach: expected
        },
        "{script}"
    );
}

const ONE: CheckpointId = CheckpointId(1);
const TWO: CheckpointId = CheckpointId(2);

fn lose(at: usize) -> impl FnOnce(&mut Vec<Element>) {
    move |elements| {
        elements.remove(at);
    }
}

#[test]
fn what_a_correct_channel_delivers_is_accepted() {
    assert_eq!(receive(&send(AttemptId(5), "--|-x--||.")), Ok(5));
}

#[test]
fn a_dropped_batch_is_a_gap_or_a_wrong_count() {
    let gap = Breach::Gap {
        received: 2,
        expected: 1,
    };
    check("---|-", lose(1), gap);
    let (sent, received) = (3, 2);
    let mismatch = Breach::CountMismatch {
        checkpoint: ONE,
        sent,
        received,
    };
    check("---|-", lose(2), mismatch);
    let gap_at_end = Breach::Gap {
        received: 3,
        expected: 2,
    };
    check("---.", lose(2), gap_at_end);
}

#[test]
fn a_repeated_batch_is_a_repeat() {
    let repeat = Breach::Repeat {
        received: 1,
        expected: 2,
    };
    check("---|-", |elements| elements.insert(2, elements[1]), repeat);
}

#[test]
fn reordered_batches_are_a_gap() {
    let gap = Breach::Gap {
        received: 2,
        expected: 1,
    };
    check("---|-", |elements| elements.swap(1, 2), gap);
}

#[test]
fn a_batch_that_overtakes_a_barrier_is_ahead_of_the_epoch() {
    let ahead = Breach::EpochAhead {
        received: ONE,
        expected: CheckpointId::NONE,
    };
    check("--|-", |elements| elements.swap(2, 3), ahead);
    let ahead = Breach::EpochAhead {
        received: TWO,
        expected: ONE,
    };
    check("-|-|-", lose(3), ahead);
    check("-|-x-", lose(3), ahead);
}

#[test]
fn a_barrier_that_overtakes_a_batch_counts_wrong() {
    let mismatch = Breach::CountMismatch {
        checkpoint: ONE,
        sent: 2,
        received: 1,
    };
    check("--|-", |elements| elements.swap(1, 2), mismatch);
}

#[test]
fn a_barrier_that_counted_wrong_is_refused() {
    let (sent, received) = (1, 2);
    let mismatch = Breach::CountMismatch {
        checkpoint: ONE,
        sent,
        received,
    };
    check(
        "--|-",
        |elements| elements[2] = Element::Barrier(ONE, 1),
        mismatch,
    );
}

#[test]
fn a_cancel_marker_that_overtakes_a_batch_leaves_it_behind_the_epoch() {
    let behind = Breach::EpochBehind {
        received: CheckpointId::NONE,
        expected: ONE,
    };
    check("--x-", |elements| elements.swap(1, 2), behind);
}

#[test]
fn a_repeated_marker_is_stale() {
    let stale = Breach::StaleMarker {
        received: ONE,
        latest: ONE,
    };
    check("-|-", |elements| elements.insert(2, elements[1]), stale);
    check("-x-", |elements| elements.insert(2, elements[1]), stale);
    let stale = Breach::StaleMarker {
        received: ONE,
        latest: TWO,
    };
    check("-||-", |elements| elements.swap(1, 2), stale);
}

#[test]
fn a_batch_of_another_attempt_is_refused() {
    let (received, expected) = (AttemptId(4), AttemptId(5));
    let from = |attempt| move |elements: &mut Vec<Element>| elements[1] = send(AttemptId(attempt), "--")[1];
    check("---", from(4), Breach::OldAttempt { received, expected });
    let received = AttemptId(6);
    check("---", from(6), Breach::FutureAttempt { received, expected });
}

#[test]
fn a_snapshot_at_the_wrong_place_is_no_cut() {
    let mut sender = ChannelSender::new(AttemptId(5));
    let mut receiver = ChannelReceiver::new(ChannelIndex(0), AttemptId(5));
    let breach = |receiver: &ChannelReceiver, id| receiver.check_cut(CheckpointId(id)).unwrap_err().breach;
    let missing = |epoch, checkpoint| Breach::BarrierMissing {
        checkpoint: CheckpointId(checkpoint),
        epoch: CheckpointId(epoch),
    };

    assert_eq!(breach(&receiver, 1), missing(0, 1));
    receiver.on_barrier(ONE, sender.on_barrier(ONE)).unwrap();
    receiver.check_cut(ONE).unwrap();
    receiver.on_batch(sender.next_header()).unwrap();
    let (sent, received) = (0, 1);
    let overrun = Breach::CutOverrun {
        checkpoint: ONE,
        sent,
        received,
    };
    assert_eq!(breach(&receiver, 1), overrun);

    sender.on_cancel(TWO);
    receiver.on_cancel(TWO).unwrap();
    assert_eq!(breach(&receiver, 2), missing(2, 2));
    receiver.on_end_of_input(sender.header()).unwrap();
    receiver.check_cut(CheckpointId(3)).unwrap();
}

#[test]
fn the_end_of_a_channel_hides_no_batch_behind_its_barrier() {
    let mut sender = ChannelSender::new(AttemptId(5));
    let mut receiver = ChannelReceiver::new(ChannelIndex(0), AttemptId(5));
    receiver.on_barrier(ONE, sender.on_barrier(ONE)).unwrap();
    receiver.on_batch(sender.next_header()).unwrap();
    receiver.on_end_of_input(sender.header()).unwrap();
    assert!(matches!(
        receiver.check_cut(ONE).unwrap_err().breach,
        Breach::CutOverrun { .. }
    ));
}

#[test]
fn a_violation_becomes_an_error_that_says_what_to_do() {
    let (received, expected) = (AttemptId(4), AttemptId(5));
    let cases = [
        (
            Breach::Gap {
                received: 7,
                expected: 6,
            },
            ErrorKind::Internal,
            "a channel broke the protocol (channel: 3): batch 7 arrived where 6 was expected: a batch is missing",
        ),
        (
            Breach::OldAttempt { received, expected },
            ErrorKind::Conflict,
            "a channel broke the protocol (channel: 3): a sender of attempt 4 is still alive in attempt 5",
        ),
    ];
    for (breach, kind, text) in cases {
        let error = Error::from(ProtocolViolation {
            channel: ChannelIndex(3),
            breach,
        });
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
    }
}

/// One thing that can go wrong on a channel, at this position.
#[derive(Debug, Clone, Copy)]
enum Mutation {
    Drop,
    Repeat,
    SwapWithNext,
    Move(usize),
}

fn apply(mutation: Mutation, at: usize, elements: &mut Vec<Element>) {
    let last = elements.len() - 1;
    match mutation {
        Mutation::Drop => drop(elements.remove(at)),
        Mutation::Repeat => elements.insert(at, elements[at]),
        Mutation::SwapWithNext => elements.swap(at, (at + 1).min(last)),
        Mutation::Move(to) => {
            let element = elements.remove(at);
            elements.insert(to.min(last), element);
        }
    }
}

/// Whether only markers are gone, and no batch.
fn lacks_only_markers(elements: &[Element], correct: &[Element]) -> bool {
    let mut rest = elements.iter().peekable();
    let mut gone = correct.to_vec();
    gone.retain(|element| rest.next_if_eq(&element).is_none());
    let is_marker = |element: &Element| matches!(element, Element::Barrier(..) | Element::Cancel(_));
    rest.peek().is_none() && gone.iter().all(is_marker)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    /// Drop, repeat or reorder one element: the receiver refuses it. All that can be lost without
    /// notice is a marker with no batch between it and the next one, and that is harmless: to lose it
    /// means to skip its checkpoint, and the other cuts stay where they are.
    #[test]
    fn no_single_mutation_that_matters_goes_unnoticed(
        script in "[-|x]{1,12}",
        at in 0..12_usize,
        mutation in prop_oneof![
            Just(Mutation::Drop),
            Just(Mutation::Repeat),
            Just(Mutation::SwapWithNext),
            (0..12_usize).prop_map(Mutation::Move),
        ],
    ) {
        let correct = send(AttemptId(5), &format!("{script}."));
        let mut elements = correct.clone();
        apply(mutation, at % script.len(), &mut elements);
        prop_assert!(lacks_only_markers(&elements, &correct) || receive(&elements).is_err());
    }
}
