//! What a task hands out at a barrier.

use futures::future::BoxFuture;
use snapline_core::{CheckpointBarrier, OperatorUid, Result};
use snapline_state::{Committable, HandleKind, OperatorState, Snapshot, SnapshotTarget, SubtaskState};

/// The frozen state of all operators of one task.
#[derive(Debug)]
pub struct TaskSnapshot {
    /// The checkpoint that it is for.
    pub barrier: CheckpointBarrier,
    /// The operators that have state, in chain order.
    pub operators: Vec<OperatorSnapshot>,
}

impl TaskSnapshot {
    /// Nothing frozen yet.
    pub fn new(barrier: CheckpointBarrier) -> Self {
        Self {
            barrier,
            operators: Vec::new(),
        }
    }
}

/// The frozen state of one operator in one subtask.
#[derive(Default)]
pub struct OperatorSnapshot {
    operator: Option<OperatorUid>,
    keyed: Option<Box<dyn Snapshot>>,
    pub(crate) state: OperatorState,
    committables: Option<BoxFuture<'static, Result<Vec<Committable>>>>,
    has_unfinished_work: bool,
}

impl OperatorSnapshot {
    /// The snapshot of an operator that has nothing yet.
    pub fn of(operator: &OperatorUid) -> Self {
        Self {
            operator: Some(operator.clone()),
            ..Self::default()
        }
    }

    /// Adds frozen keyed state.
    #[must_use]
    pub fn with_keyed(mut self, keyed: Box<dyn Snapshot>) -> Self {
        self.keyed = Some(keyed);
        self
    }

    /// Adds operator state.
    #[must_use]
    pub fn with_state(mut self, state: OperatorState) -> Self {
        self.state = state;
        self
    }

    /// Adds a pre-commit that is under way.
    #[must_use]
    pub fn with_committables(mut self, committables: BoxFuture<'static, Result<Vec<Committable>>>) -> Self {
        self.committables = Some(committables);
        self
    }

    /// The operator will emit records of its own accord, for what it was given before the barrier.
    #[must_use]
    pub fn with_unfinished_work(mut self) -> Self {
        self.has_unfinished_work = true;
        self
    }

    /// The operator that it is of.
    pub fn operator(&self) -> Option<&OperatorUid> {
        self.operator.as_ref()
    }

    /// Makes everything durable and says where it is.
    ///
    /// # Errors
    /// The first failure of state, storage or sink; the checkpoint fails.
    pub async fn persist(self, target: &SnapshotTarget) -> Result<SubtaskState> {
        let keyed = match self.keyed {
            Some(snapshot) => snapshot.persist(target).await?,
            None => Vec::new(),
        };
        let has_unions = self.state.has_unions();
        let operator = match self.state.is_empty() {
            true => None,
            false => Some(
                target
                    .write_bytes("operator", self.state.encode()?, HandleKind::OperatorState)
                    .await?,
            ),
        };
        let committables = match self.committables {
            Some(pending) => pending.await?,
            None => Vec::new(),
        };
        Ok(SubtaskState {
            keyed,
            operator,
            committables,
            has_unions,
            has_unfinished_work: self.has_unfinished_work,
            ..SubtaskState::default()
        })
    }
}

impl std::fmt::Debug for OperatorSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorSnapshot")
            .field("operator", &self.operator)
            .field("keyed", &self.keyed.is_some())
            .field("state", &self.state)
            .field("committables", &self.committables.is_some())
            .field("has_unfinished_work", &self.has_unfinished_work)
            .finish()
    }
}
