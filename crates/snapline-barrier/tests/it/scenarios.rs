//! The scenarios that users of other engines rely on, as data.

use crate::script::run;
use EndOfInputRule::{Aborts, StandsIn};
use snapline_barrier::{BarrierAligner, BarrierHandler, BarrierTracker, EndOfInputRule};

/// Label, channels, rule and script.
type Case = (&'static str, u32, EndOfInputRule, &'static str);

const ALIGNED: &[Case] = &[
    ("B-01", 1, StandsIn, "d0 d0 d0 eop@0 B={} latest=0 open=0"),
    (
        "B-03",
        1,
        StandsIn,
        "d0 d0 d0 b1@0 T1 B={} d0 d0 d0 d0 b2@0 T2 b3@0 T3 d0 d0 b4@0 T4 b5@0 T5 b6@0 T6 B={} d0 eop@0",
    ),
    (
        "B-04 and B-05",
        3,
        StandsIn,
        "d0 d2 d0 b1@1 B={1} b1@2 B={1,2} waits(1)=[0] d0 b1@0 T1 B={}
         d0 d0 d1 d1 d2 b2@0 b2@1 b2@2 T2 B={}
         d2 d2 b3@2 d0 d0 b3@0 b3@1 T3 B={}
         b4@1 b4@2 b4@0 T4 B={}
         d0 eop@0 eop@1 eop@2 open=0",
    ),
    (
        "B-06",
        3,
        Aborts,
        "d0 d2 d0 b1@1 b1@2 d0 b1@0 T1 d1 d0 b2@1 d2 b2@0 d2 B={0,1}
         b3@2 A2(subsumed) latest=3 B={2}
         d1 d0 b3@0 B={0,2}
         b4@1 A3(subsumed) B={1}
         d2 d0 eop@0 A4(end) B={} d2 eop@2 d1 eop@1 open=0",
    ),
    (
        "B-07",
        2,
        StandsIn,
        "b1@0 B={0} c3@1 A3(cancel) B={} c2@0 c3@0 d0 B={} latest=3",
    ),
    (
        "B-09",
        3,
        StandsIn,
        "b1@0 b1@1 b1@2 T1 d0 d0 d2 b2@2 b2@0 d1 B={0,2} eop@1 T2 B={} eop@2 d0 eop@0 open=0",
    ),
    (
        "B-10",
        1,
        StandsIn,
        "d0 b1@0 T1 d0 b2@0 T2 d0 c4@0 A4(cancel) latest=4 b5@0 T5 d0 c6@0 A6(cancel) d0",
    ),
    (
        "B-11 to B-14",
        3,
        StandsIn,
        "d0 b1@1 d0 b1@2 d0 b1@0 T1 b2@0 b2@2 d1 c2@1 A2(cancel) B={}
         d2 d1 b3@1 b3@2 b3@0 T3
         d0 d1 c4@1 A4(cancel) b4@2 B={} d2 b4@0 B={}
         b5@2 b5@1 b5@0 T5 d0 d1 c6@1 A6(cancel) c6@2 b6@0 B={} d0",
    ),
    (
        "B-15",
        3,
        StandsIn,
        "d1 b1@1 d2 d0 c1@0 A1(cancel) B={} d1 b2@1 d2 d0 b1@2 B={1} d0 d2 b2@0 b2@2 T2 B={}",
    ),
    (
        "B-16",
        3,
        StandsIn,
        "d2 b3@1 b3@0 d2 b5@2 A3(subsumed) B={2} d1 d0 c3@0 d0 d1 b5@0 b5@1 T5 B={}",
    ),
    ("B-18", 3, StandsIn, "b2@0 b2@1 eop@1 pending=[2] b2@2 T2 B={}"),
    ("B-19", 3, StandsIn, "eop@2 b6@0 b6@1 T6 eop@1 b7@0 T7 open=1"),
    ("B-22", 2, StandsIn, "b10@0 b5@1 latest=10 B={0} d1 pending=[10]"),
    (
        "B-57 without snapshots ahead of the alignment",
        2,
        StandsIn,
        "b1@0 c2@0 A2(cancel) c3@0 A3(cancel) c3@1 d0 eop@0 eop@1 B={} latest=3",
    ),
    ("B-66", 1, StandsIn, "c1@0 A1(cancel) b1@0 B={} c1@0 latest=1"),
    ("B-67", 2, Aborts, "b1@0 eop@0 A1(end) open=1 B={}"),
    ("B-70 c10 c20", 2, StandsIn, "c10@0 A10(cancel) c20@0 A20(cancel)"),
    ("B-70 c20 c10", 2, StandsIn, "c20@0 A20(cancel) c10@0"),
    ("B-70 c10 b10", 1, StandsIn, "c10@0 A10(cancel) b10@0"),
    ("B-70 c10 b20", 1, StandsIn, "c10@0 A10(cancel) b20@0 T20"),
    ("B-70 c20 b10", 1, StandsIn, "c20@0 A20(cancel) b10@0"),
    ("B-70 b10 b10", 1, StandsIn, "b10@0 T10 b10@0"),
    (
        "B-70 b10 b10 counts once",
        2,
        StandsIn,
        "b10@0 b10@0 B={0} waits(10)=[1] b10@1 T10 B={}",
    ),
    ("B-70 b10 b20", 1, StandsIn, "b10@0 T10 b20@0 T20"),
    (
        "B-70 b10 b20 on two",
        2,
        StandsIn,
        "b10@0 b20@0 A10(subsumed) B={0}",
    ),
    ("B-70 b20 b10", 1, StandsIn, "b20@0 T20 b10@0"),
    ("B-70 b10 c10", 1, StandsIn, "b10@0 T10 c10@0"),
    ("B-70 b10 c10 on two", 2, StandsIn, "b10@0 c10@0 A10(cancel) B={}"),
    ("B-70 b10 c20", 1, StandsIn, "b10@0 T10 c20@0 A20(cancel)"),
    ("B-70 b20 c10", 1, StandsIn, "b20@0 T20 c10@0"),
    (
        "B-105",
        2,
        StandsIn,
        "b1@0 +1000 b2@0 A1(subsumed) +1000 c1@1 +1000 b2@1 T2~2000",
    ),
    (
        "abort while aligning",
        2,
        StandsIn,
        "b1@0 abort1 F1 B={} b1@1 B={} c1@1 abort1 b2@0 b2@1 T2",
    ),
    (
        "abort before the barriers",
        2,
        StandsIn,
        "abort2 b1@0 b1@1 T1 b2@0 F2 B={} latest=2 b2@1 b3@0 b3@1 T3",
    ),
    (
        "abort, then the cancel marker",
        2,
        StandsIn,
        "abort1 c1@0 A1(cancel) b1@1 B={}",
    ),
    (
        "abort of a newer one while aligning",
        2,
        StandsIn,
        "b1@0 abort2 b2@1 A1(subsumed) F2 B={} b2@0 B={}",
    ),
    (
        "abort too late",
        1,
        StandsIn,
        "b1@0 T1 abort1 b2@0 T2 abort1 b3@0 T3",
    ),
    (
        "abort of the last that ends",
        2,
        StandsIn,
        "abort1 eop@0 b1@1 F1 B={}",
    ),
    ("end before any barrier", 2, Aborts, "eop@0 b1@1 T1"),
];

const TRACKED: &[Case] = &[
    (
        "B-30",
        1,
        StandsIn,
        "d0 b1@0 T1 d0 b3@0 T3 b4@0 T4 d0 b6@0 T6 b7@0 T7 d0 b10@0 T10 d0",
    ),
    ("B-31", 3, StandsIn, "d0 b1@1 b1@2 d2 d1 b1@0 T1 d0 B={}"),
    (
        "B-33",
        3,
        StandsIn,
        "b2@1 b2@0 b2@2 T2 b3@1 b3@2 b4@2 b4@1 b3@0 T3 b4@0 T4 b5@1 b5@0 b5@2 T5 b6@1 b6@0 b7@1 b7@2
         b8@2 b8@1 b9@1 b7@0 T7 b9@2 b10@2 b8@0 T8 b9@0 T9 b10@0 b10@1 T10 pending=[]",
    ),
    (
        "B-34",
        2,
        StandsIn,
        "b1@1 +1000 b2@1 +1000 c1@0 A1(cancel) +1000 b2@0 T2~2000",
    ),
    (
        "B-36",
        1,
        StandsIn,
        "b1@0 T1 b2@0 T2 c4@0 A4(cancel) b5@0 T5 c6@0 A6(cancel) pending=[]",
    ),
    (
        "B-37",
        3,
        StandsIn,
        "b1@1 b1@2 b1@0 T1 b2@0 b2@2 d1 c2@1 A2(cancel) d2 d1 b3@1 b3@2 b3@0 T3 d0 d1 c4@1 A4(cancel)
         b4@2 d2 b4@0 b5@2 b5@1 b5@0 T5 d0 d1 c6@1 A6(cancel) c6@2 b6@0 d0 pending=[]",
    ),
    (
        "B-39",
        3,
        StandsIn,
        "b1@0 b2@0 b2@1 b3@0 b4@0 b4@1 b5@1 eop@2 T4 pending=[5] waits(5)=[0] open=2",
    ),
    ("B-40", 3, StandsIn, "b2@0 b2@1 eop@1 b2@2 T2"),
    ("B-42", 2, StandsIn, "b1@0 eop@0 b1@1 T1 pending=[]"),
    ("B-43", 3, StandsIn, "c4@0 A4(cancel) b4@1 b5@1 eop@2 pending=[5]"),
    ("B-45", 2, StandsIn, "b1@0 eop@0 c1@1 A1(cancel) pending=[]"),
    (
        "cancel gives up older ones",
        2,
        StandsIn,
        "b1@0 b2@0 b3@0 c2@1 A1(subsumed) A2(cancel) pending=[3] b3@1 T3",
    ),
    (
        "newer cancel gives up older ones",
        2,
        StandsIn,
        "b1@0 c2@1 A1(subsumed) A2(cancel) b1@1 c2@0 pending=[]",
    ),
    (
        "late cancel",
        2,
        StandsIn,
        "b1@0 b1@1 T1 b3@0 b5@0 c2@1 c4@1 pending=[3,5] c1@1 b3@1 T3",
    ),
    (
        "duplicate barrier counts once",
        2,
        StandsIn,
        "b1@0 b1@0 pending=[1] b1@1 T1 b1@1",
    ),
    (
        "end aborts all",
        3,
        Aborts,
        "b1@0 c2@0 A1(subsumed) A2(cancel) b3@0 b4@0 eop@1 A3(end) A4(end) pending=[] open=2",
    ),
    (
        "abort while counting",
        2,
        StandsIn,
        "b1@0 abort1 b1@1 F1 b2@0 b2@1 T2",
    ),
    (
        "abort before the barriers",
        2,
        StandsIn,
        "abort1 b1@0 b1@1 F1 abort1",
    ),
    (
        "abort leaves older ones alone",
        2,
        StandsIn,
        "b1@0 b2@0 abort2 b1@1 T1 b2@1 F2",
    ),
    (
        "abort, then the cancel marker",
        2,
        StandsIn,
        "b1@0 abort1 c1@1 F1 pending=[]",
    ),
    ("abort, then the end", 2, Aborts, "b1@0 abort1 eop@1 F1"),
    (
        "abort of a cancelled one",
        2,
        StandsIn,
        "c1@0 A1(cancel) abort1 c1@1 pending=[]",
    ),
];

fn check(handler: &mut dyn BarrierHandler, (label, _, _, script): &Case) {
    run(handler, script).unwrap_or_else(|error| panic!("{label}: {error}"));
}

#[test]
fn the_aligner_does_what_the_scenarios_say() {
    for case in ALIGNED {
        check(&mut BarrierAligner::new(case.1, case.2), case);
    }
}

#[test]
fn the_tracker_does_what_the_scenarios_say() {
    for case in TRACKED {
        check(&mut BarrierTracker::new(case.1, case.2), case);
    }
}

/// B-46.
#[test]
fn the_tracker_counts_at_most_fifty_checkpoints() {
    let mut tracker = BarrierTracker::new(2, StandsIn);
    let first: String = (1..=60).map(|id| format!("b{id}@0 ")).collect();
    run(&mut tracker, &first).unwrap();
    assert_eq!(tracker.pending().len(), 50);
    run(&mut tracker, "b1@1 b10@1 b11@1 T11 b60@1 T60 pending=[]").unwrap();
}

#[test]
fn the_aligner_remembers_a_bounded_number_of_aborts() {
    let mut aligner = BarrierAligner::new(1, StandsIn);
    let aborts: String = (1..=1000).map(|id| format!("abort{id} ")).collect();
    run(&mut aligner, &aborts).unwrap();
    run(&mut aligner, "b1@0 T1 b999@0 F999 b1000@0 F1000 b1001@0 T1001").unwrap();
}
