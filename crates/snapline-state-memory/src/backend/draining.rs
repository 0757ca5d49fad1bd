//! A snapshot on its way: the task's half and the half that is persisted.

use super::Table;
use super::unclaimed::UnclaimedTable;
use async_trait::async_trait;
use snapline_core::{CheckpointId, Error, KeyGroupRange, Result};
use snapline_state::{
    BlockReceiver, BlockWriter, HandleKind, Snapshot, SnapshotChain, SnapshotChains, SnapshotTarget,
    StateHandle, StateLocation, TableId, TableMeta,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    /// What has changed since the snapshot that it builds on.
    Changes,
}

/// The tables of a snapshot, encoded one after the other.
#[derive(Debug)]
pub(super) struct Draining {
    writer: BlockWriter,
    scope: Scope,
    written: Arc<AtomicBool>,
    /// The table whose turn it is, counted over live and then unclaimed tables.
    table: usize,
    /// How many steps its turn has lasted.
    steps: usize,
}

impl Draining {
    pub(super) fn new(writer: BlockWriter, scope: Scope) -> Self {
        Self {
            writer,
            scope,
            written: Arc::default(),
            table: 0,
            steps: 0,
        }
    }

    /// Whether there was anything to write, once everything is.
    pub(super) fn written(&self) -> Arc<AtomicBool> {
        self.written.clone()
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.writer.sender().is_abandoned()
    }

    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.writer.sender().poll_room(cx)
    }

    /// Encodes for some tens of microseconds; `true` when nothing is left.
    pub(super) fn step(&mut self, tables: &mut [Table], unclaimed: &[UnclaimedTable]) -> Result<bool> {
        // Nobody changes an unclaimed table.
        let unclaimed = match self.scope {
            Scope::All => unclaimed,
            Scope::Changes => &[],
        };
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
        self.written.store(self.writer.has_entries(), Ordering::Relaxed);
        self.writer.finish();
    }

    pub(super) fn fail(self, error: Error) {
        self.writer.fail(error);
    }
}

/// The half of a snapshot that is persisted: the encoded blocks as they come.
#[derive(Debug)]
pub(super) struct MemorySnapshot {
    checkpoint: CheckpointId,
    freeze: u64,
    /// Learns what is stored, so that a later snapshot can build on it.
    chains: SnapshotChains,
    blocks: Option<Blocks>,
}

#[derive(Debug)]
struct Blocks {
    receiver: BlockReceiver,
    key_groups: KeyGroupRange,
    written: Arc<AtomicBool>,
    /// The snapshot that it builds on.
    base: Option<SnapshotChain>,
}

impl MemorySnapshot {
    /// A snapshot of nothing.
    pub(super) fn new(checkpoint: CheckpointId, freeze: u64, chains: SnapshotChains) -> Self {
        Self {
            checkpoint,
            freeze,
            chains,
            blocks: None,
        }
    }

    /// The same of what comes out of these tables.
    pub(super) fn of_blocks(
        self,
        receiver: BlockReceiver,
        key_groups: KeyGroupRange,
        written: Arc<AtomicBool>,
        base: Option<SnapshotChain>,
    ) -> Self {
        let blocks = Some(Blocks {
            receiver,
            key_groups,
            written,
            base,
        });
        Self { blocks, ..self }
    }
}

impl Blocks {
    async fn persist(self, target: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        let kind = match &self.base {
            Some(_) => HandleKind::Delta,
            None => HandleKind::Full,
        };
        let written = target.write_blocks("keyed", self.receiver, kind, Some(self.key_groups));
        let handle = written.await?;
        let mut handles = self.base.map_or_else(Vec::new, |base| base.handles);
        let is_inline = matches!(handle.location, StateLocation::Inline(_));
        if kind == HandleKind::Full || !is_inline || self.written.load(Ordering::Relaxed) {
            handles.push(handle);
        }
        Ok(handles)
    }
}

#[async_trait]
impl Snapshot for MemorySnapshot {
    async fn persist(self: Box<Self>, target: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        let Self {
            checkpoint,
            freeze,
            chains,
            blocks,
        } = *self;
        let handles = match blocks {
            Some(blocks) => blocks.persist(target).await?,
            None => Vec::new(),
        };
        let chain = SnapshotChain::new(freeze, handles.clone());
        chains.insert(checkpoint, chain);
        Ok(handles)
    }
}
