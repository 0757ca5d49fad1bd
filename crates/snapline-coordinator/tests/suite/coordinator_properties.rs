//! Whatever happens to a coordinator, in whatever order.

use crate::script::{ATTEMPT, ack, at, coordinator, settings, task};
use bytes::Bytes;
use proptest::prelude::*;
use snapline_coordinator::{
    CheckpointCoordinator, CoordinatorAction, Decline, FailureReason, Manifest, PublishOutcome,
};
use snapline_core::{AttemptId, CheckpointId, CheckpointKind, CheckpointSettings, Error};
use snapline_state::{Committable, StateHandle};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const TASKS: u32 = 3;

#[derive(Debug, Clone)]
enum Input {
    Pass(u64),
    /// The checkpoint is given as an age: 0 is the newest.
    Ack {
        age: u64,
        task: u32,
        attempt: u64,
        commits: bool,
    },
    Decline {
        age: u64,
        task: u32,
        counts: bool,
    },
    Published {
        known: bool,
        done: bool,
    },
    Committed {
        known: bool,
    },
    Request {
        last: bool,
    },
}

fn input() -> impl Strategy<Value = Input> {
    let age = prop_oneof![8 => Just(0), 1 => 1..4_u64];
    let attempt = prop_oneof![9 => Just(ATTEMPT.0), 1 => 6..9_u64];
    prop_oneof![
        2 => (1..80_u64).prop_map(Input::Pass),
        1 => Just(Input::Pass(1000)),
        9 => (age.clone(), 0..TASKS + 1, attempt, any::<bool>())
            .prop_map(|(age, task, attempt, commits)| Input::Ack { age, task, attempt, commits }),
        1 => (age, 0..TASKS + 1, any::<bool>()).prop_map(|(age, task, counts)| Input::Decline { age, task, counts }),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(known, done)| Input::Published { known, done }),
        3 => any::<bool>().prop_map(|known| Input::Committed { known }),
        1 => prop::bool::weighted(0.1).prop_map(|last| Input::Request { last }),
    ]
}

/// The outside world, and what it knows to be true.
#[derive(Default)]
struct World {
    now: u64,
    newest: u64,
    /// Tasks of this attempt that have acknowledged, by checkpoint.
    acknowledged: BTreeMap<u64, BTreeSet<u32>>,
    /// The claim that is under way, and whether it has been made in secret already.
    claim: Option<(Arc<Manifest>, bool)>,
    /// The claim that is not decided as far as the coordinator can know.
    undecided: Option<Arc<Manifest>>,
    outcome_unknown: bool,
    exists: BTreeMap<u64, Arc<Manifest>>,
    aborted: BTreeSet<u64>,
    committing: Option<u64>,
    committed: BTreeSet<u64>,
    failed: bool,
}

impl World {
    fn happen(&mut self, coordinator: &mut CheckpointCoordinator, input: &Input) -> Vec<CoordinatorAction> {
        let mut out = Vec::new();
        let now = at(self.now);
        match *input {
            Input::Pass(ms) => {
                self.now += ms;
                coordinator.on_time(at(self.now), &mut out);
            }
            Input::Ack {
                age,
                task,
                attempt,
                commits,
            } => {
                let id = self.newest.saturating_sub(age);
                let mut ack = ack(id, task);
                ack.attempt = AttemptId(attempt);
                if commits {
                    ack.operators[0]
                        .2
                        .committables
                        .push(Committable(Bytes::from_static(b"part")));
                }
                if attempt == ATTEMPT.0 {
                    self.acknowledged.entry(id).or_default().insert(task);
                }
                coordinator.acknowledge(ack, now, &mut out);
            }
            Input::Decline {
                age,
                task: index,
                counts,
            } => {
                let decline = Decline {
                    task: task(index),
                    attempt: ATTEMPT,
                    checkpoint: CheckpointId(self.newest.saturating_sub(age)),
                    reason: if counts {
                        FailureReason::Declined
                    } else {
                        FailureReason::TaskEnded
                    },
                    cause: None,
                };
                coordinator.decline(decline, now, &mut out);
            }
            Input::Published { known, done } => {
                if let Some((manifest, was_done)) = self.claim.take() {
                    let done = done || was_done;
                    if done {
                        self.exists.insert(manifest.checkpoint.0, manifest.clone());
                    }
                    let outcome = match (known, done) {
                        (true, true) => Ok(PublishOutcome::Published),
                        (true, false) => Err(Error::invalid("surely not")),
                        (false, _) => Err(Error::unavailable("who knows")),
                    };
                    self.outcome_unknown |= !known;
                    coordinator.on_published(manifest.checkpoint, outcome, now, &mut out);
                }
            }
            Input::Committed { known } => {
                if let Some(id) = self.committing.take() {
                    let outcome = if known {
                        Ok(())
                    } else {
                        Err(Error::unavailable("who knows"))
                    };
                    if known {
                        self.committed.insert(id);
                    }
                    coordinator.on_committed(CheckpointId(id), outcome, now, &mut out);
                }
            }
            Input::Request { last } => {
                let kind = if last {
                    CheckpointKind::Final
                } else {
                    CheckpointKind::Checkpoint
                };
                let _ = coordinator.trigger(kind, now, &mut out);
            }
        }
        out
    }

    fn check(&mut self, action: &CoordinatorAction) {
        assert!(!self.failed, "{action:?} after the job has failed");
        match action {
            CoordinatorAction::TriggerSources(barrier) => {
                assert!(barrier.checkpoint.0 > self.newest, "{barrier:?}");
                assert!(self.claim.is_none());
                self.newest = barrier.checkpoint.0;
            }
            CoordinatorAction::Publish(manifest) => self.check_publish(manifest),
            CoordinatorAction::NotifyComplete { checkpoint, .. } => {
                assert!(self.exists.contains_key(&checkpoint.0), "{checkpoint}");
                self.decide(checkpoint.0);
            }
            CoordinatorAction::NotifyAborted {
                checkpoint,
                latest_completed,
            } => {
                assert!(!self.exists.contains_key(&checkpoint.0), "{checkpoint}");
                assert!(self.undecided.is_none() || !self.outcome_unknown, "{checkpoint}");
                self.decide(checkpoint.0);
                assert!(self.aborted.insert(checkpoint.0));
                let newest = self.exists.keys().last().map_or(3, |id| *id);
                assert_eq!(latest_completed.map(|id| id.0), Some(newest));
            }
            CoordinatorAction::Commit { checkpoint, commits } => {
                assert!(self.exists.contains_key(&checkpoint.0), "{checkpoint}");
                assert!(self.committed.last().is_none_or(|last| *last < checkpoint.0));
                assert!(!commits.is_empty());
                assert_eq!(self.committing.replace(checkpoint.0), None);
            }
            CoordinatorAction::Discard(handles) => self.check_discard(handles),
            CoordinatorAction::CollectGarbage | CoordinatorAction::RequestDone { .. } => {}
            CoordinatorAction::BeginSavepoint { .. }
            | CoordinatorAction::PublishSavepoint(_)
            | CoordinatorAction::DiscardSavepoint { .. }
            | CoordinatorAction::DeleteCheckpoints => panic!("{action:?}"),
            CoordinatorAction::FailJob(_) => self.failed = true,
        }
    }

    fn check_publish(&mut self, manifest: &Arc<Manifest>) {
        let id = manifest.checkpoint.0;
        let tasks: BTreeSet<u32> = (0..TASKS).collect();
        assert!(
            self.acknowledged
                .get(&id)
                .is_some_and(|acks| acks.is_superset(&tasks)),
            "{id}"
        );
        assert_eq!(manifest.handles().count(), 2 * TASKS as usize);
        // Restoring this checkpoint alone must finish all commits.
        let unfinished = self
            .exists
            .iter()
            .filter(|(other, _)| **other < id && !self.committed.contains(other));
        let owed: BTreeSet<u64> = unfinished
            .filter(|(_, other)| !other.own_commits().is_empty())
            .map(|(other, _)| *other)
            .collect();
        let carried: BTreeSet<u64> = manifest
            .uncommitted
            .iter()
            .map(|commit| commit.checkpoint.0)
            .collect();
        assert!(self.claim.is_none());
        match &self.undecided {
            Some(before) => assert_eq!(before, manifest, "a retry must be the same claim"),
            None => assert_eq!(carried, owed),
        }
        self.undecided = Some(manifest.clone());
        self.claim = Some((manifest.clone(), self.exists.contains_key(&id)));
    }

    fn decide(&mut self, id: u64) {
        if self
            .undecided
            .take_if(|manifest| manifest.checkpoint.0 == id)
            .is_some()
        {
            self.outcome_unknown = false;
        }
    }

    /// Neither state of a checkpoint that exists nor of one that may come to exist.
    fn check_discard(&self, handles: &[StateHandle]) {
        let needed = self.exists.values().flat_map(|manifest| manifest.handles());
        let mut needed = needed.chain(self.undecided.iter().flat_map(|manifest| manifest.handles()));
        assert!(!needed.any(|handle| handles.contains(handle)), "{handles:?}");
    }
}

proptest! {
    #[test]
    fn no_order_of_inputs_breaks_a_promise(inputs in prop::collection::vec(input(), 0..150)) {
        let settings = CheckpointSettings { tolerable_failures: 20, ..settings() };
        let mut coordinator = coordinator(TASKS, Some(settings));
        let mut world = World { newest: 4, ..World::default() };
        for input in &inputs {
            for action in world.happen(&mut coordinator, input) {
                world.check(&action);
            }
            if let Some(deadline) = coordinator.next_deadline() {
                prop_assert!(!world.failed, "{deadline:?}");
            }
        }
    }
}
