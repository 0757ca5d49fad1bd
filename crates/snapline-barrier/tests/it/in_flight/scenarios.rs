//! The scenarios that users of other engines rely on, for unaligned checkpoints and timeouts, as data.
//!
//! A barrier behind queued batches is announced; what a scenario calls a priority barrier is one that
//! is delivered. A timeout is 100 ms.

use crate::gate::barrier;
use crate::script::run_as;
use EndOfInputRule::{Aborts, StandsIn};
use snapline_barrier::{AlignmentAction, BarrierAligner, BarrierHandler, ChannelIndex, EndOfInputRule};
use snapline_core::{BarrierAlignment, CheckpointId, Timestamp};

/// Label, channels, rule and script.
type Case = (&'static str, u32, EndOfInputRule, &'static str);

const UNALIGNED: &[Case] = &[
    (
        "B-50 to B-54",
        3,
        StandsIn,
        "d0 d2 d0 b1@1 U1 b1@2 d2 d1 d0x b1@0 C1 F(1)=[0x]
         d0 d0 d1 d1 d2 b2@0 U2 b2@1 b2@2 C2 F(2)=[]
         d2 d2 b3@2 U3 d2 d2 b3@0 b3@1 C3 F(3)=[]
         b4@1 U4 b4@2 b4@0 C4 F(4)=[]
         d0 d2 d0 b5@1 U5 d2a d0b d2c d1 b5@2 d1 d0d d2 d1 b5@0 C5 F(5)=[0b,0d,2a,2c] B={} pending=[]",
    ),
    (
        "B-57",
        2,
        StandsIn,
        "b1@0 U1 c2@0 D1(subsumed) A2(cancel) c3@0 A3(cancel) c3@1 d0 eop@0 eop@1 F(1)=nothing latest=3",
    ),
    (
        "B-58",
        4,
        StandsIn,
        "eop@2 eop@1 d0 d0 d3 b2@3 U2 b2@0 C2 F(2)=[] d3 d0 b3@3 U3 d3 d0x b3@0 C3 F(3)=[0x]
         b4@0 U4 b4@3 C4 F(4)=[] d0 d0 d3 eop@0 d3 b5@3 T5 F(5)=[] d3 eop@3 open=0",
    ),
    (
        "B-60",
        2,
        StandsIn,
        "b1@0 U1 c1@1 D1(cancel) pending=[] b1@1 c1@0",
    ),
    (
        "B-61",
        1,
        StandsIn,
        "d0 b1@0 T1 d0 b2@0 T2 c4@0 A4(cancel) latest=4 b5@0 T5 d0 c6@0 A6(cancel) d0 eop@0",
    ),
    (
        "B-63",
        3,
        StandsIn,
        "d0 d1 c4@1 A4(cancel) b4@2 d0 b4@0 B={} pending=[]",
    ),
    (
        "B-64",
        3,
        StandsIn,
        "c6@1 A6(cancel) c6@2 b6@0 d0 eop@0 eop@1 eop@2 open=0",
    ),
    ("B-66", 1, StandsIn, "c1@0 A1(cancel) b1@0 c1@0 latest=1"),
    ("B-67", 2, Aborts, "b1@0 U1 eop@0 D1(end) open=1 pending=[]"),
    (
        "B-67 by the other",
        2,
        Aborts,
        "b1@0 U1 eop@1 D1(end) open=1 b2@0 T2",
    ),
    (
        "B-69",
        3,
        StandsIn,
        "eop@0 b3@1 U3 d1 d2x eop@1 b3@2 C3 F(3)=[2x] d2 b4@2 T4 F(4)=[] eop@2",
    ),
    ("B-70 c10 c20", 2, StandsIn, "c10@0 A10(cancel) c20@0 A20(cancel)"),
    ("B-70 c20 c10", 2, StandsIn, "c20@0 A20(cancel) c10@0"),
    ("B-70 c10 b10", 2, StandsIn, "c10@0 A10(cancel) b10@0"),
    ("B-70 c10 b20", 2, StandsIn, "c10@0 A10(cancel) b20@0 U20"),
    ("B-70 c20 b10", 2, StandsIn, "c20@0 A20(cancel) b10@0"),
    (
        "B-70 b10 b10",
        2,
        StandsIn,
        "b10@0 U10 b10@0 waits(10)=[1] b10@1 C10",
    ),
    ("B-70 b10 b20 on one", 1, StandsIn, "b10@0 T10 b20@0 T20"),
    ("B-70 b10 b20", 2, StandsIn, "b10@0 U10 b20@0 D10(subsumed) U20"),
    ("B-70 b20 b10", 2, StandsIn, "b20@0 U20 b10@0 pending=[20]"),
    ("B-70 b10 c10 on one", 1, StandsIn, "b10@0 T10 c10@0"),
    ("B-70 b10 c10", 2, StandsIn, "b10@0 U10 c10@0 D10(cancel)"),
    ("B-70 b10 c20 on one", 1, StandsIn, "b10@0 T10 c20@0 A20(cancel)"),
    (
        "B-70 b10 c20",
        2,
        StandsIn,
        "b10@0 U10 c20@0 D10(subsumed) A20(cancel)",
    ),
    ("B-70 b20 c10", 2, StandsIn, "b20@0 U20 c10@0 pending=[20]"),
    ("B-81", 2, StandsIn, "s1@0 B={0} due=none s1@1 T1 B={}"),
    ("B-82", 2, StandsIn, "b1@0 U1 B={} b1@1 C1"),
    (
        "B-106",
        4,
        StandsIn,
        "s1@0 B={0} b2@1 A1(subsumed) U2 B={} s3@2 D2(subsumed) B={2} b4@3 A3(subsumed) U4 B={} pending=[4]",
    ),
    (
        "an announcement is enough",
        2,
        StandsIn,
        "q0a q0b ann1@0 U1 P0 d1x b1@0 waits(1)=[1] d0a d0b d1y b1@1 C1 F(1)=[0a,0b,1x,1y]",
    ),
    (
        "one channel whose barrier overtakes",
        1,
        StandsIn,
        "d0 q0a q0b ann1@0 U1 P0 b1@0 C1 F(1)=[0a,0b] d0a d0b q0c ann2@0 U2 P0 b2@0 C2 F(2)=[0c] d0c",
    ),
    (
        "a batch can be overtaken twice",
        1,
        StandsIn,
        "q0a ann1@0 U1 P0 b1@0 C1 F(1)=[0a] q0b ann2@0 U2 P0 b2@0 C2 F(2)=[0a,0b] d0a d0b",
    ),
    (
        "announced while recording",
        2,
        StandsIn,
        "b1@0 U1 d1a q1b ann1@1 P1 b1@1 C1 F(1)=[1a,1b] d1b",
    ),
    (
        "announced, but delivered in order",
        2,
        StandsIn,
        "b1@0 U1 ann1@1 P1 b1@1 C1 F(1)=[]",
    ),
    (
        "abort while recording",
        2,
        StandsIn,
        "b1@0 U1 d1 abort1 X1 d1 b1@1 B={} abort1 b2@0 U2 d1x b2@1 C2 F(2)=[1x]",
    ),
    (
        "abort before the announcement",
        2,
        StandsIn,
        "abort1 q0a ann1@0 F1 b1@1 d0a b1@0 B={} latest=1",
    ),
    (
        "abort when the barrier is about to overtake",
        2,
        StandsIn,
        "q0a ann1@0 U1 P0 abort1 X1 b1@0 B={} d0a b1@1 F(1)=nothing",
    ),
    ("abort too late", 2, StandsIn, "b1@0 U1 b1@1 C1 abort1"),
    (
        "a savepoint is not disturbed by an announcement",
        2,
        StandsIn,
        "s1@0 B={0} q0a ann2@0 latest=1 d1b s1@1 T1 U2 P0 B={} b2@0 q1c ann2@1 P1 b2@1 C2 F(2)=[0a,1c]",
    ),
    (
        "what waited for a savepoint that was cancelled",
        2,
        StandsIn,
        "s1@0 q0a ann2@0 c1@1 A1(cancel) U2 P0 b2@0 b2@1 C2 F(2)=[0a]",
    ),
    (
        "what waited for a savepoint but was aborted",
        2,
        StandsIn,
        "s1@0 q0a ann2@0 abort2 s1@1 T1 F2 d0a b2@0 b2@1 B={}",
    ),
    (
        "what waited for a savepoint but came to an end",
        2,
        StandsIn,
        "s1@1 ann2@0 eop@0 T1 latest=1 b2@1 T2",
    ),
    (
        "an end while recording stands in",
        3,
        StandsIn,
        "b1@0 U1 d1a d2b eop@1 waits(1)=[2] d2c eop@2 C1 F(1)=[1a,2b,2c] open=1",
    ),
    (
        "an end of a channel whose barrier is in",
        2,
        StandsIn,
        "b1@0 U1 eop@0 d1a b1@1 C1 F(1)=[1a]",
    ),
    (
        "late and repeated announcements",
        2,
        StandsIn,
        "ann1@0 U1 P0 ann1@0 b1@0 ann1@0 b1@1 C1 ann1@1 latest=1 pending=[]",
    ),
];

const WITH_TIMEOUT: &[Case] = &[
    (
        "B-84",
        1,
        StandsIn,
        "q0a ann1@0 due=100 +101 time U1~101 P0 due=none b1@0 C1 d0a new2 ann2@0 due=201 b2@0 T2 F(2)=[]",
    ),
    ("B-85", 2, StandsIn, "b1@0 B={0} d1 b1@1 T1 B={}"),
    (
        "B-87",
        3,
        StandsIn,
        "b1@2 q0a ann1@0 q1b ann1@1 B={2} +101 time U1~101 P0 P1 B={} b1@0 b1@1 C1 F(1)=[0a,1b] d0a d1b",
    ),
    (
        "B-88",
        2,
        StandsIn,
        "ann1@0 q1x ann1@1 +400 b1@0 U1~400 P1 B={} b1@1 C1 F(1)=[1x] d1x",
    ),
    (
        "B-90",
        3,
        StandsIn,
        "b1@0 b1@1 b1@2 T1 +150 new2 b2@0 B={0} due=250 +101 q1x ann2@1 U2~101 P1 B={} b2@1 b2@2 C2 F(2)=[1x]",
    ),
    (
        "B-91",
        2,
        StandsIn,
        "b1@0 q1x +101 ann1@1 U1~101 P1 time time b1@1 C1 F(1)=[1x] d0 d1x",
    ),
    (
        "B-93",
        2,
        StandsIn,
        "b1@0 B={0} +101 ann1@1 U1~101 P1 b1@1 C1 F(1)=[]",
    ),
    (
        "B-93 by a barrier that is not the last",
        3,
        StandsIn,
        "b1@0 +101 b1@1 U1~101 B={} d2x b1@2 C1 F(1)=[2x]",
    ),
    (
        "B-94",
        2,
        StandsIn,
        "b1@0 +99 time B={0} +2 time U1~101 B={} b1@1 C1",
    ),
    ("B-96", 2, StandsIn, "b1@0 b1@1 T1 due=none +101 time"),
    (
        "B-96, but it is late",
        2,
        StandsIn,
        "b1@0 +101 b1@1 T1~101 due=none time",
    ),
    (
        "B-97",
        2,
        StandsIn,
        "b1@0 c1@0 A1(cancel) c1@1 due=none +101 time b1@1",
    ),
    (
        "B-99",
        2,
        StandsIn,
        "q0a q0b ann1@0 q1c ann1@1 +101 time U1~101 P0 P1 b1@0 b1@1 C1 d0a d0b d1c F(1)=[0a,0b,1c]",
    ),
    (
        "B-100",
        2,
        StandsIn,
        "q0a q0b q1c +101 ann1@0 U1 P0 time b1@0 ann1@1 P1 b1@1 C1 d0a d0b d1c F(1)=[0a,0b,1c]",
    ),
    (
        "B-102",
        3,
        StandsIn,
        "b1@0 B={0} q1a q1b uann1@1 U1 P1 B={} u1@1 d1a d1b b1@2 C1 F(1)=[1a,1b]",
    ),
    (
        "B-102 without an announcement",
        3,
        StandsIn,
        "b1@0 d1a d1b u1@1 U1 B={} d2x b1@2 C1 F(1)=[2x]",
    ),
    (
        "B-103",
        3,
        StandsIn,
        "ann1@0 b1@0 +101 d1 eop@1 U1~101 B={} d2x eop@2 C1 F(1)=[2x]",
    ),
    ("B-108", 1, StandsIn, "q0a ann1@0 d0a b1@0 T1 +101 time F(1)=[]"),
    (
        "B-109",
        1,
        StandsIn,
        "q0a ann1@0 abort1 F1 +101 time d0a b1@0 B={}",
    ),
    ("B-111, 30 ms ago", 2, StandsIn, "+30 b1@0 due=100"),
    ("B-111, 130 ms ago", 2, StandsIn, "+130 b1@0 U1 due=none b1@1 C1"),
    (
        "a savepoint has no timeout",
        2,
        StandsIn,
        "s1@0 due=none +1000 time s1@1 T1~1000",
    ),
    (
        "the last barrier is unaligned",
        2,
        StandsIn,
        "b1@0 d1 u1@1 T1 B={} F(1)=[]",
    ),
    (
        "an upstream task has turned, nothing is in",
        2,
        StandsIn,
        "q0a uann1@0 U1 P0 u1@0 d1b ann1@1 P1 b1@1 C1 F(1)=[0a,1b]",
    ),
    (
        "announced, then a newer barrier",
        2,
        StandsIn,
        "q0a ann1@0 b2@1 A1(subsumed) B={1} due=100 d0a b1@0 b2@0 T2",
    ),
    ("announced, then the end", 2, StandsIn, "ann1@0 eop@1 b1@0 T1"),
    (
        "announced, then cancelled",
        2,
        StandsIn,
        "ann1@0 c1@1 A1(cancel) b1@0 B={}",
    ),
    (
        "announced, then the end aborts",
        2,
        Aborts,
        "ann1@0 eop@1 A1(end) b1@0 B={}",
    ),
];

/// Channel 0 is forced.
const FORCED: &[Case] = &[
    (
        "the forced channel is waited for",
        3,
        StandsIn,
        "b1@1 B={1} q2a ann1@2 B={1} due=none d0 b1@0 U1 P2 B={} b1@2 C1 F(1)=[2a]",
    ),
    (
        "the forced channel comes first",
        2,
        StandsIn,
        "b1@0 U1 B={} d1a b1@1 C1 F(1)=[1a]",
    ),
    (
        "the forced channel comes last",
        2,
        StandsIn,
        "q1a ann1@1 d1a b1@1 B={1} d0 b1@0 T1 B={} F(1)=[]",
    ),
    (
        "a forced barrier never overtakes",
        2,
        StandsIn,
        "q0a ann1@0 q1b ann1@1 d0a b1@0 U1 P1 b1@1 C1 F(1)=[1b]",
    ),
    (
        "the forced channel ends",
        3,
        StandsIn,
        "b1@1 B={1} d0 eop@0 U1 B={} d2a b1@2 C1 F(1)=[2a]",
    ),
];

/// Channel 0 is forced.
const FORCED_WITH_TIMEOUT: &[Case] = &[
    (
        "the deadline waits for the forced channel",
        3,
        StandsIn,
        "b1@1 due=none +101 time d0 b1@0 U1~101 B={} d2a b1@2 C1 F(1)=[2a]",
    ),
    (
        "the forced channel comes in time",
        3,
        StandsIn,
        "b1@1 b1@0 due=100 B={0,1} +101 time U1~101 B={} d2a b1@2 C1 F(1)=[2a]",
    ),
];

fn check(alignment: BarrierAlignment, forced: Option<ChannelIndex>, cases: &[Case]) {
    for (label, channels, rule, script) in cases {
        let mut aligner = BarrierAligner::with_forced(*channels, *rule, forced);
        run_as(&mut aligner, alignment, script).unwrap_or_else(|error| panic!("{label}: {error}"));
    }
}

const TIMEOUT: BarrierAlignment = BarrierAlignment::AlignedWithTimeout { timeout_ms: 100 };

#[test]
fn unaligned_checkpoints_do_what_the_scenarios_say() {
    check(BarrierAlignment::Unaligned, None, UNALIGNED);
}

#[test]
fn checkpoints_with_a_timeout_do_what_the_scenarios_say() {
    check(TIMEOUT, None, WITH_TIMEOUT);
}

#[test]
fn forced_channels_are_aligned_first() {
    let forced = Some(ChannelIndex(0));
    check(BarrierAlignment::Unaligned, forced, FORCED);
    check(TIMEOUT, forced, FORCED_WITH_TIMEOUT);
}

/// B-55: the alignment time of an unaligned snapshot ends with the snapshot, not with the last barrier.
#[test]
fn an_unaligned_snapshot_does_not_wait() {
    let cases = [("B-55", 2, StandsIn, "+5 b1@0 U1 +10 d1a b1@1 C1 F(1)=[1a]")];
    check(BarrierAlignment::Unaligned, None, &cases);
}

#[test]
fn a_channel_that_has_ended_is_not_unblocked() {
    let (mut aligner, mut actions) = (BarrierAligner::new(3, StandsIn), Vec::new());
    let now = Timestamp(0);
    aligner.on_barrier(ChannelIndex(0), barrier(1), now, &mut actions);
    aligner.on_barrier(ChannelIndex(1), barrier(1), now, &mut actions);
    aligner.on_end_of_input(ChannelIndex(0), now, &mut actions);
    actions.clear();
    aligner.on_abort(CheckpointId(1), now, &mut actions);
    let expected = [
        AlignmentAction::ForwardCancel(CheckpointId(1)),
        AlignmentAction::Unblock(ChannelIndex(1)),
    ];
    assert_eq!(actions, expected);
}
