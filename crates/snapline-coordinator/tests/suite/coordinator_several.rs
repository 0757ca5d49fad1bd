//! Several checkpoints under way, and the order of requests.

use crate::script::{at, check, coordinator, happen, settings};
use snapline_coordinator::CoordinatorAction;
use snapline_core::{AlignmentSettings, CheckpointKind, CheckpointSettings};

fn concurrent(max_concurrent: u32) -> CheckpointSettings {
    CheckpointSettings {
        max_concurrent,
        tolerable_failures: 9,
        ..settings()
    }
}

#[test]
fn a_complete_checkpoint_subsumes_the_older_ones_and_discards_what_they_have() {
    // C-07
    check(
        coordinator(3, Some(concurrent(2))),
        "100            | trigger 5
         ack 5 0        |
         ack 5 1        |
         200            | trigger 6
         ack 6 0        |
         ack 6 2        |
         ack 6 1        | publish 6
         published 6 ok | complete 6, abort 5 after 6, discard 5-0 5-1, collect
         ack 5 2        | discard 5-2
         ack 6 2        |
         decline 5 0 declined |",
    );
}

#[test]
fn no_more_are_under_way_than_may_be_and_a_subsumed_one_makes_room() {
    // C-15
    check(
        coordinator(1, Some(concurrent(2))),
        "100            | trigger 5
         200            | trigger 6
         next           | Some(1.1s)
         310            |
         ack 6 0        | publish 6
         published 6 ok | complete 6, abort 5 after 6, collect, trigger 7
         409            |
         410            | trigger 8
         9999           | abort 7 after 6, abort 8 after 6, trigger 9",
    );
}

#[test]
fn checkpoints_are_published_one_at_a_time_in_order() {
    check(
        coordinator(1, Some(concurrent(4))),
        "100                 | trigger 5
         200                 | trigger 6
         300                 | trigger 7
         400                 | trigger 8
         ack 6 0 commit      | publish 6
         publishing          | Some(6)
         ack 8 0             |
         ack 5 0             |
         ack 7 0             |
         decline 7 0 declined |
         published 6 ok      | complete 6, commit 6, abort 5 after 6, discard 5-0, collect, publish 7 with 6
         published 7 invalid | abort 7 after 6, discard 7-0, publish 8 with 6
         committed 6 ok      |
         published 8 ok      | complete 8, collect
         publishing          | None",
    );
}

#[test]
fn each_checkpoint_expires_by_itself_also_while_it_waits_for_its_turn() {
    check(
        coordinator(1, Some(concurrent(3))),
        "100                     | trigger 5
         200                     | trigger 6
         ack 5 0                 | publish 5
         ack 6 0                 |
         published 5 unavailable |
         300                     | publish 5, trigger 7
         1100                    |
         1200                    | abort 6 after 3, discard 6-0, trigger 8
         1300                    | abort 7 after 3, trigger 9
         published 5 ok          | complete 5, collect",
    );
}

#[test]
fn a_savepoint_neither_subsumes_nor_is_subsumed() {
    // C-11, C-12, C-13
    check(
        coordinator(1, Some(concurrent(9))),
        "request savepoint  | request 1, begin 5 for 1, trigger-savepoint 5
         request checkpoint | request 2, trigger 6
         request checkpoint | request 3, trigger 7
         ack 7 0            | publish 7
         published 7 ok     | complete 7, abort 6 after 7, answer 2 Unavailable, collect, answer 3 with 7
         request checkpoint | request 4, trigger 8
         request savepoint  | request 5, begin 9 for 5, trigger-savepoint 9
         ack 9 0            | store 9
         stored 9 ok        | answer 5 with 9
         ack 5 0            | store 5
         stored 5 ok        | answer 1 with 5
         request checkpoint | request 6, trigger 10
         ack 10 0           | publish 10
         published 10 ok    | complete 10, abort 8 after 10, answer 4 Unavailable, collect, answer 6 with 10",
    );
}

#[test]
fn who_is_told_of_a_completion_also_learns_which_one_was_the_newest_before() {
    // C-11, C-13
    let mut coordinator = coordinator(1, Some(concurrent(1)));
    let (mut now, mut previous) = (at(0), Vec::new());
    for line in "100\n ack 5 0\n published 5 ok\n request savepoint\n ack 6 0\n stored 6 ok\n 200\n ack 7 0\n published 7 ok".lines() {
        let mut out = Vec::new();
        happen(&mut coordinator, line.trim(), &mut now, &mut out);
        previous.extend(out.iter().filter_map(|action| match action {
            CoordinatorAction::NotifyComplete { previous, .. } => Some(previous.unwrap().0),
            _ => None,
        }));
    }
    assert_eq!(previous, [3, 5]);
}

#[test]
fn any_number_of_savepoints_is_under_way_and_they_complete_in_any_order() {
    // C-16, C-22
    check(
        coordinator(1, Some(concurrent(1))),
        "100                | trigger 5
         request checkpoint | request 1
         request savepoint  | request 2, begin 6 for 2, trigger-savepoint 6
         request savepoint  | request 3, begin 7 for 3, trigger-savepoint 7
         request savepoint  | request 4, begin 8 for 4, trigger-savepoint 8
         ack 8 0            | store 8
         ack 6 0            | store 6
         stored 6 ok        | answer 2 with 6
         ack 7 0            | store 7
         stored 8 ok        | answer 4 with 8
         stored 7 ok        | answer 3 with 7
         ack 5 0            | publish 5
         published 5 ok     | complete 5, collect, trigger 9",
    );
}

#[test]
fn barriers_that_overtake_and_savepoints_take_turns() {
    // C-21
    for alignment in [
        AlignmentSettings::Unaligned,
        AlignmentSettings::AlignedWithTimeout { timeout_ms: 1 },
    ] {
        let settings = CheckpointSettings {
            alignment,
            ..concurrent(1)
        };
        check(
            coordinator(2, Some(settings)),
            "100                | trigger 5
             request checkpoint | request 1
             request savepoint  | request 2
             request savepoint  | request 3
             200                |
             next               | Some(1.1s)
             ack 5 0            |
             ack 5 1            | publish 5, begin 6 for 2, trigger-savepoint 6, begin 7 for 3, trigger-savepoint 7
             published 5 ok     | complete 5, collect
             ack 6 0            |
             ack 6 1            | store 6
             ack 7 1            |
             ack 7 0            | store 7, trigger 8
             request savepoint  | request 4
             decline 8 0 ended  | abort 8 after 5, answer 1 Unavailable, begin 9 for 4, trigger-savepoint 9
             next               | Some(1.2s)
             1200               | abort 6 after 5, answer 2 Unavailable, abort 7 after 5, answer 3 Unavailable, \
                                  abort 9 after 5, discard-savepoint 9, answer 4 Unavailable, trigger 10",
        );
    }
}

#[test]
fn nothing_passes_a_savepoint_that_waits_for_room() {
    let settings = CheckpointSettings {
        alignment: AlignmentSettings::Unaligned,
        ..concurrent(2)
    };
    check(
        coordinator(1, Some(settings)),
        "100                | trigger 5
         request savepoint  | request 1
         request checkpoint | request 2
         200                |
         next               | Some(1.1s)
         ack 5 0            | publish 5, begin 6 for 1, trigger-savepoint 6
         ack 6 0            | store 6, trigger 7",
    );
}

#[test]
fn the_last_in_order_is_refused_when_too_many_wait() {
    // C-19, C-66
    let mut coordinator = coordinator(1, Some(concurrent(1)));
    let mut out = Vec::new();
    for _ in 0..1001 {
        coordinator
            .trigger(CheckpointKind::Checkpoint, at(0), &mut out)
            .unwrap();
    }
    assert_eq!(out.len(), 1, "one has started, a thousand wait");
    let refused = coordinator
        .trigger(CheckpointKind::Checkpoint, at(0), &mut out)
        .unwrap();
    let Some(CoordinatorAction::RequestDone { request, outcome }) = out.pop() else {
        panic!("{out:?}")
    };
    assert_eq!(request, refused);
    assert!(
        outcome.unwrap_err().to_string().contains("too many requests"),
        "{request}"
    );
}
