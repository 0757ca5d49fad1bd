//! The garbage collection keeps exactly what is needed.

use crate::storage::Objects;
use crate::world::*;
use futures::executor::block_on;
use proptest::prelude::*;
use snapline_coordinator::{CheckpointStore, Manifest, PublishOutcome, Verification};
use snapline_core::{AttemptId, CheckpointId};
use snapline_state::{StateHandle, StorageKey};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone)]
enum Step {
    /// Completes a checkpoint that inherits some files of the one before and adds some.
    Complete {
        inherit: u8,
        add: usize,
    },
    /// Writes files of a checkpoint and gives it up.
    GiveUp,
    /// Another process takes over.
    TakeOver,
    Collect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 0..3_usize).prop_map(|(inherit, add)| Step::Complete { inherit, add }),
        1 => Just(Step::GiveUp),
        1 => Just(Step::TakeOver),
        3 => (0..4_usize).prop_map(Step::Collect),
    ]
}

/// The oracle: what was completed, and nothing else.
struct Model {
    objects: Objects,
    store: CheckpointStore,
    attempt: AttemptId,
    id: u64,
    completed: BTreeMap<u64, (AttemptId, Vec<StateHandle>)>,
}

impl Model {
    async fn new() -> Self {
        let objects = Objects::default();
        let mut model = Self {
            store: open(&objects),
            objects,
            attempt: AttemptId(0),
            id: 0,
            completed: BTreeMap::new(),
        };
        model.take_over().await;
        model
    }

    async fn take_over(&mut self) {
        self.store = open(&self.objects);
        self.attempt = self.store.claim_attempt(&info(self.id)).await.unwrap();
        let restored = self
            .store
            .take_over(self.attempt, Verification::Checksums)
            .await
            .unwrap();
        let newest = self.completed.keys().last().copied().map(CheckpointId);
        assert_eq!((restored.checkpoint(), restored.skipped.len()), (newest, 0));
        self.id = restored.last_used.0;
    }

    async fn complete(&mut self, inherit: u8, add: usize) {
        self.id += 1;
        let parent = self.completed.values().last().map(|(_, files)| files.clone());
        let parent = parent.unwrap_or_default().into_iter().enumerate();
        let kept = parent.filter(|(at, _)| inherit >> (at % 8) & 1 == 1);
        let mut files: Vec<StateHandle> = kept.map(|(_, file)| file).collect();
        for name in 0..add {
            files.push(
                write(&self.store, self.attempt, self.id, &format!("f{name}"), 3)
                    .await
                    .unwrap(),
            );
        }
        let manifest = manifest(self.attempt, self.id, files.clone());
        assert_eq!(
            self.store.publish(&manifest).await.unwrap(),
            PublishOutcome::Published
        );
        self.completed.insert(self.id, (self.attempt, files));
    }

    async fn step(&mut self, step: &Step) {
        match *step {
            Step::Complete { inherit, add } => self.complete(inherit, add).await,
            Step::GiveUp => {
                self.id += 1;
                write(&self.store, self.attempt, self.id, "given-up", 3)
                    .await
                    .unwrap();
            }
            Step::TakeOver => self.take_over().await,
            Step::Collect(retained) => {
                let pending = write(&self.store, self.attempt, self.id + 1, "pending", 3)
                    .await
                    .unwrap();
                self.store.collect_garbage(retained).await.unwrap();
                self.check(retained, &pending);
                while self.completed.len() > retained.max(1) {
                    self.completed.pop_first();
                }
                self.store.discard(&[pending]).await.unwrap();
            }
        }
    }

    /// Every file of the retained checkpoints is there, and what is there beside them belongs to
    /// checkpoints that are not decided.
    fn check(&self, retained: usize, pending: &StateHandle) {
        let left = names(&self.objects, "checkpoint");
        let mut needed = BTreeSet::new();
        for (id, (attempt, files)) in self.completed.iter().rev().take(retained.max(1)) {
            needed.insert(manifest_key(attempt.0, *id));
            let manifest = self.manifest(*attempt, *id);
            assert_eq!(manifest.handles().cloned().collect::<Vec<_>>(), *files);
            needed.extend(manifest.files().map(|key| key.as_str().to_owned()));
        }
        let left: BTreeSet<String> = left
            .iter()
            .map(|name| format!("{JOB}/checkpoint/{name}"))
            .collect();
        assert!(
            needed.is_subset(&left),
            "{:?} were deleted",
            needed.difference(&left)
        );
        let newest = self.completed.keys().last().copied().unwrap_or(0);
        let undecided = |key: &&String| {
            self.completed.is_empty()
                || (newest + 1..=self.id + 1).any(|id| key.contains(&format!("/a{}-e{id}/", self.attempt)))
        };
        let garbage: Vec<_> = left.difference(&needed).filter(|key| !undecided(key)).collect();
        assert!(garbage.is_empty(), "{garbage:?} were left");
        assert!(pending.len > 0 && left.iter().any(|key| key.ends_with("pending")));
    }

    fn manifest(&self, attempt: AttemptId, id: u64) -> Manifest {
        let key = StorageKey::new(manifest_key(attempt.0, id)).unwrap();
        let objects = self.objects.lock().unwrap();
        Manifest::decode(objects.get(&key).unwrap_or_else(|| panic!("{key} was deleted"))).unwrap()
    }
}

proptest! {
    #[test]
    fn garbage_collection_keeps_what_retained_checkpoints_need_and_deletes_the_rest(
        steps in prop::collection::vec(step(), 0..30),
    ) {
        block_on(async {
            let mut model = Model::new().await;
            for step in &steps {
                model.step(step).await;
            }
            model.take_over().await;
        });
    }
}

#[test]
fn old_records_go_and_the_newest_of_each_kind_stays() {
    let objects = Objects::default();
    block_on(async {
        let store = open(&objects);
        let attempt = store.claim_attempt(&info(1)).await.unwrap();
        store.take_over(attempt, Verification::Manifest).await.unwrap();
        for id in [2, 3, 5, 6] {
            assert_eq!(
                checkpoint(&store, attempt, id).await.unwrap(),
                PublishOutcome::Published
            );
            store.mark_committed(CheckpointId(id)).await.unwrap();
            store.collect_garbage(2).await.unwrap();
        }
        assert_eq!(numbers(&objects, "epoch"), [5, 6]);
        assert_eq!(numbers(&objects, "gc/boundary"), [4]);
        assert_eq!(numbers(&objects, "committed"), [6]);
        assert_eq!(numbers(&objects, "attempt"), [1]);
    });
}

#[test]
fn a_checkpoint_that_cannot_be_restored_does_not_count_and_its_files_stay() {
    for damaged in [manifest_key(1, 3), state_key(1, 3)] {
        let objects = Objects::default();
        block_on(async {
            let store = open(&objects);
            let attempt = store.claim_attempt(&info(1)).await.unwrap();
            store.take_over(attempt, Verification::Manifest).await.unwrap();
            for id in [2, 3] {
                assert_eq!(
                    checkpoint(&store, attempt, id).await.unwrap(),
                    PublishOutcome::Published
                );
            }
            tamper(&objects, &damaged, flip);
            let store = open(&objects);
            let attempt = store.claim_attempt(&info(2)).await.unwrap();
            store.take_over(attempt, Verification::Checksums).await.unwrap();
            assert_eq!(
                checkpoint(&store, attempt, 5).await.unwrap(),
                PublishOutcome::Published
            );
            store.collect_garbage(2).await.unwrap();
            let left = names(&objects, "checkpoint");
            for state in ["a1-e2", "a1-e3", "a2-e5"] {
                assert!(
                    left.contains(&format!("{state}/state/op/0-keyed")),
                    "{state}: {left:?}"
                );
            }
        });
    }
}
