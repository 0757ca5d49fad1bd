//! Barriers that overtake batches: what the receiving end of a channel accepts, and what it refuses.

use crate::sent::{self, Element};
use proptest::prelude::*;
use snapline_barrier::{
    Breach, ChannelCut, ChannelFlaw, ChannelIndex, ChannelReceiver, ProtocolViolation, RecordedRun,
    verify_aligned_cut, verify_unaligned_cut,
};
use snapline_core::{AttemptId, BatchHeader, CheckpointId};
use std::collections::VecDeque;

const ATTEMPT: AttemptId = AttemptId(5);

fn send(script: &str) -> Vec<Element> {
    sent::send(ATTEMPT, script)
}

/// Lets barriers overtake: each pair says after how many deliveries, and which barrier. Barriers that are
/// gone or older than the newest one stay where they are.
fn deliver(sent: &[Element], overtakes: &[(usize, u64)]) -> Vec<Element> {
    let (mut queue, mut out) = (VecDeque::from(sent.to_vec()), Vec::new());
    let mut latest = CheckpointId::NONE;
    while !queue.is_empty() {
        let delivered = out.len();
        for &(_, id) in overtakes.iter().filter(|(after, _)| *after == delivered) {
            let wanted = CheckpointId(id);
            let is_wanted = |element: &Element| matches!(element, Element::Barrier(checkpoint, _) if *checkpoint == wanted);
            if wanted > latest
                && let Some(at) = queue.iter().position(is_wanted)
                && let Some(Element::Barrier(checkpoint, sent)) = queue.remove(at)
            {
                latest = checkpoint;
                out.push(Element::Overtaking(checkpoint, sent));
            }
        }
        let next = queue.pop_front();
        latest = latest.max(next.and_then(Element::marker).unwrap_or(latest));
        out.extend(next);
    }
    out
}

fn hand_over(receiver: &mut ChannelReceiver, element: Element) -> Result<(), ProtocolViolation> {
    match element {
        Element::Batch(header) => receiver.on_batch(header),
        Element::Barrier(checkpoint, sent) => receiver.on_barrier(checkpoint, sent),
        Element::Overtaking(checkpoint, sent) => receiver.on_overtaking_barrier(checkpoint, sent),
        Element::Cancel(checkpoint) => receiver.on_cancel(checkpoint),
        Element::End(header) => receiver.on_end_of_input(header),
    }
}

fn receiver() -> ChannelReceiver {
    ChannelReceiver::new(ChannelIndex(3), ATTEMPT)
}

fn receive(elements: &[Element]) -> Result<ChannelReceiver, ProtocolViolation> {
    let mut receiver = receiver();
    for element in elements {
        hand_over(&mut receiver, *element)?;
    }
    Ok(receiver)
}

/// Whether a sender that put this on the channel can have caused this delivery. Markers may be lost where
/// another one stands in the same place.
fn is_possible(sent: &[Element], delivered: &[Element]) -> bool {
    let mut queue = VecDeque::from(sent.to_vec());
    let (mut ahead, mut latest) = (Vec::new(), CheckpointId::NONE);
    for element in delivered {
        if let Element::Overtaking(checkpoint, sent) = *element {
            if checkpoint <= latest || !queue.contains(&Element::Barrier(checkpoint, sent)) {
                return false;
            }
            ahead.push(checkpoint);
            latest = checkpoint;
            continue;
        }
        let mut is_lost = false;
        loop {
            let Some(head) = queue.pop_front() else {
                return false;
            };
            let is_ahead = head.marker().is_some_and(|marker| ahead.contains(&marker));
            if head == *element && !is_ahead {
                break;
            }
            if head.marker().is_none() {
                return false;
            }
            is_lost = !is_ahead;
        }
        match element.marker() {
            Some(marker) => latest = latest.max(marker),
            None if is_lost => return false,
            None => {}
        }
    }
    true
}

#[derive(Debug, Clone, Copy)]
enum Mutation {
    Nothing,
    Drop,
    Repeat,
    SwapWithNext,
    Move(usize),
}

fn apply(mutation: Mutation, at: usize, elements: &mut Vec<Element>) {
    let last = elements.len() - 1;
    match mutation {
        Mutation::Nothing => {}
        Mutation::Drop => drop(elements.remove(at)),
        Mutation::Repeat => elements.insert(at, elements[at]),
        Mutation::SwapWithNext => elements.swap(at, (at + 1).min(last)),
        Mutation::Move(to) => {
            let element = elements.remove(at);
            elements.insert(to.min(last), element);
        }
    }
}

fn overtakes() -> impl Strategy<Value = Vec<(usize, u64)>> {
    prop::collection::vec((0..8_usize, 1..6_u64), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn what_is_possible_is_accepted_and_what_is_not_is_refused(
        script in "[-|x]{1,12}",
        overtakes in overtakes(),
        at in 0..12_usize,
        mutation in prop_oneof![
            Just(Mutation::Nothing),
            Just(Mutation::Drop),
            Just(Mutation::Repeat),
            Just(Mutation::SwapWithNext),
            (0..12_usize).prop_map(Mutation::Move),
        ],
    ) {
        let sent = send(&format!("{script}."));
        let mut delivered = deliver(&sent, &overtakes);
        apply(mutation, at % script.len(), &mut delivered);
        let outcome = receive(&delivered).map(|receiver| receiver.received());
        prop_assert_eq!(outcome.is_ok(), is_possible(&sent, &delivered), "{:?}: {:?}", delivered, outcome);
    }

    /// What is refused is as if it had not come: what is right is still accepted after it.
    #[test]
    fn what_is_refused_changes_nothing(
        script in "[-|x]{1,9}",
        overtakes in overtakes(),
        intruders in prop::collection::vec((0..9_usize, 0..9_usize), 1..6),
    ) {
        let delivered = deliver(&send(&format!("{script}.")), &overtakes);
        let mut receiver = receiver();
        for (at, element) in delivered.iter().enumerate() {
            for (_, intruder) in intruders.iter().filter(|(place, _)| *place == at) {
                let before = format!("{receiver:?}");
                let mut other = receiver.clone();
                if hand_over(&mut other, delivered[intruder % delivered.len()]).is_err() {
                    prop_assert_eq!(format!("{other:?}"), before);
                }
            }
            prop_assert_eq!(hand_over(&mut receiver, *element), Ok(()));
        }
    }

    /// Whenever the snapshot is taken, the batches from there to the barrier are what has to be recorded.
    #[test]
    fn the_recorded_cut_goes_from_the_snapshot_to_the_barrier(
        script in "[-|]{1,9}",
        overtakes in overtakes(),
        behind in 0..4_u64,
    ) {
        let mut receiver = receiver();
        for element in deliver(&send(&script), &overtakes) {
            let latest = newest(&receiver);
            prop_assert_eq!(hand_over(&mut receiver, element), Ok(()));
            let barrier = match element {
                Element::Barrier(checkpoint, sent) if checkpoint > latest => Some((checkpoint, sent)),
                Element::Overtaking(checkpoint, sent) => Some((checkpoint, sent)),
                _ => None,
            };
            if let Some((checkpoint, sent)) = barrier {
                let received = receiver.received().saturating_sub(behind);
                prop_assert_eq!(
                    receiver.recorded_cut(checkpoint, received, run(received, sent)),
                    Ok(ChannelCut { received, sent, recorded: run(received, sent) })
                );
                prop_assert!(receiver.recorded_cut(checkpoint, received, run(received, sent + 1)).is_err());
                prop_assert!(receiver.recorded_cut(checkpoint.next(), received, vec![]).is_err());
                prop_assert_eq!(verify_unaligned_cut(&[receiver.clone()], checkpoint), Ok(vec![receiver.received()]));
                let is_whole = sent == receiver.received();
                prop_assert_eq!(verify_aligned_cut(&[receiver.clone()], checkpoint).is_ok(), is_whole);
            }
        }
    }
}

/// The newest marker, as `check_cut` tells it.
fn newest(receiver: &ChannelReceiver) -> CheckpointId {
    match receiver.check_cut(CheckpointId(u64::MAX)).unwrap_err().breach {
        Breach::BarrierMissing { epoch, .. } => epoch,
        breach => panic!("{breach}"),
    }
}

fn run(from: u64, to: u64) -> Vec<RecordedRun> {
    Vec::from_iter((from < to).then_some(RecordedRun { from, to }))
}

const ONE: CheckpointId = CheckpointId(1);
const TWO: CheckpointId = CheckpointId(2);
const THREE: CheckpointId = CheckpointId(3);

/// Delivers what was sent in this order, `!` before a number lets the barrier overtake, and returns by
/// which name the last element is refused.
fn check(script: &str, order: &str, expected: Breach) {
    let sent = send(script);
    let element = |word: &str| match word.strip_prefix('!') {
        Some(at) => match sent[at.parse::<usize>().unwrap()] {
            Element::Barrier(checkpoint, sent) => Element::Overtaking(checkpoint, sent),
            other => panic!("{other:?} cannot overtake"),
        },
        None => sent[word.parse::<usize>().unwrap()],
    };
    let mut elements: Vec<Element> = order.split_whitespace().map(element).collect();
    let last = elements.pop().unwrap();
    let mut receiver = receive(&elements).unwrap();
    let breach = hand_over(&mut receiver, last).unwrap_err().breach;
    assert_eq!(breach, expected, "{script}: {order}");
}

#[test]
fn several_barriers_may_overtake_the_same_batches() {
    let sent = send("--|-|x-|-.");
    let orders: [&[(usize, u64)]; 5] = [
        &[],
        &[(0, 1), (0, 2)],
        &[(1, 2)],
        &[(0, 4), (2, 1)],
        &[(0, 1), (2, 2), (3, 4)],
    ];
    for overtakes in orders {
        let delivered = deliver(&sent, overtakes);
        assert_eq!(
            receive(&delivered).map(|receiver| receiver.received()),
            Ok(5),
            "{delivered:?}"
        );
    }
}

#[test]
fn what_was_overtaken_has_to_come_before_what_follows_the_barrier() {
    let (sent, received) = (2, 1);
    let missing = |checkpoint| Breach::OvertakenMissing {
        checkpoint,
        sent,
        received,
    };
    check("--|-", "0 !2 3", missing(ONE));
    check("--|.", "0 !2 3", missing(ONE));
    check("--|x", "0 !2 3", missing(ONE));
    check("--||", "0 !2 3", missing(ONE));
    check("-|-|-", "0 !3 4", missing(TWO));
}

#[test]
fn what_was_overtaken_keeps_its_epoch_and_its_number() {
    let (received, expected) = (2, 1);
    check("---|-", "0 !3 2", Breach::Gap { received, expected });
    let (received, expected) = (0, 1);
    check("---|-", "0 !3 0", Breach::Repeat { received, expected });
    // Also when the barrier that overtook it has been passed.
    let (received, expected) = (1, 3);
    check("--|-", "0 !2 1 3 1", Breach::Repeat { received, expected });
    let (received, expected) = (1, 2);
    check("--|-", "0 !2 1 1", Breach::Repeat { received, expected });
    let (received, expected) = (ONE, CheckpointId::NONE);
    // The cancel marker between two overtaken batches was lost.
    check("-x-|-", "!3 0 2", Breach::EpochAhead { received, expected });
}

#[test]
fn a_marker_comes_once_also_when_it_overtook_or_was_overtaken() {
    let stale = |received, latest| Breach::StaleMarker { received, latest };
    check("--|-", "0 !2 !2", stale(ONE, ONE));
    check("--|-", "0 !2 2", stale(ONE, ONE));
    check("--|-", "0 !2 1 2", stale(ONE, ONE));
    check("-|-|-", "!3 !1", stale(ONE, TWO));
    check("-|-|-", "!3 0 1 1", stale(ONE, ONE));
    check("-x-|-", "!3 0 1 1", stale(ONE, ONE));
}

#[test]
fn a_barrier_that_overtakes_cannot_have_counted_less_than_came() {
    let (checkpoint, sent, received) = (ONE, 1, 2);
    let mut three = receive(&send("--")).unwrap();
    let mismatch = Breach::CountMismatch {
        checkpoint,
        sent,
        received,
    };
    assert_eq!(three.on_overtaking_barrier(ONE, 1).unwrap_err().breach, mismatch);

    three.on_overtaking_barrier(ONE, 4).unwrap();
    let (checkpoint, sent, earlier) = (TWO, 3, 4);
    let shrank = Breach::CountShrank {
        checkpoint,
        sent,
        earlier,
    };
    assert_eq!(three.on_overtaking_barrier(TWO, 3).unwrap_err().breach, shrank);
    three.on_overtaking_barrier(TWO, 4).unwrap();
}

#[test]
fn an_old_attempt_is_named_before_all_else() {
    let mut receiver = receive(&send("--")).unwrap();
    receiver.on_overtaking_barrier(ONE, 4).unwrap();
    let old = BatchHeader {
        attempt: AttemptId(4),
        epoch: ONE,
        seq: 2,
    };
    for outcome in [receiver.on_batch(old), receiver.on_end_of_input(old)] {
        let (received, expected) = (AttemptId(4), ATTEMPT);
        assert_eq!(
            outcome.unwrap_err().breach,
            Breach::OldAttempt { received, expected }
        );
    }
}

#[test]
fn nothing_comes_after_the_end() {
    let after = Breach::AfterEnd { received: 1 };
    for script in ["-.-", "-.|", "-.x", "-.."] {
        check(script, "0 1 2", after);
    }
    check("-.|", "0 1 !2", after);
}

#[test]
fn a_log_that_is_not_complete_is_no_cut() {
    let mut receiver = receive(&send("--")).unwrap();
    let breach = |receiver: &ChannelReceiver, checkpoint, received, recorded| {
        receiver
            .recorded_cut(checkpoint, received, recorded)
            .unwrap_err()
            .breach
    };
    let (checkpoint, epoch) = (ONE, CheckpointId::NONE);
    assert_eq!(
        breach(&receiver, ONE, 2, vec![]),
        Breach::BarrierMissing { checkpoint, epoch }
    );

    receiver.on_overtaking_barrier(ONE, 5).unwrap();
    let flawed = |flaw| Breach::Flawed(flaw);
    let (from, to) = (2, 5);
    assert_eq!(
        breach(&receiver, ONE, 2, vec![]),
        flawed(ChannelFlaw::Lost { from, to })
    );
    let from = 4;
    assert_eq!(
        breach(&receiver, ONE, 2, run(2, 4)),
        flawed(ChannelFlaw::LogIncomplete { from, to })
    );
    assert!(receiver.recorded_cut(ONE, 2, run(2, 5)).is_ok());

    // Aligned, the batches before the barrier have to be in the state.
    let (checkpoint, sent, received) = (ONE, 5, 2);
    let missing = Breach::OvertakenMissing {
        checkpoint,
        sent,
        received,
    };
    assert_eq!(receiver.check_cut(ONE).unwrap_err().breach, missing);
}

#[test]
fn an_unaligned_snapshot_may_lack_barriers_but_not_go_past_one() {
    let mut receivers = [receiver(), receive(&send("--")).unwrap()];
    receivers[0].on_barrier(ONE, 0).unwrap();
    assert_eq!(verify_unaligned_cut(&receivers, ONE), Ok(vec![0, 2]));

    let header = BatchHeader {
        attempt: ATTEMPT,
        epoch: ONE,
        seq: 0,
    };
    receivers[0].on_batch(header).unwrap();
    let (checkpoint, sent, received) = (ONE, 0, 1);
    let overrun = Breach::CutOverrun {
        checkpoint,
        sent,
        received,
    };
    assert_eq!(verify_unaligned_cut(&receivers, ONE).unwrap_err().breach, overrun);
}

#[test]
fn the_end_stands_in_for_a_barrier_that_never_came() {
    let receiver = receive(&send("----.")).unwrap();
    let cut = receiver.recorded_cut(THREE, 1, run(1, 4)).unwrap();
    assert_eq!((cut.received, cut.sent), (1, 4));
    assert!(receiver.recorded_cut(THREE, 1, run(1, 3)).is_err());
}
