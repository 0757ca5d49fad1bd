//! Where live state lives.

use crate::bytes_table::ByteTable;
use crate::handle::StateHandle;
use crate::snapshot::Snapshot;
use crate::spec::{LiveTable, TableId, TableSpec};
use crate::storage::CheckpointStorage;
use async_trait::async_trait;
use snapline_core::{CheckpointId, KeyGroupRange, MaxParallelism, OperatorUid, Result, SubtaskIndex};
use std::sync::Arc;
use std::task::{Context, Poll};

/// A kind of live keyed state, from which each subtask opens its own.
#[async_trait]
pub trait StateBackend: Send + Sync + std::fmt::Debug + 'static {
    /// Opens the state of one subtask, restored from the handles in the context.
    ///
    /// # Errors
    /// `Corrupted` when a handle cannot be read, `Invalid` when restored state does not match the
    /// tables that the operator wants, naming operator, state and both types.
    async fn open(&self, context: StateContext) -> Result<Box<dyn KeyedStateBackend>>;
}

/// What a [`StateBackend`] needs to open the state of one subtask.
#[derive(Debug, Clone)]
pub struct StateContext {
    /// The operator whose state it is.
    pub operator: OperatorUid,
    /// Which of its subtasks.
    pub subtask: SubtaskIndex,
    /// How many key groups the job has.
    pub max_parallelism: MaxParallelism,
    /// The key groups that the subtask owns.
    pub key_groups: KeyGroupRange,
    /// The tables that the operator wants; [`TableId`] is the position in this list.
    pub tables: Vec<TableSpec>,
    /// The state to begin with. A handle may have entries of key groups that the subtask does not
    /// own; they are passed over.
    pub restore: Vec<StateHandle>,
    /// The checkpoint that the handles are of, when later snapshots may refer to them.
    pub base: Option<CheckpointId>,
    /// Where the handles are.
    pub storage: Arc<dyn CheckpointStorage>,
}

/// The live keyed state of one subtask.
///
/// # Contract
/// * A snapshot holds the state of the moment of its freeze, whatever is written later, also when
///   another snapshot is taken before it is persisted.
/// * `freeze` takes the same short time whatever the size of the state.
/// * State that was restored but belongs to none of the wanted tables is part of later snapshots.
/// * Entries of key groups outside the subtask's range are not restored.
/// * A snapshot refers to nothing but its own files and those of the snapshot that it is told to build on.
pub trait KeyedStateBackend: Send {
    /// A table, by its position in [`StateContext::tables`].
    ///
    /// # Errors
    /// `Internal` when there is no such table.
    fn table(&mut self, table: TableId) -> Result<TableRef<'_>>;

    /// The synchronous part of a snapshot.
    ///
    /// `base` is a complete checkpoint to whose files the snapshot may refer, so that it need only store what
    /// has changed since: one that this backend has taken or was restored from. Without it, and when the
    /// backend does not know it, the snapshot has to be full.
    ///
    /// # Errors
    /// Whatever keeps the backend from taking a snapshot; the state is unharmed.
    fn freeze(&mut self, checkpoint: CheckpointId, base: Option<CheckpointId>) -> Result<Box<dyn Snapshot>>;

    /// Does a little of the work that a freeze left behind, some tens of microseconds of it. `Ready`
    /// means that nothing is left; `Pending` that the task is to call again, and that it is woken
    /// when there is a reason to. Called between batches.
    ///
    /// # Errors
    /// The running snapshot has failed; the state is unharmed.
    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }
}

/// A table of a backend, of one of two levels.
#[allow(
    missing_debug_implementations,
    clippy::exhaustive_enums,
    reason = "there are two levels of backends"
)]
pub enum TableRef<'a> {
    /// Live values in memory: a [`crate::StateTable`].
    Live(&'a mut dyn LiveTable),
    /// Encoded keys and values.
    Bytes(&'a mut dyn ByteTable),
}
