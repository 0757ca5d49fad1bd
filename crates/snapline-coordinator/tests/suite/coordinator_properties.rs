//! Whatever happens to a coordinator, in whatever order.

use crate::coordinator_oracle::{Job, Oracle, TASKS};
use crate::script::{ATTEMPT, ack, at, coordinator, settings, task};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use snapline_coordinator::{
    CheckpointCoordinator, CoordinatorAction, Decline, FailureReason, PublishOutcome,
};
use snapline_core::{AlignmentSettings, AttemptId, CheckpointId, CheckpointKind, CheckpointSettings, Error};
use snapline_state::Committable;
use std::time::Duration;

#[derive(Debug, Clone)]
enum Input {
    Pass(u64),
    Ack(Ack),
    /// Checkpoints are given as an age: 0 is the newest.
    Decline {
        age: u64,
        task: u32,
        counts: bool,
    },
    Written {
        savepoint: bool,
        nth: usize,
        known: bool,
        done: bool,
    },
    Committed {
        known: bool,
    },
    Request(CheckpointKind),
    Finish(u32),
    Fail(u32),
    Run,
    AbortAll,
}

#[derive(Debug, Clone)]
struct Ack {
    age: u64,
    task: u32,
    attempt: u64,
    commits: bool,
    lost: bool,
}

fn acknowledgement() -> impl Strategy<Value = Ack> {
    let age = prop_oneof![4 => Just(0), 4 => 1..5_u64];
    let attempt = prop_oneof![19 => Just(ATTEMPT.0), 1 => 6..9_u64];
    let lost = prop::bool::weighted(0.01);
    (age, 0..TASKS + 1, attempt, any::<bool>(), lost).prop_map(|(age, task, attempt, commits, lost)| Ack {
        age,
        task,
        attempt,
        commits,
        lost,
    })
}

fn kind() -> impl Strategy<Value = CheckpointKind> {
    prop_oneof![
        8 => Just(CheckpointKind::Checkpoint),
        8 => Just(CheckpointKind::Savepoint),
        1 => Just(CheckpointKind::Suspend),
        1 => Just(CheckpointKind::Drain),
        1 => Just(CheckpointKind::Final),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => (1..80_u64).prop_map(Input::Pass),
        1 => (1..1200_u64).prop_map(Input::Pass),
        30 => acknowledgement().prop_map(Input::Ack),
        1 => (0..5_u64, 0..TASKS + 1, any::<bool>())
            .prop_map(|(age, task, counts)| Input::Decline { age, task, counts }),
        8 => (any::<bool>(), 0..3_usize, prop::bool::weighted(0.8), prop::bool::weighted(0.8))
            .prop_map(|(savepoint, nth, known, done)| Input::Written { savepoint, nth, known, done }),
        3 => prop::bool::weighted(0.7).prop_map(|known| Input::Committed { known }),
        3 => kind().prop_map(Input::Request),
        1 => prop_oneof![
            4 => (0..TASKS).prop_map(Input::Finish),
            3 => (0..TASKS).prop_map(Input::Fail),
            6 => Just(Input::Run),
            1 => Just(Input::AbortAll),
        ],
    ]
}

fn job() -> impl Strategy<Value = Job> {
    let pause = prop_oneof![2 => Just(0), 1 => 1..300_u64];
    let failures = prop_oneof![1 => 0..4_u32, 2 => Just(1000)];
    (1..4_u32, pause, any::<bool>(), failures).prop_map(
        |(max_concurrent, min_pause, unaligned, tolerable)| Job {
            max_concurrent: if unaligned { 1 } else { max_concurrent },
            min_pause,
            unaligned,
            tolerable,
        },
    )
}

fn inputs() -> impl Strategy<Value = (Job, Vec<Input>)> {
    (job(), prop::collection::vec(input(), 0..200))
}

/// A coordinator and what is known to be true about it.
struct World {
    coordinator: CheckpointCoordinator,
    oracle: Oracle,
    /// A defect between the two.
    double: Double,
}

/// A defect: what becomes of the actions of one call.
type Double = fn(&mut Vec<CoordinatorAction>);

impl World {
    fn new(job: Job, double: Double) -> Self {
        let settings = CheckpointSettings {
            max_concurrent: job.max_concurrent,
            min_pause_ms: job.min_pause,
            tolerable_failures: job.tolerable,
            alignment: match job.unaligned {
                true => AlignmentSettings::Unaligned,
                false => AlignmentSettings::Aligned,
            },
            ..settings()
        };
        Self {
            coordinator: coordinator(TASKS, Some(settings)),
            oracle: Oracle::new(job),
            double,
        }
    }

    fn happen(&mut self, input: &Input) {
        let mut out = Vec::new();
        self.tell(input, &mut out);
        (self.double)(&mut out);
        self.oracle.compare(&out);
        let deadline = self.coordinator.next_deadline();
        let now = Duration::from_millis(self.oracle.now);
        assert!(
            deadline.is_none_or(|deadline| deadline > now),
            "{deadline:?} has passed"
        );
        assert!(!(self.oracle.is_dead() && deadline.is_some()));
        let in_progress = self.coordinator.statistics(at(self.oracle.now)).in_progress;
        let in_progress: Vec<u64> = in_progress.iter().map(|report| report.checkpoint.0).collect();
        if !self.oracle.is_dead() {
            assert_eq!(in_progress, self.oracle.pending());
        }
    }

    fn tell(&mut self, input: &Input, out: &mut Vec<CoordinatorAction>) {
        let (coordinator, oracle) = (&mut self.coordinator, &mut self.oracle);
        let now = at(oracle.now);
        match input {
            Input::Pass(ms) => {
                oracle.pass(*ms);
                coordinator.on_time(at(oracle.now), out);
            }
            Input::Ack(Ack {
                age,
                task,
                attempt,
                commits,
                lost,
            }) => {
                let mut ack = ack(oracle.newest.saturating_sub(*age), *task);
                ack.attempt = AttemptId(*attempt);
                ack.cut.channels[0].received -= u64::from(*lost);
                let committables = &mut ack.operators[0].2.committables;
                committables.extend(commits.then(|| Committable(Bytes::from_static(b"part"))));
                oracle.acknowledge(&ack);
                coordinator.acknowledge(ack, now, out);
            }
            Input::Decline {
                age,
                task: index,
                counts,
            } => {
                let id = oracle.newest.saturating_sub(*age);
                oracle.decline(id, *index, *counts);
                let decline = Decline {
                    task: task(*index),
                    attempt: ATTEMPT,
                    checkpoint: CheckpointId(id),
                    reason: match counts {
                        true => FailureReason::Declined,
                        false => FailureReason::TaskEnded,
                    },
                    cause: None,
                };
                coordinator.decline(decline, now, out);
            }
            Input::Written {
                savepoint,
                nth,
                known,
                done,
            } => {
                let writing = oracle.writing(*savepoint);
                let Some(id) = writing.get(*nth % writing.len().max(1)).copied() else {
                    return;
                };
                let Some(answer) = oracle.write_ends(id, *known, *done) else {
                    return;
                };
                let outcome = match answer {
                    Some(true) => Ok(()),
                    Some(false) => Err(Error::invalid("surely not")),
                    None => Err(Error::unavailable("who knows")),
                };
                let id = CheckpointId(id);
                match savepoint {
                    true => coordinator.on_savepoint_published(id, outcome, now, out),
                    false => {
                        coordinator.on_published(id, outcome.map(|()| PublishOutcome::Published), now, out)
                    }
                }
            }
            Input::Committed { known } => {
                let Some(id) = oracle.commit_ends(*known) else {
                    return;
                };
                let outcome = match known {
                    true => Ok(()),
                    false => Err(Error::unavailable("who knows")),
                };
                coordinator.on_committed(CheckpointId(id), outcome, now, out);
            }
            Input::Request(kind) => {
                let accepts = oracle.accepts();
                let request = coordinator.trigger(*kind, now, out);
                assert_eq!(request.is_ok(), accepts, "{request:?}");
                if let Ok(request) = request {
                    oracle.request(request, *kind);
                }
            }
            Input::Finish(index) => {
                oracle.finish(*index);
                coordinator.on_task_finished(&task(*index), now, out);
            }
            Input::Fail(index) => {
                oracle.fail_task(*index);
                coordinator.on_tasks_failed([task(*index)], now, out);
            }
            Input::Run => {
                let tasks: Vec<_> = oracle.run_tasks().into_iter().map(task).collect();
                coordinator.on_tasks_running(&tasks, now, out);
            }
            Input::AbortAll => {
                oracle.give_up_undecided();
                coordinator.abort_pending(FailureReason::TaskNotReady, now, out);
            }
        }
    }

    /// From here on nothing goes wrong, and in the end everybody is answered.
    fn settle(mut self) {
        self.happen(&Input::Run);
        for _ in 0..2 {
            for age in (0..40).rev() {
                for task in 0..TASKS {
                    let ack = Ack {
                        age,
                        task,
                        attempt: ATTEMPT.0,
                        commits: false,
                        lost: false,
                    };
                    self.happen(&Input::Ack(ack));
                }
                for savepoint in [true, false] {
                    let (nth, known, done) = (0, true, true);
                    self.happen(&Input::Written {
                        savepoint,
                        nth,
                        known,
                        done,
                    });
                }
                self.happen(&Input::Committed { known: true });
            }
        }
        let mut out = Vec::new();
        self.oracle.stop();
        self.coordinator.stop(at(self.oracle.now), &mut out);
        (self.double)(&mut out);
        self.oracle.compare(&out);
        assert!(self.oracle.answered_once());
        assert_eq!(self.coordinator.next_deadline(), None);
    }
}

fn run(job: Job, inputs: &[Input], double: Double) {
    let mut world = World::new(job, double);
    inputs.iter().for_each(|input| world.happen(input));
    world.settle();
}

proptest! {
    #[test]
    fn no_order_of_inputs_makes_it_do_anything_but_what_it_must((job, inputs) in inputs()) {
        run(job, &inputs, |_| {});
    }
}

/// Coordinators with these defects do not pass.
const DOUBLES: &[(&str, Double)] = &[
    ("does not tell the sources", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::TriggerSources(_)));
    }),
    ("forgets an answer", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::RequestDone { .. }));
    }),
    ("does not tell of a completion", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::NotifyComplete { .. }));
    }),
    ("does not tell that a checkpoint was given up", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::NotifyAborted { .. }));
    }),
    ("does not publish", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::Publish(_)));
    }),
    ("does not store savepoints", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::PublishSavepoint(_)));
    }),
    ("goes on after too many failures", |out| {
        out.retain(|action| !matches!(action, CoordinatorAction::FailJob(_)));
    }),
    ("tells nothing of a savepoint's begin", |out| {
        let begin = |action: &CoordinatorAction| matches!(action, CoordinatorAction::BeginSavepoint { .. });
        if let Some(first) = out.iter().position(begin) {
            out.truncate(first);
        }
    }),
    ("discards what it publishes", |out| {
        let handles = out.iter().find_map(|action| match action {
            CoordinatorAction::Publish(manifest) => Some(manifest.handles().cloned().collect()),
            _ => None,
        });
        out.extend(handles.map(CoordinatorAction::Discard));
    }),
    ("discards a savepoint that is being stored", |out| {
        let stored = out.iter().find_map(|action| match action {
            CoordinatorAction::PublishSavepoint(manifest) => Some(manifest.checkpoint),
            _ => None,
        });
        out.extend(stored.map(|checkpoint| CoordinatorAction::DiscardSavepoint { checkpoint }));
    }),
    ("forgets what is not committed", |out| {
        for action in out {
            if let CoordinatorAction::Publish(manifest) = action {
                let mut other = (**manifest).clone();
                other.uncommitted.clear();
                *manifest = other.into();
            }
        }
    }),
    ("commits twice", |out| {
        let commit = out.iter().find_map(|action| match action {
            CoordinatorAction::Commit { checkpoint, commits } => Some((*checkpoint, commits.clone())),
            _ => None,
        });
        out.extend(commit.map(|(checkpoint, commits)| CoordinatorAction::Commit { checkpoint, commits }));
    }),
];

#[test]
fn the_oracle_finds_every_double_out() {
    for (defect, double) in DOUBLES {
        let mut runner = TestRunner::new_with_rng(
            Config {
                cases: 300,
                max_shrink_iters: 0,
                failure_persistence: None,
                ..Config::default()
            },
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let outcome = runner.run(&inputs(), |(job, inputs)| {
            run(job, &inputs, *double);
            Ok(())
        });
        assert!(outcome.is_err(), "nobody notices a coordinator that {defect}");
    }
}
