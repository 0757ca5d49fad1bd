//! The state of a harness at one moment.

use futures::executor::block_on;
use snapline_core::{Error, MaxParallelism, OperatorUid, Result, SubtaskIndex};
use snapline_dataflow::{RestoredState, TaskSnapshot};
use snapline_state::{
    CheckpointStorage, OperatorState, SnapshotTarget, StateHandle, StorageKey, SubtaskState,
};
use snapline_state_memory::MemoryCheckpointStorage;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The state of all operators of a harness at one moment.
#[derive(Debug, Clone)]
pub struct HarnessSnapshot {
    pub(super) storage: Arc<MemoryCheckpointStorage>,
    /// Of each operator, the states of its subtasks.
    operators: BTreeMap<OperatorUid, Vec<SubtaskState>>,
}

impl HarnessSnapshot {
    pub(super) fn new(storage: Arc<MemoryCheckpointStorage>) -> Self {
        Self {
            storage,
            operators: BTreeMap::new(),
        }
    }

    /// How many bytes of state it has, stored as a checkpoint would: what operators keep for ever makes it grow.
    pub fn bytes(&self) -> u64 {
        self.operators.values().flatten().map(SubtaskState::len).sum()
    }

    /// Stores what a task has frozen, while `advance` lets the task go on.
    pub(super) fn store(
        &mut self,
        frozen: TaskSnapshot,
        (vertex, subtask): (usize, u32),
        mut advance: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let checkpoint = frozen.barrier.checkpoint;
        for (index, operator) in frozen.operators.into_iter().enumerate() {
            let Some(uid) = operator.operator().cloned() else {
                continue;
            };
            let prefix = StorageKey::new(format!("harness/{checkpoint}/{vertex}-{subtask}-{index}"))?;
            let target = SnapshotTarget::new(self.storage.clone(), prefix);
            let mut persist = pin!(operator.persist(&target));
            let cx = &mut Context::from_waker(Waker::noop());
            let state = loop {
                if let Poll::Ready(state) = persist.as_mut().poll(cx) {
                    break state?;
                }
                advance()?;
            };
            self.operators.entry(uid).or_default().push(state);
        }
        Ok(())
    }

    /// What a subtask of an operator begins with, at a parallelism of now.
    pub(super) fn state_of(
        &self,
        operator: &OperatorUid,
        subtask: SubtaskIndex,
        parallelism: u32,
        max_parallelism: MaxParallelism,
    ) -> Result<RestoredState> {
        let Some(states) = self.operators.get(operator) else {
            return Ok(RestoredState::default());
        };
        let range = max_parallelism.range_of(subtask, parallelism);
        let concerns = |handle: &&StateHandle| {
            let groups = handle.key_groups;
            groups.is_none_or(|groups| !groups.intersection(range).is_empty())
        };
        let keyed = states.iter().flat_map(|state| &state.keyed).filter(concerns);
        let lists = states
            .iter()
            .map(|state| self.lists(state))
            .collect::<Result<Vec<_>>>()?;
        let operator_of_all = lists.as_slice().into();
        let mut dealt = OperatorState::redistribute(lists, parallelism as usize);
        if subtask.as_usize() >= dealt.len() {
            return Err(Error::internal("a subtask has no operator state"));
        }
        Ok(RestoredState {
            keyed: keyed.cloned().collect(),
            keyed_of_all: states.iter().flat_map(|state| &state.keyed).cloned().collect(),
            base: None,
            operator: dealt.swap_remove(subtask.as_usize()),
            operator_of_all,
        })
    }

    fn lists(&self, state: &SubtaskState) -> Result<OperatorState> {
        match &state.operator {
            Some(handle) => {
                OperatorState::decode(&block_on(handle.read(&*self.storage as &dyn CheckpointStorage))?)
            }
            None => Ok(OperatorState::new()),
        }
    }
}
