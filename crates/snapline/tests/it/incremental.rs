//! Checkpoints that store only what has changed.

use crate::counting::{Counting, counts_after};
use crate::valve::newest_manifest;
use snapline::coordinator::Manifest;
use snapline::prelude::*;
use snapline::state::HandleKind;
use std::time::Duration;

const KEYS: u64 = 40_000;

fn start(storage: &MemoryCheckpointStorage, parallelism: u32, retained: usize) -> Counting {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(parallelism)
        .checkpoint_storage(storage.clone())
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_millis(5));
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.retained = retained;
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
