//! Tasks that finish before the job, and tasks that fail and restart while others run on.

use crate::script::{ack, at, check, coordinator, coordinator_with, happen, settings, task};
use snapline_coordinator::{CheckpointCoordinator, CoordinatorAction, Manifest};
use snapline_core::{CheckpointSettings, OperatorUid};
use std::sync::Arc;

#[test]
fn nothing_is_asked_of_finished_tasks() {
    // C-03, C-48, C-49
    check(
        coordinator(3, Some(settings())),
        "finish 1       |
         finish 7       |
         100            | trigger 5
         ack 5 0        |
         ack 5 1        |
         ack 5 2        | publish 5
         published 5 ok | complete 5, collect",
    );
    let restored = coordinator_with(3, Some(settings()), |context| {
        context.finished = vec![task(0), task(2)];
    });
    check(
        restored,
        "100     | trigger 5
         finish 0 |
         ack 5 1 | publish 5",
    );
}

#[test]
fn a_task_that_finishes_while_a_checkpoint_starts_stands_as_acknowledged() {
    // C-04: the end of its outputs stands in for the barrier.
    check(
        coordinator(3, Some(settings())),
        "100               | trigger 5
         request savepoint | request 1, begin 6 for 1, trigger-savepoint 6
         ack 5 0           |
         ack 6 0           |
         ack 6 1           |
         finish 2          | store 6
         ack 5 2           |
         finish 2          |
         finish 1          | publish 5
         finish 0          |
         published 5 ok    | complete 5, collect",
    );
}

#[test]
fn when_all_tasks_have_finished_the_final_checkpoint_needs_nobody() {
    check(
        coordinator(2, Some(settings())),
        "100                | trigger 5
         request final      | request 1
         ack 5 0            |
         ack 5 1            | publish 5
         published 5 ok     | complete 5, collect, trigger-final 6
         finish 1           |
         decline 6 0 ended  | abort 6 after 5
         finish 0           |
         200                | trigger-final 7, publish 7
         published 7 ok     | complete 7, collect, answer 1 with 7
         finished           | true",
    );
    check(coordinator(0, Some(settings())), "100 | trigger 5, publish 5");
}

fn publish(coordinator: &mut CheckpointCoordinator, script: &str) -> Arc<Manifest> {
    let mut now = at(0);
    let mut out = Vec::new();
    for line in script.lines().map(str::trim) {
        happen(coordinator, line, &mut now, &mut out);
    }
    let published = out.into_iter().rev().find_map(|action| match action {
        CoordinatorAction::Publish(manifest) => Some(manifest),
        _ => None,
    });
    published.unwrap()
}

#[test]
fn finished_subtasks_are_marked_in_all_operators_of_their_chain() {
    let behind = OperatorUid::new("behind").unwrap();
    let other = OperatorUid::new("other").unwrap();
    let mut coordinator = coordinator_with(3, Some(settings()), |context| {
        let mut plan = context.operators[0].clone();
        plan.uid = behind.clone();
        context.operators.push(plan.clone());
        plan.uid = other.clone();
        plan.chain = other.clone();
        context.operators.push(plan);
        context.finished = vec![task(2)];
    });
    let marks = |manifest: &Manifest, uid: &OperatorUid| -> Vec<bool> {
        let operator = manifest.operators.get(uid);
        let subtasks = operator.into_iter().flat_map(|operator| operator.subtasks.iter());
        subtasks.map(|state| state.finished).collect()
    };
    // Task 0 finishes after it has acknowledged, task 1 before.
    let manifest = publish(&mut coordinator, "100\n ack 5 0\n finish 0\n finish 1");
    let head = &task(0).operator;
    assert_eq!(marks(&manifest, head), [false, true, true]);
    assert_eq!(marks(&manifest, &behind), [false, true, true]);
    assert_eq!(marks(&manifest, &other), [false; 0]);
    let kept: Vec<bool> = manifest.operators[head]
        .subtasks
        .iter()
        .map(|s| !s.keyed.is_empty())
        .collect();
    assert_eq!(kept, [true, false, false], "what was acknowledged stays");

    let manifest = publish(&mut coordinator, "published 5 ok\n 300");
    assert_eq!(marks(&manifest, &behind), [true; 3]);
}

#[test]
fn union_lists_of_an_operator_of_which_only_some_subtasks_have_finished_fail_the_checkpoint() {
    // C-51
    for script in [
        "100               | trigger 5
         ack 5 0 union     |
         ack 5 1 union     | publish 5",
        "finish 1          |
         100               | trigger 5
         ack 5 0           | publish 5",
        "finish 1          |
         100               | trigger 5
         ack 5 0 union     | abort 5 after 3, discard 5-0",
        // What was acknowledged before the end is there.
        "100               | trigger 5
         ack 5 1 union     |
         finish 1          |
         ack 5 0 union     | publish 5",
    ] {
        let tolerant = CheckpointSettings {
            tolerable_failures: 1,
            ..settings()
        };
        check(coordinator(2, Some(tolerant)), script);
    }
}

#[test]
fn a_late_acknowledgement_of_a_finished_task_does_not_count_twice() {
    let mut coordinator = coordinator(2, Some(settings()));
    let mut out = Vec::new();
    coordinator.on_time(at(100), &mut out);
    coordinator.on_task_finished(&task(0), at(100), &mut out);
    coordinator.acknowledge(ack(5, 0), at(100), &mut out);
    coordinator.acknowledge(ack(5, 1), at(100), &mut out);
    let Some(CoordinatorAction::Publish(manifest)) = out.pop() else {
        panic!("{out:?}")
    };
    assert_eq!(manifest.handles().count(), 2);
    assert_eq!(manifest.cuts.len(), 1);
}

#[test]
fn while_tasks_restart_nothing_starts_and_what_was_under_way_is_given_up() {
    // C-01, F-10
    let settings = CheckpointSettings {
        max_concurrent: 3,
        ..settings()
    };
    check(
        coordinator(3, Some(settings)),
        "100                | trigger 5
         ack 5 0            |
         200                | trigger 6
         ack 6 0            |
         ack 6 1            |
         ack 6 2            | publish 6
         300                | trigger 7
         request savepoint  | request 1, begin 8 for 1, trigger-savepoint 8
         failed 1 2         | abort 5 after 3, discard 5-0, abort 7 after 3, abort 8 after 3, discard-savepoint 8, \
                              answer 1 Unavailable
         publishing         | Some(6)
         next               | Some(1.2s)
         request checkpoint | refused: Unavailable
         request savepoint  | refused: Unavailable
         published 6 ok     | complete 6, collect
         publishing         | None
         400                |
         running 1          |
         500                |
         failed 0           |
         running 2          |
         next               | None
         ack 7 1            | discard 7-1
         running 0          | trigger 9
         running 0          |
         ack 9 0            |
         ack 9 1            |
         ack 9 2            | publish 9",
    );
}

#[test]
fn a_restarted_task_is_asked_again_although_it_had_finished() {
    check(
        coordinator(2, Some(settings())),
        "finish 1  |
         finish 0  |
         failed 1  |
         running 1 |
         100       | trigger 5
         ack 5 1   | publish 5",
    );
}

#[test]
fn a_restarted_task_is_not_asked_when_it_had_finished_in_what_it_is_restored_from() {
    check(
        coordinator(3, Some(settings())),
        "finish 1  |
         failed 0  |
         failed 1  |
         finish 1  |
         100       |
         running 1 |
         running 0 | trigger 5
         ack 5 0   |
         ack 5 2   | publish 5",
    );
}

#[test]
fn a_job_whose_tasks_restart_does_not_end_yet() {
    check(
        coordinator(1, Some(settings())),
        "request final     | request 1, trigger-final 5
         failed 0          | abort 5 after 3, answer 1 Unavailable
         running 0         |
         next              | Some(100ms)
         100               | trigger 6
         request drain     | request 2, begin 7 for 2, trigger-drain 7",
    );
    // A claim that is under way decides.
    for (outcome, then) in [
        ("ok", "complete 5, collect"),
        ("invalid", "abort 5 after 3, discard 5-0"),
    ] {
        let script = format!(
            "request final     | request 1, trigger-final 5
             ack 5 0           | publish 5
             failed 0          | answer 1 Unavailable
             published 5 {outcome} | {then}
             finished          | {}
             50                |
             stop              |",
            outcome == "ok"
        );
        let tolerant = CheckpointSettings {
            tolerable_failures: 1,
            ..settings()
        };
        check(coordinator(1, Some(tolerant)), &script);
    }
}

#[test]
fn a_request_after_the_claim_that_ends_the_job_is_answered_too() {
    check(
        coordinator(1, Some(settings())),
        "request final     | request 1, trigger-final 5
         ack 5 0           | publish 5
         failed 0          | answer 1 Unavailable
         running 0         |
         request savepoint | request 2, begin 6 for 2, trigger-savepoint 6
         request final     | request 3
         published 5 ok    | complete 5, collect, answer 3 Cancelled
         finished          | false
         ack 6 0           | store 6
         stored 6 ok       | answer 2 with 6
         finished          | true
         stop              |",
    );
}

#[test]
fn all_that_is_pending_can_be_given_up_at_once() {
    let settings = CheckpointSettings {
        max_concurrent: 9,
        ..settings()
    };
    check(
        coordinator(2, Some(settings)),
        "100       | trigger 5
         ack 5 0   |
         ack 5 1   | publish 5
         200       | trigger 6
         ack 6 0   |
         ack 6 1   |
         300       | trigger 7
         abort-all | abort 6 after 3, discard 6-0 6-1, abort 7 after 3
         400       | trigger 8
         published 5 ok | complete 5, collect",
    );
}
