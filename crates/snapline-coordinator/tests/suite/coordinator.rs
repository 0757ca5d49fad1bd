//! What the coordinator does, case by case.

use crate::script::{ack, at, check, coordinator, coordinator_with, settings};
use snapline_coordinator::CoordinatorAction;
use snapline_core::{CheckpointKind, CheckpointMode, CheckpointSettings, ErrorKind};
use std::time::Duration;

fn tolerating(failures: u32) -> CheckpointSettings {
    CheckpointSettings {
        tolerable_failures: failures,
        ..settings()
    }
}

#[test]
fn a_checkpoint_is_complete_when_all_have_acknowledged_and_the_claim_was_won() {
    check(
        coordinator(2, Some(settings())),
        "next             | Some(100ms)
         99               |
         100              | trigger 5
         next             | Some(1.1s)
         ack 5 0          |
         ack 5 1          | publish 5
         published 5 ok   | complete 5, collect
         next             | Some(200ms)
         200              | trigger 6",
    );
}

#[test]
fn a_slow_checkpoint_delays_the_next_one() {
    check(
        coordinator(1, Some(settings())),
        "100              | trigger 5
         350              |
         ack 5 0          | publish 5
         400              |
         published 5 ok   | complete 5, collect, trigger 6
         next             | Some(1.4s)",
    );
}

#[test]
fn the_minimum_pause_counts_from_the_end_and_requests_do_not_wait_for_it() {
    // C-18, C-24, C-64
    let pause = |min_pause_ms| CheckpointSettings {
        min_pause_ms,
        ..tolerating(9)
    };
    check(
        coordinator(1, Some(pause(80))),
        "100              | trigger 5
         190              |
         ack 5 0          | publish 5
         published 5 ok   | complete 5, collect
         269              |
         270              | trigger 6
         decline 6 0 ended | abort 6 after 5
         next             | Some(370ms)
         request checkpoint | request 1, trigger 7",
    );
    check(coordinator(1, Some(pause(500))), "499 |\n 500 | trigger 5");
}

#[test]
fn without_settings_checkpoints_are_taken_only_on_request() {
    check(
        coordinator(1, None),
        "next               | None
         1000000            |
         request checkpoint | request 1, trigger 5
         ack 5 0            | publish 5
         published 5 ok     | complete 5, collect, answer 1 with 5
         next               | None",
    );
}

#[test]
fn after_the_periodic_ones_are_stopped_requests_still_work() {
    // C-25
    check(
        coordinator(1, Some(settings())),
        "stop-periodic      |
         100                |
         request checkpoint | request 1, trigger 5
         request checkpoint | request 2
         request checkpoint | request 3
         ack 5 0            | publish 5
         published 5 ok     | complete 5, collect, answer 1 with 5, trigger 6
         ack 6 0            | publish 6
         published 6 ok     | complete 6, collect, answer 2 with 6, trigger 7
         decline 7 0 ended  | abort 7 after 6, answer 3 Unavailable
         next               | None",
    );
}

#[test]
fn a_checkpoint_that_takes_too_long_is_given_up_and_its_state_discarded() {
    // C-10, C-28
    check(
        coordinator(2, Some(tolerating(1))),
        "100     | trigger 5
         ack 5 1 |
         1099    |
         1100    | abort 5 after 3, discard 5-1, trigger 6
         ack 5 0 | discard 5-0
         ack 5 1 | discard 5-1
         2100    | abort 6 after 3, fail Unavailable
         next    | None
         ack 6 0 |
         9999    |
         request checkpoint | refused: Cancelled",
    );
}

#[test]
fn foreign_old_repeated_and_unknown_acknowledgements_never_count() {
    // C-09
    check(
        coordinator(2, Some(settings())),
        "100         | trigger 5
         ack 5 0     |
         ack 5 0     |
         ack 5 1 old |
         ack 5 2     | discard 5-2
         ack 9 1     |
         ack 4 1     |
         ack 5 1     | publish 5
         ack 5 2     |
         ack 5 0     |
         published 9 ok |
         published 5 ok | complete 5, collect
         ack 5 0     |
         published 5 ok |",
    );
}

#[test]
fn a_decline_counts_once_and_only_from_a_task_of_this_attempt() {
    // C-04, C-06
    check(
        coordinator(2, Some(tolerating(1))),
        "100                  | trigger 5
         decline 5 0 declined old |
         decline 5 7 declined |
         decline 4 0 declined |
         ack 5 1              |
         decline 5 1 declined | abort 5 after 3, discard 5-1
         decline 5 0 declined |
         200                  | trigger 6
         decline 6 0 ended    | abort 6 after 3
         300                  | trigger 7
         decline 7 0 declined | abort 7 after 3, fail Unavailable",
    );
}

#[test]
fn a_channel_that_lost_or_repeated_batches_keeps_the_checkpoint_from_completing() {
    for word in ["lost", "ahead"] {
        let script = format!(
            "100          | trigger 5
             ack 5 0      |
             ack 5 1 {word} | abort 5 after 3, discard 5-0 5-1, fail Unavailable",
        );
        check(coordinator(2, Some(settings())), &script);
    }
    let at_least_once = CheckpointSettings {
        mode: CheckpointMode::AtLeastOnce,
        ..settings()
    };
    check(
        coordinator(1, Some(at_least_once.clone())),
        "100 | trigger 5\n ack 5 0 ahead | publish 5",
    );
    check(
        coordinator(1, Some(at_least_once)),
        "100 | trigger 5\n ack 5 0 lost | abort 5 after 3, discard 5-0, fail Unavailable",
    );
}

#[test]
fn the_channel_that_contradicts_is_named() {
    let mut coordinator = coordinator(1, Some(settings()));
    let mut out = Vec::new();
    coordinator.on_time(at(100), &mut out);
    let mut ack = ack(5, 0);
    ack.cut.channels[0].received = 8;
    coordinator.acknowledge(ack, at(110), &mut out);
    let Some(CoordinatorAction::FailJob(error)) = out.pop() else {
        panic!("{out:?}")
    };
    let text = error.to_string();
    for part in ["the cut is not consistent", "channel 0 of task op[0]", "8..9"] {
        assert!(text.contains(part), "{part:?} not in {text}");
    }
}

#[test]
fn a_claim_whose_outcome_is_unknown_is_made_again_and_nothing_is_deleted() {
    check(
        coordinator(1, Some(tolerating(2))),
        "100                     | trigger 5
         ack 5 0                 | publish 5
         published 5 unavailable |
         next                    | Some(200ms)
         199                     |
         200                     | publish 5
         300                     |
         published 5 invalid     |
         next                    | Some(500ms)
         decline 5 0 declined    |
         500                     | publish 5
         published 5 ok          | complete 5, collect, trigger 6",
    );
}

#[test]
fn a_claim_that_stays_unknown_fails_the_job_in_the_end_and_nothing_is_deleted() {
    check(
        coordinator(1, Some(tolerating(1))),
        "100     | trigger 5
         ack 5 0 | publish 5
         1100    |
         2099    |
         2100    | fail Unavailable
         published 5 ok |",
    );
}

#[test]
fn a_claim_that_surely_failed_gives_the_checkpoint_up() {
    check(
        coordinator(1, Some(tolerating(1))),
        "100                 | trigger 5
         ack 5 0             | publish 5
         published 5 invalid | abort 5 after 3, discard 5-0
         200                 | trigger 6",
    );
}

#[test]
fn a_leader_that_was_taken_over_fails_its_job_and_deletes_nothing() {
    let script = "100                | trigger 5
                  ack 5 0            | publish 5
                  published 5 fenced | fail Conflict";
    check(coordinator(1, Some(tolerating(99))), script);
}

#[test]
fn commits_are_made_in_order_one_at_a_time_and_later_manifests_carry_them() {
    check(
        coordinator(1, Some(settings())),
        "100            | trigger 5
         ack 5 0 commit | publish 5
         published 5 ok | complete 5, commit 5, collect
         200            | trigger 6
         ack 6 0 commit | publish 6 with 5
         published 6 ok | complete 6, collect
         committed 6 ok |
         300            | trigger 7
         ack 7 0        | publish 7 with 5+6
         committed 5 ok | commit 6
         published 7 ok | complete 7, collect
         400            | trigger 8
         ack 8 0        | publish 8 with 6
         committed 6 unavailable |
         published 8 ok | complete 8, collect
         next           | Some(500ms)
         500            | commit 6, trigger 9
         committed 6 ok |
         ack 9 0        | publish 9",
    );
}

#[test]
fn a_commit_that_cannot_succeed_fails_the_job() {
    check(
        coordinator(1, Some(settings())),
        "100                 | trigger 5
         ack 5 0 commit      | publish 5
         published 5 ok      | complete 5, commit 5, collect
         committed 5 invalid | fail Invalid",
    );
}

#[test]
fn the_final_checkpoint_is_tried_until_it_succeeds_and_then_nothing_follows() {
    check(
        coordinator(1, Some(tolerating(1))),
        "100                  | trigger 5
         request final        | request 1
         request final        | refused: Cancelled
         request checkpoint   | refused: Cancelled
         ack 5 0              | publish 5
         published 5 ok       | complete 5, collect, trigger-final 6
         decline 6 0 declined | abort 6 after 5
         next                 | Some(200ms)
         200                  | trigger-final 7
         ack 7 0 commit       | publish 7
         published 7 ok       | complete 7, commit 7, collect
         finished             | false
         committed 7 unavailable |
         300                  | commit 7
         committed 7 ok       | answer 1 with 7
         finished             | true
         next                 | None
         request checkpoint   | refused: Cancelled",
    );
    check(
        coordinator(1, Some(settings())),
        "request final        | request 1, trigger-final 5
         decline 5 0 declined | abort 5 after 3, answer 1 Cancelled, fail Unavailable",
    );
}

#[test]
fn a_stopped_coordinator_leaves_a_claim_that_is_under_way_alone() {
    check(
        coordinator(1, Some(settings())),
        "100            | trigger 5
         ack 5 0        | publish 5
         stop           |
         published 5 ok |
         next           | None",
    );
    check(
        coordinator(2, Some(settings())),
        "100     | trigger 5
         ack 5 0 |
         stop    | abort 5 after 3, discard 5-0
         200     |",
    );
}

#[test]
fn acknowledged_state_that_does_not_fit_the_job_gives_the_checkpoint_up() {
    check(
        coordinator(1, Some(settings())),
        "100 | trigger 5\n ack 5 0 foreign | abort 5 after 3, discard 5-0, fail Unavailable",
    );
}

#[test]
fn a_task_without_state_has_no_entry() {
    // C-57
    let mut coordinator = coordinator(2, Some(settings()));
    let mut out = Vec::new();
    coordinator.on_time(at(100), &mut out);
    for index in 0..2 {
        let mut ack = ack(5, index);
        ack.operators.clear();
        coordinator.acknowledge(ack, at(110), &mut out);
    }
    let Some(CoordinatorAction::Publish(manifest)) = out.pop() else {
        panic!("{out:?}")
    };
    assert!(manifest.operators.is_empty());
    assert_eq!(manifest.cuts.len(), 2);
}

#[test]
fn the_manifest_says_what_the_checkpoint_is() {
    let mut coordinator = coordinator(2, Some(settings()));
    let mut out = Vec::new();
    coordinator
        .trigger(CheckpointKind::Final, at(40), &mut out)
        .unwrap();
    for index in 0..2 {
        coordinator.acknowledge(ack(5, index), at(70), &mut out);
    }
    let Some(CoordinatorAction::Publish(manifest)) = out.pop() else {
        panic!("{out:?}")
    };
    assert_eq!(
        (manifest.checkpoint.0, manifest.parent.map(|id| id.0)),
        (5, Some(3))
    );
    assert_eq!((manifest.created.0, manifest.finished), (1_000_040, true));
    assert_eq!((manifest.sizes.total, manifest.sizes.written), (40, 20));
    let statistics = coordinator.statistics(at(80));
    let progress = &statistics.in_progress[0];
    assert_eq!((progress.acknowledged.len(), progress.tasks), (2, 2));

    let outcome = Ok(snapline_coordinator::PublishOutcome::Published);
    coordinator.on_published(manifest.checkpoint, outcome, at(90), &mut out);
    let statistics = coordinator.statistics(at(80));
    let latest = statistics.latest.unwrap();
    assert_eq!(
        (statistics.triggered, statistics.completed, statistics.aborted),
        (1, 1, 0)
    );
    assert_eq!(
        (latest.until_acknowledged.as_millis(), latest.duration.as_millis()),
        (30, 50)
    );
    assert_eq!(coordinator.latest_completed().map(|id| id.0), Some(5));
}

#[test]
fn too_many_failures_name_the_setting_and_the_last_reason() {
    let mut coordinator = coordinator(1, Some(settings()));
    let mut out = Vec::new();
    coordinator.on_time(at(100), &mut out);
    coordinator.on_time(at(1100), &mut out);
    let Some(CoordinatorAction::FailJob(error)) = out.pop() else {
        panic!("{out:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains("checkpoints.tolerable_failures (tolerable: 0, last: 5"),
        "{text}"
    );
    assert!(text.contains("longer than the timeout"), "{text}");
}

#[test]
fn the_first_periodic_checkpoint_starts_between_the_pause_and_the_interval() {
    // Milliseconds: interval, pause, and between which times it starts.
    let cases = [
        (1_000, 0, 0, 1_000),
        (1_000, 400, 400, 1_000),
        (400, 400, 400, 400),
        (100, 400, 400, 400),
    ];
    for (interval_ms, min_pause_ms, from, to) in cases {
        let first = |seed| {
            let settings = CheckpointSettings {
                interval_ms,
                min_pause_ms,
                ..settings()
            };
            let coordinator = coordinator_with(1, Some(settings), |context| context.seed = seed);
            coordinator.next_deadline().unwrap()
        };
        assert_eq!(first(None), Duration::from_millis(to), "without a seed");
        let all: Vec<Duration> = (0..100).map(|seed| first(Some(seed))).collect();
        assert!(all.iter().copied().eq((0..100).map(|seed| first(Some(seed)))));
        let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
        assert!(least >= Duration::from_millis(from) && most <= Duration::from_millis(to));
        let spread = Duration::from_millis(to - from);
        assert!(most - least >= spread * 9 / 10, "{least:?} to {most:?}");
    }
}
