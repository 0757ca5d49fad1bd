//! What snapshots may build on, and what is kept for them.

use crate::script::{ack, at, coordinator, happen, settings};
use crate::storage::Objects;
use crate::world::{lead, manifest_key, publish};
use futures::executor::block_on;
use snapline_coordinator::{CheckpointCoordinator, CoordinatorAction};
use snapline_core::{CheckpointId, CheckpointKind, CheckpointSettings};

/// The checkpoint that is triggered now, and what it may build on.
fn trigger(coordinator: &mut CheckpointCoordinator, ms: u64) -> (u64, Option<u64>) {
    let mut actions = Vec::new();
    coordinator.on_time(at(ms), &mut actions);
    triggered(&actions)
}

fn triggered(actions: &[CoordinatorAction]) -> (u64, Option<u64>) {
    let barrier = actions.iter().find_map(|action| match action {
        CoordinatorAction::TriggerSources(barrier) => Some(*barrier),
        _ => None,
    });
    let barrier = barrier.unwrap_or_else(|| panic!("nothing is triggered: {actions:?}"));
    (barrier.checkpoint.0, barrier.options.base.map(|base| base.0))
}

fn complete(coordinator: &mut CheckpointCoordinator, id: u64) {
    let mut actions = Vec::new();
    coordinator.acknowledge(ack(id, 0), at(0), &mut actions);
    let _ = happen(
        coordinator,
        &format!("published {id} ok"),
        &mut at(0),
        &mut actions,
    );
}

#[test]
fn a_snapshot_may_build_on_the_newest_checkpoint_that_is_complete_when_it_is_triggered() {
    let several = CheckpointSettings {
        max_concurrent: 3,
        ..settings()
    };
    let mut coordinator = coordinator(1, Some(several));
    assert_eq!(
        trigger(&mut coordinator, 100),
        (5, Some(3)),
        "the one that was restored"
    );
    complete(&mut coordinator, 5);
    assert_eq!(trigger(&mut coordinator, 200), (6, Some(5)));
    assert_eq!(trigger(&mut coordinator, 300), (7, Some(5)));
    complete(&mut coordinator, 6);
    assert_eq!(
        coordinator.oldest_base(),
        Some(CheckpointId(5)),
        "7 still builds on it"
    );
    assert_eq!(trigger(&mut coordinator, 400), (8, Some(6)));
    complete(&mut coordinator, 7);
    assert_eq!(coordinator.oldest_base(), Some(CheckpointId(6)));
    complete(&mut coordinator, 8);
    assert_eq!(coordinator.oldest_base(), Some(CheckpointId(8)));
}

#[test]
fn a_savepoint_builds_on_nothing() {
    let mut coordinator = coordinator(1, Some(settings()));
    trigger(&mut coordinator, 100);
    complete(&mut coordinator, 5);
    let mut actions = Vec::new();
    let _ = coordinator
        .trigger(CheckpointKind::Savepoint, at(150), &mut actions)
        .unwrap();
    assert_eq!(triggered(&actions), (6, None));
    assert_eq!(trigger(&mut coordinator, 200), (7, Some(5)));
}

#[test]
fn garbage_collection_keeps_what_pending_checkpoints_build_on() {
    for (needed, kept) in [
        (Some(3), 3..=5),
        (Some(5), 5..=5),
        (Some(9), 5..=5),
        (None, 5..=5),
        (Some(2), 2..=5),
    ] {
        let objects = Objects::default();
        let (store, attempt, _) = block_on(lead(&objects));
        block_on(publish(&store, attempt, &[2, 3, 4, 5]));
        block_on(store.collect_garbage_before(needed.map(CheckpointId), 1)).unwrap();
        let left = objects.lock().unwrap();
        let is_there = |id: &u64| {
            let manifest = manifest_key(attempt.0, *id);
            left.keys().any(|key| key.as_str() == manifest)
        };
        let left: Vec<u64> = (2..=5).filter(is_there).collect();
        assert_eq!(left, kept.collect::<Vec<_>>(), "{needed:?} is needed");
    }
}
