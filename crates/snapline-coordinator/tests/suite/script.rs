//! Scripts: what happens to a coordinator, and what it does about it.

use bytes::Bytes;
use snapline_barrier::{ChannelCut, TaskCut};
use snapline_coordinator::{
    Acknowledgement, CheckpointCoordinator, CheckpointHistory, CoordinatorAction, CoordinatorContext,
    Decline, FailureReason, Moment, OperatorPlan, PublishOutcome, SubtaskStatistics,
};
use snapline_core::{
    AttemptId, CheckpointId, CheckpointKind, CheckpointSettings, Error, JobId, MaxParallelism, OperatorUid,
    Result, SubtaskId, SubtaskIndex, Timestamp,
};
use snapline_state::{Committable, HandleKind, StateHandle, StateLocation, StorageKey, SubtaskState};
use std::time::Duration;

pub(crate) const ATTEMPT: AttemptId = AttemptId(7);

/// Checks every 100 ms, up to 1000 ms, with no tolerable failures.
pub(crate) fn settings() -> CheckpointSettings {
    CheckpointSettings {
        timeout_ms: 1000,
        tolerable_failures: 0,
        ..CheckpointSettings::every(Duration::from_millis(100))
    }
}

pub(crate) fn uid() -> OperatorUid {
    OperatorUid::new("op").unwrap()
}

pub(crate) fn task(index: u32) -> SubtaskId {
    SubtaskId {
        operator: uid(),
        index: SubtaskIndex(index),
    }
}

pub(crate) fn at(ms: u64) -> Moment {
    Moment {
        wall: Timestamp(1_000_000 + ms as i64),
        monotonic: Duration::from_millis(ms),
    }
}

/// A job with this many tasks that was restored from checkpoint 3.
pub(crate) fn coordinator(tasks: u32, settings: Option<CheckpointSettings>) -> CheckpointCoordinator {
    coordinator_with(tasks, settings, |_| {})
}

pub(crate) fn coordinator_with(
    tasks: u32,
    settings: Option<CheckpointSettings>,
    alter: impl FnOnce(&mut CoordinatorContext),
) -> CheckpointCoordinator {
    let mut context = CoordinatorContext {
        job: JobId::new("job").unwrap(),
        attempt: ATTEMPT,
        max_parallelism: MaxParallelism::DEFAULT,
        settings,
        tasks: (0..tasks).map(task).collect(),
        operators: vec![OperatorPlan {
            uid: uid(),
            name: "Operator".to_owned(),
            parallelism: tasks,
            chain: uid(),
        }],
        last_used: CheckpointId(4),
        latest_completed: Some(CheckpointId(3)),
        finished: vec![],
        seed: None,
        history: CheckpointHistory::default(),
    };
    alter(&mut context);
    CheckpointCoordinator::new(context, at(0))
}

/// The file of a task in a checkpoint, named `checkpoint-task`.
pub(crate) fn file(attempt: AttemptId, checkpoint: u64, task: u32) -> StateHandle {
    let key = format!("job/checkpoint/a{attempt}-e{checkpoint}/state/op/{checkpoint}-{task}");
    StateHandle {
        location: StateLocation::File {
            key: StorageKey::new(key).unwrap(),
            offset: 0,
        },
        len: 10,
        checksum: 0,
        key_groups: None,
        kind: HandleKind::Full,
    }
}

pub(crate) fn ack(checkpoint: u64, index: u32) -> Acknowledgement {
    let state = SubtaskState {
        // Half of the state is inherited, and is never to be discarded.
        keyed: vec![file(ATTEMPT, checkpoint, index), file(ATTEMPT, 3, index)],
        ..SubtaskState::default()
    };
    Acknowledgement {
        task: task(index),
        attempt: ATTEMPT,
        checkpoint: CheckpointId(checkpoint),
        operators: vec![(uid(), SubtaskIndex(index), state)],
        cut: TaskCut {
            clock: None,
            channels: vec![ChannelCut {
                received: 9,
                sent: 9,
                recorded: vec![],
            }],
        },
        statistics: SubtaskStatistics::default(),
    }
}

/// Runs a script: lines of `what happens | what the coordinator does, in order`.
///
/// A number is a point in time. See `happen` for the other words.
pub(crate) fn check(mut coordinator: CheckpointCoordinator, script: &str) {
    let mut now = at(0);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (happens, expected) = line.split_once('|').unwrap();
        let mut out = Vec::new();
        let answer = happen(&mut coordinator, happens.trim(), &mut now, &mut out);
        let done: Vec<String> = answer.into_iter().chain(out.iter().map(render)).collect();
        assert_eq!(done.join(", "), expected.trim(), "{line}");
    }
}

pub(crate) fn happen(
    coordinator: &mut CheckpointCoordinator,
    line: &str,
    now: &mut Moment,
    out: &mut Vec<CoordinatorAction>,
) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let id = |at: usize| CheckpointId(number(at));
    let tasks = || -> Vec<SubtaskId> { (1..words.len()).map(|at| task(number(at) as u32)).collect() };
    match words[0] {
        "ack" => {
            let mut ack = ack(number(1), number(2) as u32);
            words[3..].iter().for_each(|word| alter(&mut ack, word));
            coordinator.acknowledge(ack, *now, out);
        }
        "decline" => {
            let decline = Decline {
                task: task(number(2) as u32),
                attempt: if words.contains(&"old") {
                    AttemptId(6)
                } else {
                    ATTEMPT
                },
                checkpoint: id(1),
                reason: reason(words[3]),
                cause: None,
            };
            coordinator.decline(decline, *now, out);
        }
        "published" => coordinator.on_published(id(1), published(words[2]), *now, out),
        "committed" => coordinator.on_committed(id(1), outcome(words[2]), *now, out),
        "stored" => coordinator.on_savepoint_published(id(1), outcome(words[2]), *now, out),
        "request" => {
            return Some(match coordinator.trigger(kind(words[1]), *now, out) {
                Ok(request) => format!("request {request}"),
                Err(error) => format!("refused: {:?}", error.kind()),
            });
        }
        "finish" => coordinator.on_task_finished(&task(number(1) as u32), *now, out),
        "failed" => coordinator.on_tasks_failed(tasks(), *now, out),
        "running" => coordinator.on_tasks_running(&tasks(), *now, out),
        "abort-all" => coordinator.abort_pending(FailureReason::TaskFailed, *now, out),
        "publishing" => return Some(format!("{:?}", coordinator.publishing().map(|id| id.0))),
        "cancel" => coordinator.cancel(*now, out),
        "stop-periodic" => coordinator.stop_periodic(),
        "stop" => coordinator.stop(*now, out),
        "next" => return Some(format!("{:?}", coordinator.next_deadline())),
        "finished" => return Some(coordinator.is_finished().to_string()),
        _ => {
            *now = at(number(0));
            coordinator.on_time(*now, out);
        }
    }
    None
}

fn alter(ack: &mut Acknowledgement, word: &str) {
    let (_, _, state) = &mut ack.operators[0];
    match word {
        "old" => ack.attempt = AttemptId(6),
        "lost" => ack.cut.channels[0].received -= 1,
        "ahead" => ack.cut.channels[0].received += 1,
        "commit" => state.committables.push(Committable(Bytes::from_static(b"part"))),
        "stateless" => *state = SubtaskState::default(),
        "union" => state.has_unions = true,
        "foreign" => ack.operators[0].0 = OperatorUid::new("unknown").unwrap(),
        _ => panic!("{word}"),
    }
}

fn kind(word: &str) -> CheckpointKind {
    match word {
        "checkpoint" => CheckpointKind::Checkpoint,
        "savepoint" => CheckpointKind::Savepoint,
        "suspend" => CheckpointKind::Suspend,
        "drain" => CheckpointKind::Drain,
        "final" => CheckpointKind::Final,
        _ => panic!("{word}"),
    }
}

fn reason(word: &str) -> FailureReason {
    match word {
        "declined" => FailureReason::Declined,
        "ended" => FailureReason::TaskEnded,
        _ => panic!("{word}"),
    }
}

fn published(word: &str) -> Result<PublishOutcome> {
    match word {
        "ok" => Ok(PublishOutcome::Published),
        "fenced" => Ok(PublishOutcome::Fenced {
            attempt: AttemptId(8),
        }),
        _ => outcome(word).map(|()| PublishOutcome::Published),
    }
}

fn outcome(word: &str) -> Result<()> {
    match word {
        "ok" => Ok(()),
        "unavailable" => Err(Error::unavailable("no answer")),
        "invalid" => Err(Error::invalid("cannot be")),
        _ => panic!("{word}"),
    }
}

fn render(action: &CoordinatorAction) -> String {
    match action {
        CoordinatorAction::BeginSavepoint { request, checkpoint } => {
            format!("begin {checkpoint} for {request}")
        }
        CoordinatorAction::TriggerSources(barrier) => match barrier.options.kind {
            CheckpointKind::Checkpoint => format!("trigger {}", barrier.checkpoint),
            kind => format!(
                "trigger-{} {}",
                format!("{kind:?}").to_lowercase(),
                barrier.checkpoint
            ),
        },
        CoordinatorAction::PublishSavepoint(manifest) => format!("store {}", manifest.checkpoint),
        CoordinatorAction::Publish(manifest) => {
            let carried: Vec<String> = manifest
                .uncommitted
                .iter()
                .map(|commit| commit.checkpoint.to_string())
                .collect();
            match carried.is_empty() {
                true => format!("publish {}", manifest.checkpoint),
                false => format!("publish {} with {}", manifest.checkpoint, carried.join("+")),
            }
        }
        CoordinatorAction::NotifyComplete { checkpoint, .. } => format!("complete {checkpoint}"),
        CoordinatorAction::NotifyAborted {
            checkpoint,
            latest_completed,
        } => format!("abort {checkpoint} after {}", latest_completed.unwrap()),
        CoordinatorAction::Commit { checkpoint, commits } => {
            assert!(commits.iter().all(|commit| commit.checkpoint == *checkpoint));
            format!("commit {checkpoint}")
        }
        CoordinatorAction::Discard(handles) => {
            let names = handles.iter().map(|handle| match &handle.location {
                StateLocation::File { key, .. } => key.name().to_owned(),
                _ => panic!("{handle:?}"),
            });
            format!("discard {}", names.collect::<Vec<_>>().join(" "))
        }
        CoordinatorAction::DiscardSavepoint { checkpoint } => format!("discard-savepoint {checkpoint}"),
        CoordinatorAction::DeleteCheckpoints => "delete".to_owned(),
        CoordinatorAction::RequestDone {
            request,
            outcome: Ok(manifest),
        } => {
            format!("answer {request} with {}", manifest.checkpoint)
        }
        CoordinatorAction::RequestDone {
            request,
            outcome: Err(error),
        } => {
            format!("answer {request} {:?}", error.kind())
        }
        CoordinatorAction::CollectGarbage => "collect".to_owned(),
        CoordinatorAction::FailJob(error) => format!("fail {:?}", error.kind()),
    }
}
