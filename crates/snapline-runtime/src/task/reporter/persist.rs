//! Storing the snapshot of a task.

use bytes::Bytes;
use futures::StreamExt;
use snapline_coordinator::CheckpointStore;
use snapline_core::{AttemptId, CheckpointId, OperatorUid, Result, SubtaskId, SubtaskIndex};
use snapline_dataflow::{OperatorSnapshot, TaskSnapshot};
use snapline_state::{ChannelState, HandleKind, SubtaskState};

/// The state of each operator of a task.
pub(super) type Stored = Vec<(OperatorUid, SubtaskIndex, SubtaskState)>;

/// Stores the state of all operators of a task.
pub(super) async fn persist_all(
    store: &CheckpointStore,
    attempt: AttemptId,
    subtask: SubtaskIndex,
    snapshot: TaskSnapshot,
) -> Result<Stored> {
    let checkpoint = snapshot.barrier.checkpoint;
    let parts = snapshot
        .operators
        .into_iter()
        .map(|part| persist(store, attempt, checkpoint, subtask, part));
    let stored = futures::future::try_join_all(parts).await?;
    Ok(stored.into_iter().flatten().collect())
}

async fn persist(
    store: &CheckpointStore,
    attempt: AttemptId,
    checkpoint: CheckpointId,
    subtask: SubtaskIndex,
    part: OperatorSnapshot,
) -> Result<Option<(OperatorUid, SubtaskIndex, SubtaskState)>> {
    let Some(operator) = part.operator().cloned() else {
        return Ok(None);
    };
    let target = store.snapshot_target(attempt, checkpoint, &operator, subtask)?;
    let state = part.persist(&target).await?;
    Ok((!state.is_empty()).then_some((operator, subtask, state)))
}

/// Stores what was in flight towards a task with the state of its first operator. Returns its size.
pub(super) async fn persist_channels(
    store: &CheckpointStore,
    attempt: AttemptId,
    checkpoint: CheckpointId,
    task: &SubtaskId,
    channels: &ChannelState,
    stored: &mut Stored,
) -> Result<u64> {
    if channels.is_empty() {
        return Ok(0);
    }
    let target = store.snapshot_target(attempt, checkpoint, &task.operator, task.index)?;
    let pieces: Vec<Result<Bytes>> = channels.encode()?.into_iter().map(Ok).collect();
    let content = futures::stream::iter(pieces).boxed();
    let handle = target
        .write("channels", content, HandleKind::ChannelState, None)
        .await?;
    let len = handle.len;
    let head = stored
        .iter_mut()
        .find(|(operator, ..)| *operator == task.operator);
    match head {
        Some((.., state)) => state.channels = Some(handle),
        None => {
            let state = SubtaskState {
                channels: Some(handle),
                ..SubtaskState::default()
            };
            stored.push((task.operator.clone(), task.index, state));
        }
    }
    Ok(len)
}
