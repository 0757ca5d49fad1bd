//! Savepoints, and jobs that stop with one.

use crate::script::{ack, at, check, coordinator, settings};
use snapline_coordinator::CoordinatorAction;
use snapline_core::{
    AlignmentSettings, BarrierAlignment, CheckpointKind, CheckpointMode, CheckpointRetention,
    CheckpointSettings,
};

#[test]
fn nobody_is_told_of_a_savepoint_but_who_has_asked_for_it() {
    // C-12
    check(
        coordinator(2, None),
        "request savepoint | request 1, begin 5 for 1, trigger-savepoint 5
         ack 5 0 commit    |
         ack 5 1           | store 5
         stored 4 ok       |
         published 5 ok    |
         stored 5 ok       | answer 1 with 5
         stored 5 ok       |
         next              | None",
    );
}

#[test]
fn failures_of_savepoints_do_not_count_and_all_that_was_written_is_discarded() {
    // C-10, C-36
    check(
        coordinator(2, Some(settings())),
        "request savepoint    | request 1, begin 5 for 1, trigger-savepoint 5
         ack 5 7              |
         decline 5 0 declined | abort 5 after 3, discard-savepoint 5, answer 1 Unavailable
         ack 5 1              | discard-savepoint 5
         ack 5 1 old          |
         request savepoint    | request 2, begin 6 for 2, trigger-savepoint 6
         ack 6 0 lost         |
         ack 6 1              | abort 6 after 3, discard-savepoint 6, answer 2 Internal
         request savepoint    | request 3, begin 7 for 3, trigger-savepoint 7
         ack 7 0              |
         ack 7 1              | store 7
         stored 7 invalid     | abort 7 after 3, discard-savepoint 7, answer 3 Unavailable
         50                   |
         request savepoint    | request 4, begin 8 for 4, trigger-savepoint 8
         100                  | trigger 9
         ack 9 0              |
         ack 9 1              | publish 9
         published 9 ok       | complete 9, collect
         stop-periodic        |
         1050                 | abort 8 after 9, discard-savepoint 8, answer 4 Unavailable",
    );
}

#[test]
fn a_savepoint_of_unknown_outcome_is_stored_again_and_never_deleted() {
    check(
        coordinator(1, None),
        "request savepoint    | request 1, begin 5 for 1, trigger-savepoint 5
         ack 5 0              | store 5
         stored 5 unavailable |
         100                  | store 5
         stored 5 invalid     |
         300                  | store 5
         stored 5 ok          | answer 1 with 5",
    );
    check(
        coordinator(1, Some(settings())),
        "request savepoint    | request 1, begin 5 for 1, trigger-savepoint 5
         stop-periodic        |
         800                  |
         ack 5 0              | store 5
         1700                 |
         1800                 | abort 5 after 3, answer 1 Unavailable
         ack 5 0              |
         stored 5 ok          |
         next                 | None",
    );
}

#[test]
fn a_job_that_stops_with_a_savepoint_stores_publishes_tells_and_commits_it_in_this_order() {
    check(
        coordinator(1, Some(settings())),
        "100                | trigger 5
         request checkpoint | request 1
         request suspend    | request 2, answer 1 Cancelled, begin 6 for 2, trigger-suspend 6
         request savepoint  | refused: Cancelled
         request final      | refused: Cancelled
         200                |
         ack 6 0 commit     | store 6
         stored 6 ok        | publish 6
         published 6 ok     | complete 6, commit 6, abort 5 after 6, collect
         finished           | false
         committed 6 ok     | answer 2 with 6
         finished           | true
         next               | None
         request checkpoint | refused: Cancelled
         stop               |",
    );
}

#[test]
fn a_last_savepoint_waits_for_its_turn_and_takes_over_what_is_not_committed() {
    check(
        coordinator(1, Some(settings())),
        "100                     | trigger 5
         request savepoint       | request 1, begin 6 for 1, trigger-savepoint 6
         ack 5 0 commit          | publish 5
         request suspend         | request 2, begin 7 for 2, trigger-suspend 7
         ack 7 0                 | store 7
         stored 7 ok             |
         published 5 unavailable |
         200                     | publish 5
         published 5 ok          | complete 5, commit 5, collect, publish 7 with 5
         published 7 ok          | complete 7, collect
         committed 5 ok          |
         finished                | false
         ack 6 0                 | store 6
         stored 6 ok             | answer 1 with 6, answer 2 with 7
         finished                | true",
    );
}

#[test]
fn a_job_that_cannot_stop_with_a_savepoint_fails_once_and_who_has_asked_is_told() {
    // C-27
    let failures = [
        "decline 6 0 declined | abort 6 after 3, discard-savepoint 6, answer 1 Unavailable, fail Unavailable",
        "1100                 | abort 5 after 3, abort 6 after 3, discard-savepoint 6, answer 1 Unavailable, \
                                fail Unavailable",
        "ack 6 0 lost         | abort 6 after 3, discard-savepoint 6, answer 1 Internal, fail Unavailable",
        "failed 0             | abort 5 after 3, abort 6 after 3, discard-savepoint 6, answer 1 Unavailable, \
                                fail Unavailable",
        "ack 6 0              | store 6
         stored 6 invalid     | abort 6 after 3, discard-savepoint 6, answer 1 Unavailable, fail Unavailable",
        // From here on the savepoint is there or may be, and is not touched.
        "stop-periodic        |
         ack 6 0              | store 6
         1099                 |
         1100                 | abort 5 after 3, answer 1 Cancelled, fail Unavailable",
        "ack 6 0              | store 6
         failed 0             | abort 5 after 3, answer 1 Cancelled, fail Unavailable",
        "ack 6 0              | store 6
         stored 6 ok          | publish 6
         published 6 invalid  | abort 6 after 3, answer 1 Unavailable, fail Unavailable",
        "ack 6 0              | store 6
         stored 6 ok          | publish 6
         published 6 fenced   | answer 1 Cancelled, fail Conflict",
        "ack 6 0              | store 6
         stored 6 ok          | publish 6
         1100                 | abort 5 after 3, answer 1 Cancelled, fail Unavailable",
        "ack 6 0 commit       | store 6
         stored 6 ok          | publish 6
         published 6 ok       | complete 6, commit 6, abort 5 after 6, collect
         committed 6 invalid  | answer 1 Cancelled, fail Invalid",
    ];
    for failure in failures {
        let settings = CheckpointSettings {
            tolerable_failures: 9,
            ..settings()
        };
        for kind in ["suspend", "drain"] {
            let script = format!(
                "100            | trigger 5
                 request {kind} | request 1, begin 6 for 1, trigger-{kind} 6
                 {failure}
                 committed 6 ok |
                 published 6 ok |
                 9999           |
                 stop           |",
            );
            check(coordinator(1, Some(settings.clone())), &script);
        }
    }
}

#[test]
fn a_savepoint_is_aligned_wherever_the_job_aligns() {
    // The last column: what checkpoints ask for.
    let cases = [
        (
            CheckpointMode::ExactlyOnce,
            AlignmentSettings::Aligned,
            BarrierAlignment::Aligned,
        ),
        (
            CheckpointMode::ExactlyOnce,
            AlignmentSettings::Unaligned,
            BarrierAlignment::Aligned,
        ),
        (
            CheckpointMode::AtLeastOnce,
            AlignmentSettings::Aligned,
            BarrierAlignment::AtLeastOnce,
        ),
    ];
    for (mode, alignment, expected) in cases {
        for kind in [
            CheckpointKind::Savepoint,
            CheckpointKind::Suspend,
            CheckpointKind::Drain,
        ] {
            let settings = CheckpointSettings {
                mode,
                alignment,
                ..settings()
            };
            let mut out = Vec::new();
            let mut coordinator = coordinator(1, Some(settings));
            coordinator.trigger(kind, at(0), &mut out).unwrap();
            let Some(CoordinatorAction::TriggerSources(barrier)) = out.pop() else {
                panic!("{out:?}")
            };
            assert_eq!(barrier.options.alignment, expected, "{mode:?} {alignment:?}");
            assert_eq!(barrier.options.kind, kind);
        }
    }
}

#[test]
fn the_manifest_of_a_drained_job_says_that_nothing_is_left_and_counts_every_file() {
    for (kind, finished) in [
        (CheckpointKind::Drain, true),
        (CheckpointKind::Suspend, false),
        (CheckpointKind::Savepoint, false),
    ] {
        let mut coordinator = coordinator(1, None);
        let mut out = Vec::new();
        coordinator.trigger(kind, at(0), &mut out).unwrap();
        coordinator.acknowledge(ack(5, 0), at(0), &mut out);
        let Some(CoordinatorAction::PublishSavepoint(manifest)) = out.pop() else {
            panic!("{out:?}")
        };
        assert_eq!((manifest.kind, manifest.finished), (kind, finished));
        assert_eq!((manifest.sizes.total, manifest.sizes.written), (20, 20));
        assert_eq!(manifest.parent.map(|id| id.0), Some(3));
    }
}

#[test]
fn a_job_that_stops_answers_everybody_and_deletes_its_checkpoints_if_it_is_to() {
    let script = |stop: &str| {
        format!(
            "100                | trigger 5
             ack 5 0            | publish 5
             request savepoint  | request 1, begin 6 for 1, trigger-savepoint 6
             ack 6 0            | store 6
             request savepoint  | request 2, begin 7 for 2, trigger-savepoint 7
             request checkpoint | request 3
             request final      | request 4, answer 3 Cancelled
             {stop}
             stored 6 ok        |
             stop               |
             next               | None",
        )
    };
    let answers =
        "abort 7 after 3, discard-savepoint 7, answer 2 Cancelled, answer 1 Cancelled, answer 4 Cancelled";
    check(
        coordinator(1, Some(settings())),
        &script(&format!("stop | {answers}")),
    );
    check(
        coordinator(1, Some(settings())),
        &script(&format!("cancel | {answers}")),
    );
    let delete = CheckpointSettings {
        retention: CheckpointRetention::DeleteOnCancel,
        ..settings()
    };
    check(
        coordinator(1, Some(delete)),
        &script(&format!("cancel | {answers}, delete")),
    );
}
