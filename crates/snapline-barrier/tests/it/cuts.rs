//! Cuts of channels and of whole jobs: what is consistent, and by which name the rest is refused.

use snapline_barrier::{
    ChannelCut, ChannelFlaw, ConsistentCut, CutViolation, RecordedRun, TaskClock, TaskCut, VectorClock,
};
use snapline_core::{BarrierAlignment, Error, ErrorKind, OperatorUid, SubtaskId, SubtaskIndex};

const ALIGNMENTS: [BarrierAlignment; 4] = [
    BarrierAlignment::Aligned,
    BarrierAlignment::AlignedWithTimeout { timeout_ms: 1 },
    BarrierAlignment::Unaligned,
    BarrierAlignment::AtLeastOnce,
];

fn task(index: u32) -> SubtaskId {
    SubtaskId {
        operator: OperatorUid::new("op").unwrap(),
        index: SubtaskIndex(index),
    }
}

fn channel(received: u64, sent: u64, recorded: &[(u64, u64)]) -> ChannelCut {
    let run = |&(from, to): &(u64, u64)| RecordedRun { from, to };
    ChannelCut {
        received,
        sent,
        recorded: recorded.iter().map(run).collect(),
    }
}

fn verify(cuts: &[TaskCut], alignment: BarrierAlignment) -> Result<ConsistentCut, CutViolation> {
    let ids: Vec<SubtaskId> = (0..cuts.len() as u32).map(task).collect();
    ConsistentCut::verify(ids.iter().zip(cuts), alignment)
}

/// One flawed channel, behind one that is in order.
fn flaw(cut: ChannelCut, alignment: BarrierAlignment) -> Option<ChannelFlaw> {
    let task_cut = TaskCut {
        clock: None,
        channels: vec![channel(4, 4, &[]), cut],
    };
    match verify(&[TaskCut::default(), task_cut], alignment) {
        Ok(proof) => {
            assert_eq!((proof.tasks, proof.channels, proof.clocks), (2, 2, 0));
            None
        }
        Err(CutViolation::Channel {
            task: of,
            channel: 1,
            flaw,
        }) if of == task(1) => Some(flaw),
        Err(violation) => panic!("{violation}"),
    }
}

#[test]
fn a_channel_is_cut_exactly_when_every_batch_before_the_barrier_is_in_the_snapshot_once() {
    use ChannelFlaw::*;
    type Case = (&'static str, ChannelCut, Option<ChannelFlaw>, Option<ChannelFlaw>);
    let both = |name, cut, flaw| -> Case { (name, cut, flaw, flaw) };
    let cases = [
        both("nothing was sent", channel(0, 0, &[]), None),
        both("all processed", channel(5, 5, &[]), None),
        both("all recorded", channel(0, 5, &[(0, 5)]), None),
        both("some recorded", channel(2, 5, &[(2, 5)]), None),
        both("recorded in two runs", channel(2, 5, &[(2, 4), (4, 5)]), None),
        both(
            "alignment skipped",
            channel(3, 5, &[]),
            Some(Lost { from: 3, to: 5 }),
        ),
        (
            "one batch late",
            channel(6, 5, &[]),
            Some(Repeated { from: 5, to: 6 }),
            None,
        ),
        both(
            "first one not recorded",
            channel(2, 5, &[(3, 5)]),
            Some(Gap { from: 2, to: 3 }),
        ),
        both(
            "one in the middle not recorded",
            channel(2, 6, &[(2, 3), (4, 6)]),
            Some(Gap { from: 3, to: 4 }),
        ),
        both(
            "acknowledged before the log is complete",
            channel(2, 5, &[(2, 4)]),
            Some(LogIncomplete { from: 4, to: 5 }),
        ),
        both(
            "recorded although processed",
            channel(2, 5, &[(1, 5)]),
            Some(Overlap {
                batch: 1,
                received: 2,
            }),
        ),
        both(
            "recorded twice",
            channel(2, 5, &[(2, 4), (3, 5)]),
            Some(RecordedTwice { batch: 3 }),
        ),
        both(
            "swapped",
            channel(2, 5, &[(2, 3), (4, 5), (3, 4)]),
            Some(OutOfOrder {
                batch: 4,
                expected: 3,
            }),
        ),
        both(
            "recorded on behind the barrier",
            channel(2, 5, &[(2, 6)]),
            Some(BeyondBarrier { batch: 5, sent: 5 }),
        ),
        both(
            "recorded behind the barrier only",
            channel(5, 5, &[(7, 8)]),
            Some(BeyondBarrier { batch: 7, sent: 5 }),
        ),
        both(
            "an empty run",
            channel(2, 5, &[(2, 2)]),
            Some(EmptyRun { from: 2, to: 2 }),
        ),
        both(
            "a negative run",
            channel(2, 5, &[(3, 2)]),
            Some(EmptyRun { from: 3, to: 2 }),
        ),
    ];
    for (name, cut, exactly, at_least) in cases {
        for alignment in ALIGNMENTS {
            let expected = match alignment {
                BarrierAlignment::AtLeastOnce => at_least,
                _ => exactly,
            };
            assert_eq!(flaw(cut.clone(), alignment), expected, "{name}, {alignment:?}");
        }
    }
}

/// Clocks as `position: entries`, one task per line; `-` for a task that keeps none.
fn clocks(text: &str) -> Vec<TaskCut> {
    let line = |line: &str| TaskCut {
        channels: Vec::new(),
        clock: line.split_once(':').map(|(position, entries)| TaskClock {
            task: position.trim().parse().unwrap(),
            clock: VectorClock::from_iter(entries.split_whitespace().map(|entry| entry.parse().unwrap())),
        }),
    };
    text.lines()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(line)
        .collect()
}

fn check(text: &str, expected: Result<usize, CutViolation>) {
    let cuts = clocks(text);
    let outcome = verify(&cuts, BarrierAlignment::Aligned).map(|proof| proof.clocks);
    assert_eq!(outcome, expected, "{text}");
    let at_least_once = verify(&cuts, BarrierAlignment::AtLeastOnce);
    assert_eq!(at_least_once.map(|proof| proof.clocks), Ok(0), "{text}");
}

fn future(known: u32, by: u32, seen: u64, cut: u64) -> CutViolation {
    let (known, by) = (task(known), task(by));
    CutViolation::Future { known, by, seen, cut }
}

#[test]
fn no_task_may_have_seen_what_another_one_did_after_its_cut() {
    check("", Ok(0));
    check("0: 5 0 0 \n 1: 5 3 0 \n 2: 4 3 9", Ok(3));
    check("0: 5 0 0 \n 1: 6 3 0 \n 2: 4 3 9", Err(future(0, 1, 6, 5)));
    // Through another task, which is not itself in contradiction with either.
    check("0: 5 0 0 \n 1: 5 3 0 \n 2: 6 3 9", Err(future(0, 2, 6, 5)));
    // Positions in another order than the tasks, and entries beyond the end of a clock.
    check("2: 4 3 9 \n 1: 5 3 \n 0: 5", Ok(3));
    check("2: 4 4 9 \n 1: 5 3 \n 0: 5", Err(future(1, 0, 4, 3)));
    check("7: 0 0 0 0 0 0 0 1", Ok(1));
}

#[test]
fn a_task_without_a_clock_is_passed_over() {
    check("0: 5 0 0 \n - \n 2: 5 9 9", Ok(2));
    check("0: 5 0 0 \n - \n 2: 6 9 9", Err(future(0, 2, 6, 5)));
}

#[test]
fn a_position_that_two_tasks_claim_proves_nothing() {
    let (first, second) = (task(0), task(2));
    let position = 1;
    let expected = CutViolation::SamePosition {
        position,
        first,
        second,
    };
    check("1: 5 5 \n 0: 5 5 \n 1: 5 5", Err(expected));
}

#[test]
fn channels_are_compared_before_clocks() {
    let mut cuts = clocks("0: 5 0 \n 1: 6 3");
    cuts[1].channels.push(channel(1, 2, &[]));
    let violation = verify(&cuts, BarrierAlignment::Aligned).unwrap_err();
    assert!(matches!(violation, CutViolation::Channel { .. }), "{violation}");
}

#[test]
fn a_violation_becomes_an_error_that_names_the_tasks_and_what_contradicts() {
    let channel = CutViolation::Channel {
        task: task(3),
        channel: 1,
        flaw: ChannelFlaw::Lost { from: 3, to: 5 },
    };
    let lead = "the snapshots of the tasks are not a consistent cut: ";
    let cases = [
        (
            future(0, 1, 6, 5),
            "task op[1] had already seen event 6 of task op[0], whose cut is at 5",
        ),
        (
            channel,
            "channel 1 of task op[3]: batches 3..5 were sent before the barrier and are lost",
        ),
    ];
    for (violation, text) in cases {
        let error = Error::from(violation);
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.to_string(), format!("{lead}{text}"));
    }
}
