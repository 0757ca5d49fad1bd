//! A job with one operator of one subtask, whose checkpoints are made by hand.

use crate::storage::{Objects, TestStorage};
use bytes::Bytes;
use futures::StreamExt;
use snapline_coordinator::{
    AttemptInfo, CheckpointStore, Manifest, ManifestSizes, OperatorManifest, PublishOutcome,
};
use snapline_core::{
    AttemptId, BarrierAlignment, CheckpointId, CheckpointKind, JobId, MaxParallelism, OperatorUid, Result,
    SubtaskIndex, Timestamp,
};
use snapline_state::{HandleKind, StateHandle, StateLocation, StorageKey, SubtaskState};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) const JOB: &str = "job";

pub(crate) fn job() -> JobId {
    JobId::new(JOB).unwrap()
}

pub(crate) fn store(storage: Arc<TestStorage>) -> CheckpointStore {
    CheckpointStore::new(storage, job())
}

/// A store on these objects whose storage does not fail.
pub(crate) fn open(objects: &Objects) -> CheckpointStore {
    store(TestStorage::new(objects))
}

pub(crate) fn info(nonce: u64) -> AttemptInfo {
    AttemptInfo {
        host: "here".to_owned(),
        nonce,
        started: Timestamp(0),
        parallelism: 1,
    }
}

/// A file of a checkpoint.
pub(crate) async fn write(
    store: &CheckpointStore,
    attempt: AttemptId,
    id: u64,
    name: &str,
    len: usize,
) -> Result<StateHandle> {
    let key = StorageKey::new(format!("{JOB}/checkpoint/a{attempt}-e{id}/state/op/0-{name}"))?;
    let content = format!("{attempt}/{id}/{name}").into_bytes();
    let content: Bytes = content.into_iter().cycle().take(len).collect();
    let stored = store
        .storage()
        .put(&key, futures::stream::iter([Ok(content)]).boxed())
        .await?;
    Ok(StateHandle {
        location: StateLocation::File { key, offset: 0 },
        len: stored.len,
        checksum: stored.checksum,
        key_groups: None,
        kind: HandleKind::Full,
    })
}

/// The manifest of a checkpoint with this state.
pub(crate) fn manifest(attempt: AttemptId, id: u64, keyed: Vec<StateHandle>) -> Manifest {
    let state = SubtaskState {
        keyed,
        ..SubtaskState::default()
    };
    let operator = OperatorManifest {
        name: "Operator".to_owned(),
        parallelism: 1,
        subtasks: vec![state],
    };
    Manifest {
        job: job(),
        attempt,
        checkpoint: CheckpointId(id),
        parent: None,
        kind: CheckpointKind::Checkpoint,
        alignment: BarrierAlignment::Aligned,
        finished: false,
        created: Timestamp(0),
        max_parallelism: MaxParallelism::DEFAULT,
        sizes: ManifestSizes::default(),
        operators: BTreeMap::from([(OperatorUid::new("op").unwrap(), operator)]),
        uncommitted: Vec::new(),
        cuts: Vec::new(),
    }
}

/// A whole checkpoint with one file.
pub(crate) async fn checkpoint(
    store: &CheckpointStore,
    attempt: AttemptId,
    id: u64,
) -> Result<PublishOutcome> {
    let file = write(store, attempt, id, "keyed", 20).await?;
    store.publish(&manifest(attempt, id, vec![file])).await
}

pub(crate) fn manifest_key(attempt: u64, id: u64) -> String {
    format!("{JOB}/checkpoint/a{attempt}-e{id}/manifest.json")
}

pub(crate) fn state_key(attempt: u64, id: u64) -> String {
    format!("{JOB}/checkpoint/a{attempt}-e{id}/state/op/0-keyed")
}

/// The names below the job's folder.
pub(crate) fn names(objects: &Objects, folder: &str) -> BTreeSet<String> {
    let prefix = format!("{JOB}/{folder}/");
    let objects = objects.lock().unwrap();
    objects
        .keys()
        .filter_map(|key| key.as_str().strip_prefix(&prefix))
        .map(str::to_owned)
        .collect()
}

pub(crate) fn numbers(objects: &Objects, folder: &str) -> Vec<u64> {
    let number = |name: &String| name.trim_end_matches(".json").parse().unwrap();
    names(objects, folder).iter().map(number).collect()
}

/// Alters an object; `None` removes it.
pub(crate) fn tamper(objects: &Objects, key: &str, change: impl FnOnce(Bytes) -> Option<Bytes>) {
    let key = StorageKey::new(key).unwrap();
    let mut objects = objects.lock().unwrap();
    let old = objects
        .remove(&key)
        .unwrap_or_else(|| panic!("{key} does not exist"));
    if let Some(new) = change(old) {
        objects.insert(key, new);
    }
}

/// One flipped bit in the middle.
pub(crate) fn flip(bytes: Bytes) -> Option<Bytes> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    Some(bytes.into())
}

pub(crate) fn subtask() -> SubtaskIndex {
    SubtaskIndex(0)
}
