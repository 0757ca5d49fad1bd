//! What an operator needs that is tested on its own.

use crate::context::{OperatorContext, RestoredState, Sleeper};
use crate::testing::Nothing;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_core::{
    AttemptId, CheckpointId, Clock, JobId, MaxParallelism, OperatorUid, Result, SubtaskIndex,
};
use snapline_state::{
    KeyedStateBackend, LiveTable, Snapshot, SnapshotTarget, StateBackend, StateContext, StateHandle, TableId,
    TableRef, TableSpec,
};
use std::sync::Arc;
use std::time::Duration;

/// What the only subtask of an operator is told; its state is in memory and can be frozen, but not stored.
pub(crate) fn operator_context(clock: Arc<dyn Clock>) -> OperatorContext {
    OperatorContext {
        job: JobId::new("job").unwrap(),
        operator: OperatorUid::new("operator").unwrap(),
        subtask: SubtaskIndex(0),
        parallelism: 1,
        max_parallelism: MaxParallelism::DEFAULT,
        attempt: AttemptId(1),
        batch_records: 100,
        restored: RestoredState::default(),
        backend: Arc::new(LiveTables),
        storage: Arc::new(Nothing),
        clock,
        sleeper: Arc::new(Nothing),
        watermarks: Arc::default(),
        counters: Arc::default(),
    }
}

/// Whoever waits, waits for ever.
impl Sleeper for Nothing {
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }
}

#[derive(Debug)]
struct LiveTables;

#[async_trait]
impl StateBackend for LiveTables {
    async fn open(&self, context: StateContext) -> Result<Box<dyn KeyedStateBackend>> {
        let live = |spec: &TableSpec| spec.live(context.max_parallelism);
        Ok(Box::new(OpenTables(context.tables.iter().map(live).collect())))
    }
}

struct OpenTables(Vec<Box<dyn LiveTable>>);

impl KeyedStateBackend for OpenTables {
    fn table(&mut self, table: TableId) -> Result<TableRef<'_>> {
        Ok(TableRef::Live(&mut *self.0[usize::from(table.0)]))
    }

    fn freeze(&mut self, _: CheckpointId, _: Option<CheckpointId>) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(Nothing))
    }
}

#[async_trait]
impl Snapshot for Nothing {
    async fn persist(self: Box<Self>, _: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        Ok(Vec::new())
    }
}
