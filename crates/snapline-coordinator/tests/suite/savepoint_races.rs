//! Two processes that start the job from savepoints, interleaved at every storage call.

use crate::races::{interleave, lead_on};
use crate::storage::{Objects, TestStorage};
use crate::world::*;
use futures::{FutureExt, executor::block_on};
use proptest::prelude::*;
use snapline_coordinator::{Savepoint, Verification};
use snapline_core::{ClaimMode, ErrorKind};
use snapline_state::StorageKey;
use std::cell::RefCell;

const SAVEPOINTS: [(u64, &str); 2] = [(40, "savepoints/a"), (9, "savepoints/b")];

/// What a process is told to do.
#[derive(Debug, Clone)]
struct Orders {
    /// From which savepoint it starts.
    savepoint: usize,
    claim: ClaimMode,
    steps: Vec<u64>,
    /// Whether it deletes all checkpoints at its end.
    deletes: bool,
}

fn orders() -> impl Strategy<Value = Orders> {
    let claim = prop_oneof![Just(ClaimMode::Claim), Just(ClaimMode::NoClaim)];
    let steps = prop::collection::vec(1..4_u64, 0..5);
    (0..2_usize, claim, steps, prop::bool::weighted(0.2)).prop_map(|(savepoint, claim, steps, deletes)| {
        Orders {
            savepoint,
            claim,
            steps,
            deletes,
        }
    })
}

/// What a process believes it has done.
#[derive(Debug, Default)]
struct Belief {
    /// Whether it was a savepoint, and its id.
    restored: Option<(bool, Option<u64>)>,
    fence: u64,
    published: Vec<u64>,
    has_deleted: bool,
    gave_way: bool,
}

fn at(objects: &Objects, savepoint: usize) -> Savepoint {
    let path = StorageKey::new(SAVEPOINTS[savepoint].1).unwrap();
    Savepoint::new(TestStorage::new(objects), path)
}

/// Leads until it is told that another one does.
async fn process(objects: &Objects, nonce: u64, orders: &Orders, belief: &RefCell<Belief>) {
    let store = open(objects);
    let attempt = store.claim_attempt(&info(nonce)).await.unwrap();
    let (savepoint, checksums) = (at(objects, orders.savepoint), Verification::Checksums);
    let restored = match store
        .take_over_from(attempt, &savepoint, orders.claim, checksums)
        .await
    {
        Ok(restored) => restored,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            belief.borrow_mut().gave_way = true;
            return;
        }
    };
    assert!(restored.skipped.is_empty(), "{:?}", restored.skipped);
    let mut id = restored.last_used.0;
    {
        let mut belief = belief.borrow_mut();
        let source = (
            restored.savepoint().is_some(),
            restored.checkpoint().map(|id| id.0),
        );
        (belief.restored, belief.fence) = (Some(source), id);
    }
    for step in &orders.steps {
        id += step;
        if !lead_on(&store, attempt, id, 2).await {
            belief.borrow_mut().gave_way = true;
            return;
        }
        belief.borrow_mut().published.push(id);
    }
    if orders.deletes {
        match store.delete_all().await {
            Ok(()) => belief.borrow_mut().has_deleted = true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                belief.borrow_mut().gave_way = true;
            }
        }
    }
}

/// What the later one must have found, given all that the earlier one believes.
fn check_later(earlier: (&Orders, &Belief), later: (&Orders, &Belief)) {
    let same = earlier.0.savepoint == later.0.savepoint;
    let newest = earlier
        .1
        .published
        .last()
        .filter(|_| same && !earlier.1.has_deleted);
    let again = (true, Some(SAVEPOINTS[later.0.savepoint].0));
    let expected = newest.map_or(again, |newest| (false, Some(*newest)));
    assert_eq!(later.1.restored, Some(expected), "{earlier:?}\n{later:?}");
    for id in &earlier.1.published {
        assert!(*id < later.1.fence, "{earlier:?}\n{later:?}");
    }
}

proptest! {
    #[test]
    fn what_one_has_published_since_the_savepoint_the_other_restores(
        schedule in prop::collection::vec(any::<bool>(), 1..400),
        mut idle in prop::collection::vec(Just(false), 0..200),
        mut orders in [orders(), orders()],
    ) {
        // Without its checkpoints a job can start only from a savepoint that is still there.
        if orders.iter().any(|orders| orders.deletes) {
            orders.iter_mut().for_each(|orders| orders.claim = ClaimMode::NoClaim);
        }
        idle.extend(schedule);
        let objects = Objects::default();
        for (id, path) in SAVEPOINTS {
            block_on(foreign_savepoint(&objects, id, path));
        }
        let beliefs: [RefCell<Belief>; 2] = Default::default();
        interleave(
            [
                Some(process(&objects, 1, &orders[0], &beliefs[0]).boxed_local()),
                Some(process(&objects, 2, &orders[1], &beliefs[1]).boxed_local()),
            ],
            &idle,
        );
        let [first, second] = beliefs.map(RefCell::into_inner);
        prop_assert!(!(first.gave_way && second.gave_way));
        let (first, second) = ((&orders[0], &first), (&orders[1], &second));
        let last = match (first.1.restored, second.1.restored) {
            (Some(_), Some(_)) if first.1.fence < second.1.fence => {
                check_later(first, second);
                second
            }
            (Some(_), Some(_)) => {
                check_later(second, first);
                first
            }
            (Some(_), None) => first,
            _ => second,
        };
        // Who starts like the last one goes on where that one was.
        let savepoint = at(&objects, last.0.savepoint);
        let store = open(&objects);
        let attempt = block_on(store.claim_attempt(&info(3))).unwrap();
        let found = block_on(start_from(&store, attempt, &savepoint)).unwrap();
        let source = (found.savepoint().is_some(), found.checkpoint().map(|id| id.0));
        let expected = match last.1.published.last() {
            _ if last.1.has_deleted => (true, Some(SAVEPOINTS[last.0.savepoint].0)),
            Some(newest) => (false, Some(*newest)),
            None => last.1.restored.unwrap(),
        };
        prop_assert_eq!(source, expected);
        prop_assert!(found.skipped.is_empty());
        for orders in &orders {
            if orders.claim == ClaimMode::NoClaim && orders.savepoint != last.0.savepoint {
                block_on(at(&objects, orders.savepoint).read(Verification::Checksums)).unwrap();
            }
        }
    }
}
