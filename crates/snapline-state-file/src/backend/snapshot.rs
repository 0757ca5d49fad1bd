//! The half of a snapshot that is persisted.

use super::change::{Decoded, decode};
use super::flusher::Frozen;
use super::store::{Entries, Store};
use async_trait::async_trait;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_core::{CheckpointId, Error, KeyGroupRange, Result};
use snapline_state::{
    BlockWriter, Entry, HandleKind, Living, Snapshot, SnapshotChain, SnapshotChains, SnapshotTarget,
    StateHandle, StateLocation, TableId, TableMeta, block_channel_with_room,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A snapshot whose entries come from the disk as soon as they are there.
pub(super) struct FileSnapshot {
    pub(super) checkpoint: CheckpointId,
    /// The number of its batch.
    pub(super) freeze: u64,
    pub(super) chains: SnapshotChains,
    /// The snapshot that it builds on.
    pub(super) base: Option<SnapshotChain>,
    pub(super) key_groups: KeyGroupRange,
    pub(super) tables: Tables,
    pub(super) frozen: oneshot::Receiver<Result<Frozen>>,
    pub(super) store: Store,
    /// The checkpoint that was complete when it was triggered.
    pub(super) complete: Option<CheckpointId>,
}

/// What the tables are, by their ids.
#[derive(Debug, Clone)]
pub(super) struct Tables {
    pub(super) metas: Arc<[TableMeta]>,
    /// How many of them the operator wants. The others are named only when they have entries.
    pub(super) wanted: usize,
    /// By table, what a full snapshot need have.
    pub(super) living: Arc<[Option<Living>]>,
}

#[async_trait]
impl Snapshot for FileSnapshot {
    async fn persist(self: Box<Self>, target: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        let Self {
            checkpoint,
            freeze,
            chains,
            base,
            key_groups,
            tables,
            frozen,
            store,
            complete,
        } = *self;
        let gone = |_| Error::cancelled("the task ended before its snapshot was whole");
        let Frozen { entries, version } = frozen.await.map_err(gone)??;
        let can_keep = tables.metas.len() == tables.wanted;
        let (sender, blocks) = block_channel_with_room(store.window());
        let has_entries = Arc::new(AtomicBool::new(false));
        let kind = match &base {
            Some(_) => HandleKind::Delta,
            None => HandleKind::Full,
        };
        let out = match kind {
            HandleKind::Full => BlockWriter::new(sender).leaving_out(tables.living.clone()),
            _ => BlockWriter::new(sender),
        };
        let writing = Writing {
            out,
            tables,
            scope: kind,
            next: 0,
            run: Run::new(),
            has_entries: has_entries.clone(),
        };
        thread::Builder::new()
            .name("snapline-snapshot".to_owned())
            .spawn(move || writing.write(entries))
            .map_err(|error| Error::unavailable("cannot start the thread of a snapshot").because(error))?;
        // What is kept for a restart are the files.
        let target = target.clone().without_local_copies();
        let handle = target
            .write_blocks("keyed", blocks, kind, Some(key_groups))
            .await?;
        let is_inline = matches!(handle.location, StateLocation::Inline(_));
        let handle = (!is_inline || has_entries.load(Ordering::Acquire)).then_some(handle);
        let chain = base.unwrap_or_default().followed_by(freeze, handle);
        let handles = chain.handles.clone();
        chains.insert(checkpoint, chain);
        if can_keep {
            store.keep((checkpoint, complete), &handles, &version);
        }
        Ok(handles)
    }
}

/// Entries on their way from the disk to blocks.
struct Writing {
    out: BlockWriter,
    tables: Tables,
    scope: HandleKind,
    /// The first table that was not begun.
    next: usize,
    run: Run,
    has_entries: Arc<AtomicBool>,
}

/// Entries, or removed keys, that follow each other.
#[derive(Debug)]
struct Run {
    table: TableId,
    are_removed: bool,
    groups: KeyGroupRange,
    count: u32,
    payload: Vec<u8>,
}

/// How long a run becomes: blocks are a little longer than they should be by as much.
const RUN_BYTES: usize = 16 * 1024;

impl Writing {
    fn write(mut self, entries: Entries) {
        match self.write_all(entries) {
            Ok(()) => {
                let has_entries = self.out.has_entries();
                self.has_entries.store(has_entries, Ordering::Release);
                self.out.finish();
            }
            Err(error) => self.out.fail(error),
        }
    }

    fn write_all(&mut self, mut entries: Entries) -> Result<()> {
        while let Some((key, value)) = entries.next_entry()? {
            self.push(&decode(key, value)?)?;
            if self.out.sender().is_abandoned() {
                return Ok(());
            }
        }
        self.end_run();
        self.begin_tables(self.tables.wanted)
    }

    fn push(&mut self, entry: &Decoded<'_>) -> Result<()> {
        let is_removed = entry.value.is_none();
        if is_removed && self.scope == HandleKind::Full {
            return Ok(());
        }
        let run = &self.run;
        if (run.table, run.are_removed) != (entry.table, is_removed) || run.payload.len() >= RUN_BYTES {
            self.end_run();
            block_on(poll_fn(|cx| self.out.sender().poll_room(cx)));
            self.begin_tables(usize::from(entry.table.0).min(self.tables.wanted))?;
            if usize::from(entry.table.0) >= self.next {
                self.begin_table(entry.table.0)?;
            }
            (self.run.table, self.run.are_removed) = (entry.table, is_removed);
        }
        self.run.push(entry);
        Ok(())
    }

    fn end_run(&mut self) {
        let run = &mut self.run;
        if run.are_removed {
            self.out
                .append_removed(run.table, run.groups, run.count, &run.payload);
        } else {
            self.out.append(run.table, run.groups, run.count, &run.payload);
        }
        run.count = 0;
        run.payload.clear();
    }

    /// Begins the tables before this one that were not begun.
    fn begin_tables(&mut self, end: usize) -> Result<()> {
        (self.next..end).try_for_each(|table| self.begin_table(table as u16))
    }

    fn begin_table(&mut self, table: u16) -> Result<()> {
        self.next = usize::from(table) + 1;
        match self.tables.metas.get(usize::from(table)) {
            Some(meta) => self.out.begin_table(TableId(table), meta),
            None => Err(Error::internal("an entry in the scratch folder is of no table")),
        }
    }
}

impl Run {
    fn new() -> Self {
        Self {
            table: TableId(u16::MAX),
            are_removed: false,
            groups: KeyGroupRange::new(0, 0),
            count: 0,
            payload: Vec::with_capacity(RUN_BYTES),
        }
    }

    fn push(&mut self, entry: &Decoded<'_>) {
        let (key, group) = (entry.key, entry.group.0);
        match entry.value {
            Some(value) => Entry { key, value }.append(&mut self.payload),
            None => Entry::append_removed(key, &mut self.payload),
        }
        // Entries of a table come in the order of their groups.
        let first = if self.count == 0 {
            group
        } else {
            self.groups.start().min(group)
        };
        self.groups = KeyGroupRange::new(first, group + 1);
        self.count += 1;
    }
}
