//! What an operator is told when its subtask starts.

use crate::time::alignment::WatermarkGroups;
use futures::future::BoxFuture;
use snapline_core::{
    AttemptId, CheckpointId, Clock, JobId, KeyGroupRange, MaxParallelism, OperatorUid, Result, SubtaskIndex,
};
use snapline_state::{
    CheckpointStorage, KeyedStateBackend, OperatorState, StateBackend, StateContext, StateHandle, TableSpec,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Everything one subtask of one operator may want to know.
#[derive(Debug, Clone)]
pub struct OperatorContext {
    /// The job.
    pub job: JobId,
    /// The operator.
    pub operator: OperatorUid,
    /// Which of its subtasks.
    pub subtask: SubtaskIndex,
    /// How many subtasks it has.
    pub parallelism: u32,
    /// How many key groups the job has.
    pub max_parallelism: MaxParallelism,
    /// The incarnation of the job.
    pub attempt: AttemptId,
    /// How many records a batch has at the most.
    pub batch_records: usize,
    /// The state to begin with.
    pub restored: RestoredState,
    /// Where keyed state lives.
    pub backend: Arc<dyn StateBackend>,
    /// Where restored state is.
    pub storage: Arc<dyn CheckpointStorage>,
    /// Where the processing time comes from.
    pub clock: Arc<dyn Clock>,
    /// What lets it wait.
    pub sleeper: Arc<dyn Sleeper>,
    /// How far the sources of the job have come, where they wait for one another.
    pub watermarks: Arc<WatermarkGroups>,
    /// Where the subtask counts what it does.
    pub counters: Arc<TaskCounters>,
}

/// The part of a checkpoint that belongs to one subtask of one operator.
#[derive(Debug, Clone, Default)]
pub struct RestoredState {
    /// Keyed state; some entries may belong to other subtasks.
    pub keyed: Vec<StateHandle>,
    /// The keyed state of all subtasks, for an operator whose keys become others and so move.
    pub keyed_of_all: Arc<[StateHandle]>,
    /// The checkpoint that it is of, when later ones may refer to its files.
    pub base: Option<CheckpointId>,
    /// Operator state, dealt out for the parallelism of now.
    pub operator: OperatorState,
    /// The operator state of all subtasks as each had stored it, for what concerns key groups.
    pub operator_of_all: Arc<[OperatorState]>,
}

impl OperatorContext {
    /// The key groups that the subtask owns.
    pub fn key_groups(&self) -> KeyGroupRange {
        self.max_parallelism.range_of(self.subtask, self.parallelism)
    }

    /// Opens the keyed state of the subtask with these tables.
    ///
    /// # Errors
    /// As [`StateBackend::open`].
    pub async fn open_state(&self, tables: Vec<TableSpec>) -> Result<Box<dyn KeyedStateBackend>> {
        let restore = if tables.iter().any(TableSpec::migrates_keys) {
            self.restored.keyed_of_all.to_vec()
        } else {
            self.restored.keyed.clone()
        };
        let context = StateContext {
            operator: self.operator.clone(),
            subtask: self.subtask,
            max_parallelism: self.max_parallelism,
            key_groups: self.key_groups(),
            tables,
            restore,
            base: self.restored.base,
            storage: self.storage.clone(),
        };
        self.backend.open(context).await
    }
}

/// Lets time pass for an operator that has to wait, by the clock of the job.
pub trait Sleeper: Send + Sync + std::fmt::Debug {
    /// A future that is ready after this time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// What a task counts while it runs.
#[derive(Debug, Default)]
pub struct TaskCounters {
    /// Records that the task has read from its source.
    pub records: AtomicU64,
    /// How far the task's source is, in the source's unit.
    pub done: AtomicU64,
    /// How much the task's source has; 0 when that is not known.
    pub total: AtomicU64,
    /// Records that were too late for all of their windows and went nowhere.
    pub late_records: AtomicU64,
    /// The longest time that a freeze has kept the task from its records, in nanoseconds.
    pub longest_freeze_nanos: AtomicU64,
}

impl TaskCounters {
    /// Notes how long a freeze took.
    pub fn froze(&self, nanos: u64) {
        self.longest_freeze_nanos.fetch_max(nanos, Ordering::Relaxed);
    }
}
