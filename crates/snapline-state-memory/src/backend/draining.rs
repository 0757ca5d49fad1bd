//! A snapshot on its way: the task's half and the half that is persisted.

use super::Table;
use super::unclaimed::UnclaimedTable;
use async_trait::async_trait;
use futures::StreamExt;
use snapline_core::{Error, KeyGroupRange, Result};
use snapline_state::{
    BlockReceiver, BlockWriter, HandleKind, Snapshot, SnapshotTarget, StateHandle, TableId, TableMeta,
};
use std::task::{Context, Poll};

/// The tables of a snapshot, encoded one after the other.
#[derive(Debug)]
pub(super) struct Draining {
    writer: BlockWriter,
    /// The table whose turn it is, counted over live and then unclaimed tables.
    table: usize,
    /// How many steps its turn has lasted.
    steps: usize,
}

impl Draining {
    pub(super) fn new(writer: BlockWriter) -> Self {
        Self {
            writer,
            table: 0,
            steps: 0,
        }
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.writer.sender().is_abandoned()
    }

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.writer.sender().poll_room(cx)
    }

    /// Encodes for some tens of microseconds; `true` when nothing is left.
    pub(super) fn step(&mut self, tables: &mut [Table], unclaimed: &[UnclaimedTable]) -> Result<bool> {
        let id = TableId(self.table as u16);
        let live = tables.len();
        let done = if let Some(table) = tables.get_mut(self.table) {
            self.begin(id, &table.meta)?;
            let drained = table.live.drain(id, &mut self.writer);
            drained.map_err(|error| error.with("state", &table.meta.name))?
        } else if let Some(table) = unclaimed.get(self.table - live) {
            self.begin(id, &table.meta)?;
            table.write(self.steps, id, &mut self.writer)
        } else {
            return Ok(true);
        };
        if done {
            (self.table, self.steps) = (self.table + 1, 0);
        } else {
            self.steps += 1;
        }
        Ok(self.table == live + unclaimed.len())
    }

    fn begin(&mut self, table: TableId, meta: &TableMeta) -> Result<()> {
        if self.steps == 0 {
            self.writer.begin_table(table, meta)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) {
        self.writer.finish();
    }

    pub(super) fn fail(self, error: Error) {
        self.writer.fail(error);
    }
}

/// The half of a snapshot that is persisted: the encoded blocks as they come.
#[derive(Debug)]
pub(super) struct MemorySnapshot(Option<(BlockReceiver, KeyGroupRange)>);

impl MemorySnapshot {
    pub(super) fn new(blocks: BlockReceiver, key_groups: KeyGroupRange) -> Self {
        Self(Some((blocks, key_groups)))
    }

    /// A snapshot of nothing.
    pub(super) fn empty() -> Self {
        Self(None)
    }
}

#[async_trait]
impl Snapshot for MemorySnapshot {
    async fn persist(self: Box<Self>, target: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        let Some((blocks, key_groups)) = self.0 else {
            return Ok(Vec::new());
        };
        let written = target.write("keyed", blocks.boxed(), HandleKind::Full, Some(key_groups));
        written.await.map(|handle| vec![handle])
    }
}
