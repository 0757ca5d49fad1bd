//! Checkpoints that store only what has changed.

use crate::counting::{Counting, counts_after};
use crate::valve::newest_manifest;
use futures::executor::block_on;
use snapline::coordinator::Manifest;
use snapline::dataflow::CheckpointScope;
use snapline::prelude::*;
use snapline::state::HandleKind;
use std::time::Duration;

const KEYS: u64 = 40_000;

fn start(storage: &MemoryCheckpointStorage, parallelism: u32, retained: usize) -> Counting {
    start_with(storage, parallelism, |checkpoints| {
        checkpoints.retained = retained
    })
}

fn start_with(
    storage: &MemoryCheckpointStorage,
    parallelism: u32,
    change: impl Fn(&mut CheckpointSettings),
) -> Counting {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(parallelism)
        .checkpoint_storage(storage.clone())
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            change(checkpoints);
        }
    });
    Counting::start(&env, "counting", KEYS)
}

/// Whether a checkpoint has stored little, and refers to the rest.
fn is_short(manifest: &Manifest) -> bool {
    let operators = manifest.operators.values();
    let mut handles = operators
        .flat_map(|operator| &operator.subtasks)
        .flat_map(|subtask| &subtask.keyed);
    let sizes = manifest.sizes;
    handles.any(|handle| handle.kind == HandleKind::Delta) && sizes.written * 20 < sizes.total
}

/// Whether a checkpoint needs files of no other one.
fn stands_alone(manifest: &Manifest) -> bool {
    let own = format!("/a{}-e{}/", manifest.attempt, manifest.checkpoint);
    let mut handles = manifest.handles();
    let is_full = handles.all(|handle| handle.kind != HandleKind::Delta);
    is_full && manifest.files().all(|file| file.as_str().contains(&own))
}

#[test]
fn a_full_checkpoint_that_is_asked_for_needs_no_other_and_later_ones_build_on_it() {
    let storage = MemoryCheckpointStorage::new();
    let job = start_with(&storage, 2, |checkpoints| {
        (checkpoints.interval_ms, checkpoints.retained) = (600_000, 100);
    });
    let take = |scope| block_on(job.job().checkpoint(scope)).unwrap();
    job.feed(0..KEYS);
    let first = take(CheckpointScope::Usual);
    let mut sent = vec![KEYS];
    for expected in [
        Scope::Changes,
        Scope::Full,
        Scope::Changes,
        Scope::Changes,
        Scope::Full,
    ] {
        job.feed(0..100);
        sent.push(100);
        let asked = match expected {
            Scope::Full => CheckpointScope::Full,
            Scope::Changes => CheckpointScope::Usual,
        };
        let checkpoint = take(asked);
        let manifest = newest_manifest(&storage);
        assert_eq!(manifest.checkpoint, checkpoint);
        assert_eq!(stands_alone(&manifest), expected == Scope::Full, "{manifest:?}");
        assert!(checkpoint > first);
    }
    job.stop();
    let again = start(&storage, 1, 3);
    assert_eq!(again.finish(), counts_after(&sent, KEYS));
}

#[derive(PartialEq)]
enum Scope {
    Changes,
    Full,
}

#[test]
fn with_full_checkpoints_none_needs_another() {
    let storage = MemoryCheckpointStorage::new();
    let job = start_with(&storage, 1, |checkpoints| checkpoints.incremental = false);
    job.send(0..KEYS);
    for _ in 0..5 {
        job.send(0..100);
        assert!(stands_alone(&newest_manifest(&storage)));
    }
    job.stop();
}

#[test]
fn a_checkpoint_after_few_changes_is_short_and_holds_everything() {
    for retained in [1, 3] {
        let storage = MemoryCheckpointStorage::new();
        let first = start(&storage, 1, retained);
        first.send(0..KEYS);
        // While the keys came in, deltas were long; after a few full snapshots they are tried again.
        let mut sent = vec![KEYS];
        while !is_short(&newest_manifest(&storage)) {
            assert!(sent.len() < 60, "{:?}", newest_manifest(&storage));
            first.send(0..100);
            sent.push(100);
        }
        first.stop();

        for parallelism in [1, 2, 3, 1] {
            let again = start(&storage, parallelism, retained);
            again.send(0..200);
            again.send(0..300);
            sent.extend([200, 300]);
            again.stop();
        }
        let last = start(&storage, 2, retained);
        assert_eq!(
            last.finish(),
            counts_after(&sent, KEYS),
            "{retained} checkpoints are retained"
        );
    }
}
