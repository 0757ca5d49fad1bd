//! Jobs that were started from a savepoint.

use crate::storage::{Objects, TestStorage};
use crate::world::*;
use futures::executor::block_on;
use proptest::prelude::*;
use snapline_coordinator::{CheckpointStore, Restored, Savepoint, Verification};
use snapline_core::{AttemptId, CheckpointId, ClaimMode, ErrorKind, JobId, Result};
use snapline_state::StorageKey;
use std::collections::{BTreeMap, BTreeSet};

const PATH: &str = "savepoints/one";

/// A process that starts the job from a savepoint.
async fn try_start(objects: &Objects, savepoint: &Savepoint, claim: ClaimMode) -> Result<Started> {
    let store = open(objects);
    let attempt = store.claim_attempt(&info(1)).await?;
    let verification = Verification::Checksums;
    let restored = store
        .take_over_from(attempt, savepoint, claim, verification)
        .await?;
    Ok((store, attempt, restored))
}

type Started = (CheckpointStore, AttemptId, Restored);

async fn start(objects: &Objects, savepoint: &Savepoint) -> Started {
    try_start(objects, savepoint, ClaimMode::NoClaim).await.unwrap()
}

fn at(objects: &Objects, path: &str) -> Savepoint {
    Savepoint::new(TestStorage::new(objects), StorageKey::new(path).unwrap())
}

/// A savepoint of another job in a storage of its own.
async fn foreign(id: u64) -> (Objects, Savepoint) {
    let objects = Objects::default();
    let savepoint = foreign_savepoint(&objects, id, PATH).await.savepoint();
    (objects, savepoint)
}

/// Which savepoint or checkpoint it was.
fn source(restored: &Restored) -> (bool, Option<u64>) {
    (
        restored.savepoint().is_some(),
        restored.checkpoint().map(|id| id.0),
    )
}

#[test]
fn a_job_starts_from_a_savepoint_of_another_job_in_another_storage() {
    let objects = Objects::default();
    block_on(async {
        let (elsewhere, savepoint) = foreign(500).await;
        let (store, attempt, restored) = start(&objects, &savepoint).await;
        assert_eq!(source(&restored), (true, Some(500)));
        assert!(restored.skipped.is_empty());
        let manifest = restored.manifest.as_ref().unwrap();
        let state = manifest.handles().next().unwrap();
        assert!(state.read(restored.storage().as_ref()).await.is_ok());
        assert!(state.read(store.storage().as_ref()).await.is_err());

        // Ids go on after that of the savepoint; records stay dense.
        assert_eq!(restored.last_used, CheckpointId(501));
        publish(&store, attempt, &[503, 504]).await;
        assert_eq!(numbers(&objects, "epoch"), [1, 2, 3, 4]);
        elsewhere.lock().unwrap().clear();
        let (store, attempt, restored) = lead(&objects).await;
        assert_eq!(source(&restored), (false, Some(504)));
        assert_eq!(restored.last_used, CheckpointId(505));
        publish(&store, attempt, &[506]).await;
        let report = store.collect_garbage(1).await.unwrap();
        assert_eq!(report.boundary, CheckpointId(505));
        assert_eq!(numbers(&objects, "epoch"), [6]);
        let left: Vec<_> = names(&objects, "checkpoint").into_iter().collect();
        assert_eq!(left, ["a2-e506/manifest.json", "a2-e506/state/op/0-keyed"]);
    });
}

#[test]
fn what_a_savepoint_has_pre_committed_is_committed_whatever_the_job_has_committed() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        let saved = savepoint(&store, attempt, 2, PATH).await.unwrap();
        publish(&store, attempt, &[3]).await;
        store.mark_committed(CheckpointId(3)).await.unwrap();
        for _again in 0..2 {
            let (store, _, restored) = start(&objects, &at(&objects, PATH)).await;
            assert_eq!(source(&restored), (true, Some(2)));
            assert_eq!(restored.committed, None);
            assert_eq!(restored.unfinished_commits(), saved.own_commits());
            store.mark_committed(CheckpointId(2)).await.unwrap();
        }
        // What it commits itself is newer than all of that.
        let (store, attempt, restored) = start(&objects, &at(&objects, PATH)).await;
        let id = restored.last_used.0 + 1;
        publish(&store, attempt, &[id]).await;
        let (_, _, restored) = start(&objects, &at(&objects, PATH)).await;
        assert_eq!(
            (source(&restored), restored.committed),
            ((false, Some(id)), Some(CheckpointId(3)))
        );
    });
}

#[test]
fn the_origin_outlives_the_garbage_collection() {
    let objects = Objects::default();
    block_on(async {
        let (_one, one) = foreign(20).await;
        let (_two, two) = foreign(30).await;
        let (store, attempt, _) = start(&objects, &one).await;
        for id in [22, 23, 24] {
            publish(&store, attempt, &[id]).await;
            store.collect_garbage(1).await.unwrap();
        }
        assert_eq!(numbers(&objects, "epoch"), [4]);
        let (store, attempt, restored) = start(&objects, &one).await;
        assert_eq!(source(&restored), (false, Some(24)));
        // A run without the setting resumes as well, and does not forget the origin.
        let (_, _, restored) = lead(&objects).await;
        assert_eq!(source(&restored), (false, Some(24)));
        let (_, _, restored) = start(&objects, &one).await;
        assert_eq!(source(&restored), (false, Some(24)));
        let (_, _, restored) = start(&objects, &two).await;
        assert_eq!(
            (source(&restored), restored.last_used),
            ((true, Some(30)), CheckpointId(31))
        );
        drop((store, attempt));
    });
}

#[test]
fn a_savepoint_is_known_by_what_it_holds() {
    let objects = Objects::default();
    block_on(async {
        let (elsewhere, savepoint) = foreign(20).await;
        let (store, attempt, _) = start(&objects, &savepoint).await;
        publish(&store, attempt, &[22]).await;

        let moved = Objects::default();
        for (key, content) in elsewhere.lock().unwrap().iter() {
            let key = key.as_str().replace(PATH, "moved");
            moved
                .lock()
                .unwrap()
                .insert(StorageKey::new(key).unwrap(), content.clone());
        }
        let (_, _, restored) = start(&objects, &at(&moved, "moved")).await;
        assert_eq!(source(&restored), (false, Some(22)), "it was moved");

        let (_other, other) = foreign(21).await;
        assert_eq!(other.path(), savepoint.path());
        let (_, _, restored) = start(&objects, &other).await;
        assert_eq!(source(&restored), (true, Some(21)), "another one took its place");
    });
}

#[test]
fn a_savepoint_may_go_once_the_job_has_a_checkpoint() {
    for has_checkpoint in [true, false] {
        let objects = Objects::default();
        block_on(async {
            let (elsewhere, savepoint) = foreign(20).await;
            let (store, attempt, _) = start(&objects, &savepoint).await;
            if has_checkpoint {
                publish(&store, attempt, &[22]).await;
            }
            elsewhere.lock().unwrap().clear();
            let started = try_start(&objects, &savepoint, ClaimMode::NoClaim).await;
            match started {
                Ok((_, _, restored)) => assert_eq!(source(&restored), (false, Some(22))),
                Err(error) => {
                    assert!(!has_checkpoint, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Invalid);
                    assert!(error.to_string().contains("no savepoint at this path"), "{error}");
                }
            }
            // When it is back, it is still the same.
            let (_again, savepoint) = foreign(20).await;
            let (_, _, restored) = start(&objects, &savepoint).await;
            let expected = if has_checkpoint {
                (false, Some(22))
            } else {
                (true, Some(20))
            };
            assert_eq!(source(&restored), expected);
        });
    }
}

#[test]
fn a_job_that_needs_its_savepoint_does_not_start_without_it_at_the_beginning() {
    let objects = Objects::default();
    block_on(async {
        let (_elsewhere, savepoint) = foreign(20).await;
        let (_, _, restored) = start(&objects, &savepoint).await;
        let store = open(&objects);
        let attempt = store.claim_attempt(&info(1)).await.unwrap();
        let error = store
            .take_over(attempt, Verification::Checksums)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.context("savepoint"), Some(PATH));
        assert!(error.to_string().contains("start fresh"), "{error}");
        let fresh = store.start_over(attempt).await.unwrap();
        assert_eq!(source(&fresh), (false, None));
        assert!(fresh.last_used > restored.last_used);
        let (_, _, restored) = start(&objects, &savepoint).await;
        assert_eq!(
            source(&restored),
            (true, Some(20)),
            "starting fresh forgets the origin"
        );
    });
}

#[test]
fn checkpoints_from_before_the_savepoint_stay_behind_also_when_records_are_damaged() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3]).await;
        let (_elsewhere, savepoint) = foreign(20).await;
        let (_, _, restored) = start(&objects, &savepoint).await;
        assert_eq!(
            (source(&restored), restored.last_used),
            ((true, Some(20)), CheckpointId(21))
        );
        start(&objects, &savepoint).await;
        assert_eq!(numbers(&objects, "epoch"), [1, 2, 3, 4, 5]);
        tamper(&objects, &format!("{JOB}/epoch/{:020}.json", 4), flip);
        let (_, _, restored) = start(&objects, &savepoint).await;
        assert_eq!(source(&restored), (true, Some(20)));
    });
}

#[test]
fn when_no_checkpoint_since_can_be_restored_the_savepoint_is_and_that_is_told() {
    let objects = Objects::default();
    block_on(async {
        let (elsewhere, savepoint) = foreign(20).await;
        let (store, attempt, _) = start(&objects, &savepoint).await;
        publish(&store, attempt, &[22, 23]).await;
        for id in [22, 23] {
            tamper(&objects, &manifest_key(1, id), flip);
        }
        let (_, _, restored) = start(&objects, &savepoint).await;
        assert_eq!(source(&restored), (true, Some(20)));
        let skipped: Vec<_> = restored.skipped.iter().map(|(id, _)| id.0).collect();
        assert_eq!(skipped, [23, 22]);
        elsewhere.lock().unwrap().clear();
        let error = try_start(&objects, &savepoint, ClaimMode::NoClaim)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no checkpoint of this job"), "{error}");
    });
}

#[test]
fn a_claimed_savepoint_is_deleted_when_the_job_has_a_checkpoint_and_another_one_never() {
    for claim in [ClaimMode::Claim, ClaimMode::NoClaim] {
        let objects = Objects::default();
        block_on(async {
            let (elsewhere, savepoint) = foreign(20).await;
            let is_whole = || elsewhere.lock().unwrap().len() == 2;
            let (store, _, _) = try_start(&objects, &savepoint, claim).await.unwrap();
            store.collect_garbage(1).await.unwrap();
            assert!(is_whole(), "nothing else is there yet");
            // Another process goes on.
            let (store, attempt, restored) = try_start(&objects, &savepoint, claim).await.unwrap();
            assert_eq!(source(&restored), (true, Some(20)));
            publish(&store, attempt, &[23]).await;
            assert!(is_whole(), "it is left to the garbage collection");
            let stray = StorageKey::new(format!("{PATH}/notes.txt")).unwrap();
            elsewhere.lock().unwrap().insert(stray, "mine".into());
            store.collect_garbage(3).await.unwrap();
            let left = names_in(&elsewhere, PATH);
            match claim {
                ClaimMode::Claim => assert_eq!(left.into_iter().collect::<Vec<_>>(), ["notes.txt"]),
                _ => assert_eq!(left.len(), 3),
            }
            let (store, attempt, restored) = try_start(&objects, &savepoint, claim).await.unwrap();
            assert_eq!(source(&restored), (false, Some(23)));
            publish(&store, attempt, &[25]).await;
            store.collect_garbage(1).await.unwrap();
        });
    }
}

#[test]
fn a_folder_of_a_checkpoint_can_be_restored_but_not_claimed() {
    let objects = Objects::default();
    block_on(async {
        let (store, attempt, _) = lead(&objects).await;
        publish(&store, attempt, &[2, 3, 4]).await;
        let folder = at(&objects, "job/checkpoint/a1-e2");
        let error = try_start(&objects, &folder, ClaimMode::Claim).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("no-claim"), "{error}");
        let (_, _, restored) = start(&objects, &folder).await;
        assert_eq!(source(&restored), (true, Some(2)));
        let fork = CheckpointStore::new(TestStorage::new(&objects), JobId::new("fork").unwrap());
        let attempt = fork.claim_attempt(&info(1)).await.unwrap();
        let restored = start_from(&fork, attempt, &folder).await.unwrap();
        assert_eq!(
            (source(&restored), restored.last_used),
            ((true, Some(2)), CheckpointId(3))
        );
    });
}

#[test]
fn a_leader_that_starts_from_a_savepoint_fences_the_one_before_and_is_fenced() {
    let objects = Objects::default();
    block_on(async {
        let (_elsewhere, savepoint) = foreign(20).await;
        let (old, attempt, _) = lead(&objects).await;
        publish(&old, attempt, &[2]).await;
        let (new, new_attempt, restored) = start(&objects, &savepoint).await;
        for id in [3, 4, 30] {
            let outcome = checkpoint(&old, attempt, id).await.unwrap();
            let fenced = snapline_coordinator::PublishOutcome::Fenced { attempt: new_attempt };
            assert_eq!(outcome, fenced);
        }
        let error = start_from(&old, attempt, &savepoint).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        publish(&new, new_attempt, &[restored.last_used.0 + 1]).await;
        let (_, newest, _) = lead(&objects).await;
        let outcome = checkpoint(&new, new_attempt, restored.last_used.0 + 2)
            .await
            .unwrap();
        let fenced = snapline_coordinator::PublishOutcome::Fenced { attempt: newest };
        assert_eq!(outcome, fenced);
    });
}

/// What a user does with a job, over and over.
#[derive(Debug, Clone)]
enum Step {
    /// Runs it from one of the savepoints.
    Start(usize),
    /// Runs it as it is.
    Resume,
    Fresh,
    Checkpoint(u64),
    Collect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize).prop_map(Step::Start),
        1 => Just(Step::Resume),
        1 => Just(Step::Fresh),
        4 => (1..4_u64).prop_map(Step::Checkpoint),
        2 => (1..3_usize).prop_map(Step::Collect),
    ]
}

/// The oracle knows what was asked for, and nothing of records.
#[derive(Default)]
struct Oracle {
    origin: Option<usize>,
    newest: Option<u64>,
    last_used: u64,
    attempt: Option<Started>,
    published: BTreeMap<u64, Option<usize>>,
}

impl Oracle {
    async fn step(&mut self, objects: &Objects, savepoints: &[(u64, Savepoint)], step: &Step) {
        match *step {
            Step::Start(number) => {
                let (id, savepoint) = &savepoints[number];
                if self.origin != Some(number) {
                    (self.origin, self.newest) = (Some(number), None);
                }
                let started = start(objects, savepoint).await;
                let expected = self
                    .newest
                    .map_or((true, Some(*id)), |newest| (false, Some(newest)));
                assert_eq!(source(&started.2), expected);
                self.led(started);
                assert!(self.last_used > *id);
            }
            Step::Resume => {
                let store = open(objects);
                let attempt = store.claim_attempt(&info(1)).await.unwrap();
                match store.take_over(attempt, Verification::Checksums).await {
                    Ok(restored) => {
                        assert!(self.origin.is_none() || self.newest.is_some());
                        assert_eq!(source(&restored), (false, self.newest));
                        self.led((store, attempt, restored));
                    }
                    Err(error) => {
                        assert!(self.origin.is_some() && self.newest.is_none(), "{error}");
                        assert_eq!(error.kind(), ErrorKind::Invalid);
                        self.attempt = None;
                        self.last_used = open(objects)
                            .latest(Verification::Manifest)
                            .await
                            .unwrap()
                            .last_used
                            .0;
                    }
                }
            }
            Step::Fresh => {
                let store = open(objects);
                let attempt = store.claim_attempt(&info(1)).await.unwrap();
                let restored = store.start_over(attempt).await.unwrap();
                assert_eq!(source(&restored), (false, None));
                (self.origin, self.newest) = (None, None);
                self.led((store, attempt, restored));
            }
            Step::Checkpoint(ahead) => {
                let Some((store, attempt, _)) = &self.attempt else {
                    return;
                };
                self.last_used += ahead;
                publish(store, *attempt, &[self.last_used]).await;
                self.newest = Some(self.last_used);
                assert!(self.published.insert(self.last_used, self.origin).is_none());
            }
            Step::Collect(retained) => {
                let Some((store, ..)) = &self.attempt else { return };
                store.collect_garbage(retained).await.unwrap();
            }
        }
    }

    fn led(&mut self, started: Started) {
        let last_used = started.2.last_used.0;
        assert!(last_used > self.last_used);
        assert!(self.published.keys().all(|id| *id < last_used));
        self.last_used = last_used;
        self.attempt = Some(started);
    }
}

proptest! {
    #[test]
    fn a_job_resumes_what_it_began_or_begins_what_it_is_told(steps in prop::collection::vec(step(), 0..25)) {
        block_on(async {
            let objects = Objects::default();
            let mut savepoints = Vec::new();
            for (number, id) in [3, 40, 7].into_iter().enumerate() {
                let path = format!("savepoints/{number}");
                savepoints.push((id, foreign_savepoint(&objects, id, &path).await.savepoint()));
            }
            let untouched: BTreeSet<_> = names_in(&objects, "savepoints");
            let mut oracle = Oracle::default();
            for step in &steps {
                oracle.step(&objects, &savepoints, step).await;
            }
            assert_eq!(names_in(&objects, "savepoints"), untouched);
        });
    }
}
