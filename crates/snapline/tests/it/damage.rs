//! State files that are gone or altered when a job comes back.

use crate::counting::{Counting, counts_after};
use crate::valve::newest_manifest;
use futures::StreamExt;
use futures::executor::block_on;
use snapline::core::ErrorKind;
use snapline::dataflow::CheckpointScope;
use snapline::prelude::*;
use snapline::state::{CheckpointStorage, StorageKey};
use std::time::Duration;

const KEYS: u64 = 150_000;
/// So many of them change between two checkpoints.
const CHANGED: u64 = 8_000;

fn environment(storage: &MemoryCheckpointStorage) -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::builder()
        .parallelism(1)
        .checkpoint_storage(storage.clone())
        .build()
        .unwrap();
    env.enable_checkpointing(Duration::from_secs(600));
    env.configure(|settings| {
        if let Some(checkpoints) = &mut settings.checkpoints {
            checkpoints.retained = 10;
        }
    });
    env
}

fn start(storage: &MemoryCheckpointStorage) -> Counting {
    Counting::start(&environment(storage), "counting", KEYS)
}

/// A full checkpoint and two of changes, which need it.
fn three_checkpoints() -> MemoryCheckpointStorage {
    let storage = MemoryCheckpointStorage::new();
    let job = start(&storage);
    for count in [KEYS, CHANGED, CHANGED] {
        job.feed(0..count);
        block_on(job.job().checkpoint(CheckpointScope::Usual)).unwrap();
    }
    job.stop();
    assert_eq!(newest_manifest(&storage).files().count(), 3);
    assert_eq!(state_files(&storage).len(), 3);
    storage
}

/// Of each checkpoint one, oldest first.
fn state_files(storage: &MemoryCheckpointStorage) -> Vec<StorageKey> {
    let mut keys = block_on(storage.list("counting/checkpoint/", None)).unwrap();
    keys.retain(|key| key.as_str().contains("/state/"));
    keys
}

fn remove(storage: &MemoryCheckpointStorage, file: &StorageKey) {
    block_on(storage.delete(std::slice::from_ref(file))).unwrap();
}

/// Turns a bit in the middle over.
fn alter(storage: &MemoryCheckpointStorage, file: &StorageKey) {
    let mut bytes = block_on(storage.get(file, None)).unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let content = futures::stream::iter([Ok(bytes.into())]).boxed();
    block_on(storage.put(file, content)).unwrap();
}

/// Takes the last half of it away.
fn cut_short(storage: &MemoryCheckpointStorage, file: &StorageKey) {
    let bytes = block_on(storage.get(file, None)).unwrap().unwrap();
    let content = futures::stream::iter([Ok(bytes.slice(..bytes.len() / 2))]).boxed();
    block_on(storage.put(file, content)).unwrap();
}

type Damage = fn(&MemoryCheckpointStorage, &StorageKey);

const DAMAGES: [(Damage, &str); 3] = [
    (remove, "a state file is missing"),
    (alter, "the checksum of a state file does not match"),
    (cut_short, "a state file is too short"),
];

#[test]
fn a_job_falls_back_to_the_checkpoint_before_the_damage_and_tells_why() {
    for (damage, reason) in DAMAGES {
        // The newest changes, or those on which they build.
        for (damaged, left) in [(2, &[KEYS, CHANGED][..]), (1, &[KEYS][..])] {
            let storage = three_checkpoints();
            let file = state_files(&storage)[damaged].clone();
            damage(&storage, &file);
            let job = start(&storage);
            job.feed(0..100);
            block_on(job.job().checkpoint(CheckpointScope::Usual)).unwrap();
            let status = job.job().status();
            assert_eq!((status.state, status.restarts), (JobState::Running, 0));
            let told = status.incidents.join("; ");
            for part in ["an older one is used", reason, file.as_str()] {
                assert!(told.contains(part), "{told}");
            }
            job.stop();
            // What it has done since then is not damaged.
            let sent = [left, &[100]].concat();
            assert_eq!(start(&storage).finish(), counts_after(&sent, KEYS), "{reason}");
        }
    }
}

#[test]
fn a_job_does_not_begin_again_when_the_state_on_which_all_checkpoints_build_is_damaged() {
    for (damage, reason) in DAMAGES {
        let storage = three_checkpoints();
        damage(&storage, &state_files(&storage)[0]);
        let job = start(&storage);
        let error = block_on(job.job().wait()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let told = error.to_string();
        for part in [
            "no checkpoint of this job can be restored",
            "repair the storage, or start fresh",
            reason,
        ] {
            assert!(told.contains(part), "{told}");
        }
    }
}
