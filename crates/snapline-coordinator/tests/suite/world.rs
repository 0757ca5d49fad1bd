//! A job with one operator of one subtask, whose checkpoints are made by hand.

use crate::storage::{Objects, TestStorage};
use bytes::Bytes;
use futures::StreamExt;
use snapline_coordinator::{
    AttemptInfo, CheckpointStore, Manifest, ManifestSizes, OperatorManifest, PublishOutcome, Restored,
    Savepoint, SavepointTarget, Verification,
};
use snapline_core::{
    AttemptId, BarrierAlignment, CheckpointId, CheckpointKind, ClaimMode, JobId, MaxParallelism, OperatorUid,
    Result, SubtaskIndex, Timestamp,
};
use snapline_state::{Committable, HandleKind, StateHandle, StateLocation, StorageKey, SubtaskState};
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
        took_ms: None,
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

/// A store that leads, and its attempt.
pub(crate) async fn lead(objects: &Objects) -> (CheckpointStore, AttemptId, Restored) {
    let store = open(objects);
    let attempt = store.claim_attempt(&info(1)).await.unwrap();
    let restored = store.take_over(attempt, Verification::Checksums).await.unwrap();
    (store, attempt, restored)
}

pub(crate) async fn publish(store: &CheckpointStore, attempt: AttemptId, ids: &[u64]) {
    for id in ids {
        let outcome = checkpoint(store, attempt, *id).await.unwrap();
        assert_eq!(outcome, PublishOutcome::Published, "{id}");
    }
}

pub(crate) fn operator() -> OperatorUid {
    OperatorUid::new("op").unwrap()
}

/// A place for a savepoint beside the job's own folder.
pub(crate) fn target(store: &CheckpointStore, path: &str) -> SavepointTarget {
    SavepointTarget {
        storage: store.storage().clone(),
        path: StorageKey::new(path).unwrap(),
    }
}

/// The state of a savepoint, stored, and its manifest, which is not. It has one file, too long for the
/// manifest itself, and one committable.
pub(crate) async fn begin_savepoint(
    store: &CheckpointStore,
    attempt: AttemptId,
    id: u64,
    kind: CheckpointKind,
    path: &str,
) -> Result<Manifest> {
    let target = target(store, path);
    store.prepare_savepoint(&target).await?;
    store.register_savepoint(attempt, CheckpointId(id), target);
    let target = store.snapshot_target(attempt, CheckpointId(id), &operator(), subtask())?;
    let content = Bytes::from(vec![id as u8; snapline_state::SnapshotTarget::INLINE_LIMIT + 9]);
    let file = target.write_bytes("keyed", content, HandleKind::Full).await?;
    let mut manifest = manifest(attempt, id, vec![file]);
    manifest.job = store.job().clone();
    manifest.kind = kind;
    let sink = &mut manifest.operators.get_mut(&operator()).unwrap().subtasks[0];
    sink.committables = vec![Committable(format!("part of {id}").into_bytes().into())];
    Ok(manifest)
}

/// A whole savepoint.
pub(crate) async fn savepoint(
    store: &CheckpointStore,
    attempt: AttemptId,
    id: u64,
    path: &str,
) -> Result<Manifest> {
    let manifest = begin_savepoint(store, attempt, id, CheckpointKind::Savepoint, path).await?;
    store.publish_savepoint(&manifest).await?;
    Ok(manifest)
}

/// A savepoint of another job, whose ids begin here.
pub(crate) async fn foreign_savepoint(objects: &Objects, id: u64, path: &str) -> SavepointTarget {
    let other = CheckpointStore::new(TestStorage::new(objects), JobId::new("other").unwrap());
    savepoint(&other, AttemptId(1), id, path).await.unwrap();
    target(&other, path)
}

/// Starts from a savepoint that stays the user's.
pub(crate) async fn start_from(
    store: &CheckpointStore,
    attempt: AttemptId,
    savepoint: &Savepoint,
) -> Result<Restored> {
    let claim = ClaimMode::NoClaim;
    store
        .take_over_from(attempt, savepoint, claim, Verification::Checksums)
        .await
}

pub(crate) fn savepoint_state(path: &str, attempt: u64, id: u64) -> String {
    format!("{path}/state/{JOB}/a{attempt}-e{id}/op/0-keyed")
}

pub(crate) fn manifest_key(attempt: u64, id: u64) -> String {
    format!("{JOB}/checkpoint/a{attempt}-e{id}/manifest.json")
}

pub(crate) fn state_key(attempt: u64, id: u64) -> String {
    format!("{JOB}/checkpoint/a{attempt}-e{id}/state/op/0-keyed")
}

/// The names below a folder of the job.
pub(crate) fn names(objects: &Objects, folder: &str) -> BTreeSet<String> {
    names_in(objects, &format!("{JOB}/{folder}"))
}

/// The names below a folder.
pub(crate) fn names_in(objects: &Objects, folder: &str) -> BTreeSet<String> {
    let prefix = format!("{folder}/");
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
