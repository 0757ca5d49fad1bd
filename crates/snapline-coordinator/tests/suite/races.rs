//! Two processes that both believe to lead, interleaved at every storage call.

use crate::storage::Objects;
use crate::world::*;
use futures::future::LocalBoxFuture;
use futures::task::noop_waker;
use futures::{FutureExt, executor::block_on};
use proptest::prelude::*;
use snapline_coordinator::{CheckpointStore, PublishOutcome, Verification};
use snapline_core::{AttemptId, CheckpointId, ErrorKind};
use std::cell::RefCell;
use std::task::{Context, Poll};

/// What a process believes it has done.
#[derive(Debug, Default)]
struct Belief {
    restored: Option<Option<CheckpointId>>,
    fence: u64,
    published: Vec<u64>,
    gave_way: bool,
}

/// Leads until it is told that another one does. The first steps of the ids are given.
async fn process(objects: &Objects, nonce: u64, steps: &[u64], retained: usize, belief: &RefCell<Belief>) {
    let store = open(objects);
    let attempt = store.claim_attempt(&info(nonce)).await.unwrap();
    let restored = match store.take_over(attempt, Verification::Checksums).await {
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
        belief.restored = Some(restored.checkpoint());
        belief.fence = id;
    }
    for step in steps {
        id += step;
        if !lead_on(&store, attempt, id, retained).await {
            belief.borrow_mut().gave_way = true;
            return;
        }
        belief.borrow_mut().published.push(id);
    }
}

/// Completes one more checkpoint and collects garbage; `false` when another process leads by now.
pub(crate) async fn lead_on(store: &CheckpointStore, attempt: AttemptId, id: u64, retained: usize) -> bool {
    match checkpoint(store, attempt, id).await.unwrap() {
        PublishOutcome::Published => {}
        PublishOutcome::NotStored { reason } => panic!("the storage does not fail here: {reason}"),
        PublishOutcome::Fenced { .. } => return false,
    }
    match store.collect_garbage(retained).await {
        Err(error) if error.kind() != ErrorKind::Conflict => panic!("{error}"),
        _ => true,
    }
}

/// Polls one of two futures at a time, as the schedule says, until both are done.
pub(crate) fn interleave(mut futures: [Option<LocalBoxFuture<'_, ()>>; 2], schedule: &[bool]) {
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    let mut turns = schedule.iter().cycle();
    for turn in 0.. {
        assert!(turn < 100_000, "no progress");
        let turn = usize::from(*turns.next().unwrap());
        let turn = if futures[turn].is_some() { turn } else { 1 - turn };
        let Some(future) = &mut futures[turn] else { return };
        if let Poll::Ready(()) = future.poll_unpin(&mut cx) {
            futures[turn] = None;
        }
    }
}

/// Of two that took over, the one with the later fence must have restored all that the other has
/// published, and the other must have published nothing after it.
fn check_exclusive(earlier: &Belief, later: &Belief) {
    let restored = later.restored.flatten().map_or(0, |id| id.0);
    for id in &earlier.published {
        assert!(*id <= restored && *id < later.fence, "{earlier:?}\n{later:?}");
    }
}

proptest! {
    #[test]
    fn what_one_has_published_the_other_restores(
        schedule in prop::collection::vec(any::<bool>(), 1..400),
        mut idle in prop::collection::vec(Just(false), 0..150),
        steps in prop::collection::vec(1..4_u64, 0..6),
        other_steps in prop::collection::vec(1..4_u64, 0..6),
        retained in 1..3_usize,
    ) {
        // The first process has a head start of some polls, so that take-overs fall everywhere.
        idle.extend(schedule);
        let objects = Objects::default();
        let (first, second) = (RefCell::default(), RefCell::default());
        interleave(
            [
                Some(process(&objects, 1, &steps, retained, &first).boxed_local()),
                Some(process(&objects, 2, &other_steps, retained, &second).boxed_local()),
            ],
            &idle,
        );
        let (first, second) = (first.into_inner(), second.into_inner());
        if first.restored.is_some() && second.restored.is_some() {
            if first.fence < second.fence {
                check_exclusive(&first, &second);
            } else {
                check_exclusive(&second, &first);
            }
        }
        prop_assert!(!(first.gave_way && second.gave_way));
        let found = block_on(open(&objects).latest(Verification::Checksums)).unwrap();
        let newest = first.published.iter().chain(&second.published).max().copied();
        prop_assert_eq!(found.checkpoint().map(|id| id.0), newest);
        prop_assert!(found.skipped.is_empty());
    }
}
