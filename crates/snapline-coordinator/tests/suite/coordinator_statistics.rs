//! What an observer learns.

use crate::script::{ack, at, coordinator, coordinator_with, happen, settings, task};
use snapline_barrier::{ChannelFlaw, CutViolation};
use snapline_coordinator::{
    CheckpointCoordinator, CheckpointStatistics, CheckpointStatus, CoordinatorAction, FailureReason,
    SubtaskStatistics,
};
use snapline_core::{CheckpointId, CheckpointKind, CheckpointSettings};
use std::time::Duration;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is known after this script, at its last point in time.
fn after(coordinator: &mut CheckpointCoordinator, script: &str) -> CheckpointStatistics {
    let mut now = at(0);
    for line in script.lines().map(str::trim) {
        happen(coordinator, line, &mut now, &mut Vec::new());
    }
    coordinator.statistics(now)
}

fn tolerant() -> CheckpointSettings {
    CheckpointSettings {
        tolerable_failures: 99,
        max_concurrent: 2,
        ..settings()
    }
}

#[test]
fn a_checkpoint_in_progress_shows_who_is_missing_and_what_the_others_took() {
    let mut coordinator = coordinator_with(3, Some(tolerant()), |context| context.finished = vec![task(2)]);
    after(&mut coordinator, "100");
    let mut first = ack(5, 0);
    first.statistics = SubtaskStatistics {
        alignment: ms(7),
        state_bytes: 20,
        ..SubtaskStatistics::default()
    };
    coordinator.acknowledge(first.clone(), at(130), &mut Vec::new());
    let statistics = coordinator.statistics(at(150));
    let [report] = &statistics.in_progress[..] else {
        panic!("{statistics:?}")
    };
    assert_eq!(
        (report.checkpoint.0, report.kind),
        (5, CheckpointKind::Checkpoint)
    );
    assert_eq!((report.triggered, report.duration), (at(100).wall, ms(50)));
    assert_eq!(report.status, CheckpointStatus::InProgress);
    assert_eq!(report.until_acknowledged, None);
    assert_eq!(
        (report.tasks, report.total_bytes, report.written_bytes),
        (3, 20, 10)
    );
    assert_eq!(report.missing, [task(1)]);
    let parts: Vec<_> = report
        .acknowledged
        .iter()
        .map(|part| (part.task.clone(), part.acknowledged))
        .collect();
    assert_eq!(parts, [(task(2), None), (task(0), Some(ms(30)))]);
    assert_eq!(report.acknowledged[1].statistics, first.statistics);

    coordinator.acknowledge(ack(5, 1), at(170), &mut Vec::new());
    let statistics = coordinator.statistics(at(180));
    let [report] = &statistics.in_progress[..] else {
        panic!("{statistics:?}")
    };
    assert_eq!(report.until_acknowledged, Some(ms(70)));
    assert!(report.missing.is_empty());
}

#[test]
fn the_history_tells_how_each_checkpoint_ended() {
    let statistics = after(
        &mut coordinator(1, Some(tolerant())),
        "100
         request savepoint
         decline 6 0 declined
         request savepoint
         ack 7 0
         200
         stored 7 ok
         300
         ack 8 0
         published 8 ok
         1300",
    );
    let ends: Vec<(u64, CheckpointKind, Option<FailureReason>, u64)> = statistics
        .history
        .iter()
        .map(|report| {
            let reason = match &report.status {
                CheckpointStatus::Failed { reason, .. } => Some(*reason),
                CheckpointStatus::Completed => None,
                other => panic!("{other:?}"),
            };
            (
                report.checkpoint.0,
                report.kind,
                reason,
                report.duration.as_millis() as u64,
            )
        })
        .collect();
    assert_eq!(
        ends,
        [
            (6, CheckpointKind::Savepoint, Some(FailureReason::Declined), 0),
            (7, CheckpointKind::Savepoint, None, 100),
            (8, CheckpointKind::Checkpoint, None, 100),
            (5, CheckpointKind::Checkpoint, Some(FailureReason::Subsumed), 200),
            (9, CheckpointKind::Checkpoint, Some(FailureReason::Expired), 1000),
        ]
    );
    assert_eq!(
        (statistics.triggered, statistics.completed, statistics.aborted),
        (6, 2, 3)
    );
    assert_eq!(statistics.consecutive_failures, 1);
    assert_eq!(statistics.latest.map(|latest| latest.checkpoint.0), Some(8));
    let CheckpointStatus::Failed {
        cause: Some(cause), ..
    } = &statistics.history[4].status
    else {
        panic!("{statistics:?}")
    };
    assert!(cause.contains("one of them: op[0]"), "{cause}");
}

#[test]
fn the_summary_has_the_extremes_and_the_mean_of_all_and_the_history_only_the_last_ones() {
    let mut coordinator = coordinator(1, Some(tolerant()));
    // Checkpoint 5 + n takes n milliseconds.
    for n in 0..13 {
        let start = 100 * (n + 1);
        coordinator.on_time(at(start), &mut Vec::new());
        coordinator.acknowledge(ack(5 + n, 0), at(start), &mut Vec::new());
        let outcome = Ok(snapline_coordinator::PublishOutcome::Published);
        coordinator.on_published(CheckpointId(5 + n), outcome, at(start + n), &mut Vec::new());
    }
    let statistics = coordinator.statistics(at(2000));
    let duration = statistics.summary.duration;
    assert_eq!(
        [duration.min, duration.mean, duration.max],
        [ms(0), ms(6), ms(12)]
    );
    let bytes = statistics.summary.total_bytes;
    assert_eq!([bytes.min, bytes.mean, bytes.max], [20, 20, 20]);
    let kept: Vec<u64> = statistics
        .history
        .iter()
        .map(|report| report.checkpoint.0)
        .collect();
    assert_eq!(kept, (8..18).collect::<Vec<_>>());
}

#[test]
fn the_evidence_of_a_cut_that_is_none_is_kept() {
    let statistics = after(
        &mut coordinator(2, Some(tolerant())),
        "100\n ack 5 0\n ack 5 1 lost",
    );
    let [evidence] = &statistics.violations[..] else {
        panic!("{statistics:?}")
    };
    assert_eq!(evidence.checkpoint.0, 5);
    let violation = CutViolation::Channel {
        task: task(1),
        channel: 0,
        flaw: ChannelFlaw::Lost { from: 8, to: 9 },
    };
    assert_eq!(evidence.violation, violation);
}

#[test]
fn it_is_known_what_tasks_were_restored_from() {
    // F-12
    let statistics = after(
        &mut coordinator(3, Some(tolerant())),
        "100
         ack 5 0
         ack 5 1
         ack 5 2
         published 5 ok
         150
         failed 1 2
         160
         running 1 2",
    );
    let restores: Vec<_> = statistics
        .restores
        .iter()
        .map(|restore| (restore.checkpoint.map(|id| id.0), restore.tasks, restore.at))
        .collect();
    assert_eq!(restores, [(Some(3), 3, at(0).wall), (Some(5), 2, at(160).wall)]);
}

#[test]
fn who_has_asked_for_a_checkpoint_is_told_why_there_is_none_and_what_may_help() {
    let mut coordinator = coordinator(1, Some(tolerant()));
    let (mut now, mut out) = (at(0), Vec::new());
    happen(&mut coordinator, "request savepoint", &mut now, &mut out);
    happen(&mut coordinator, "1000", &mut now, &mut out);
    let answer = out.into_iter().find_map(|action| match action {
        CoordinatorAction::RequestDone { outcome, .. } => Some(outcome.unwrap_err().to_string()),
        _ => None,
    });
    let text = answer.unwrap();
    for part in [
        "the savepoint was given up",
        "longer than the timeout",
        "raise checkpoints.timeout_ms",
        "one of them: op[0]",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn the_next_attempt_goes_on_with_the_history() {
    let mut first = coordinator(1, Some(tolerant()));
    let told = after(
        &mut first,
        "100
         ack 5 0
         published 5 ok
         200
         300
         stop",
    );
    assert_eq!((told.triggered, told.completed, told.aborted), (3, 1, 2));
    let mut second = coordinator_with(2, Some(tolerant()), |context| {
        context.history = first.history().clone();
        context.last_used = first.last_used();
    });
    let told = after(
        &mut second,
        "100
         ack 8 0
         ack 8 1
         published 8 ok",
    );
    assert_eq!((told.triggered, told.completed, told.aborted), (4, 2, 2));
    let ids: Vec<u64> = told.history.iter().map(|report| report.checkpoint.0).collect();
    assert_eq!(ids, [5, 6, 7, 8]);
    assert_eq!(told.restores.len(), 2);
    assert_eq!(told.summary.duration.max, ms(0));
}
