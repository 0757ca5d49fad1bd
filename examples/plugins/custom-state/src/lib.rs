//! Live state in sorted maps of bytes.
//!
//! A freeze shares the maps with the snapshot; the first write after it copies a map if the snapshot is still being
//! stored. That is the least code for a freeze in constant time, and fine for small states.
//!
//! A plugin: it lives outside of Snapline's workspace, knows only the traits, and is proven by the suite of
//! `snapline-testkit`, as `cargo test` in this folder shows. How it came to be is told in the documentation of `snapline-state`.

use async_trait::async_trait;
use snapline_core::{CheckpointId, Error, KeyGroup, KeyGroupRange, Result};
use snapline_state::{
    BlockWriter, ByteTable, Entry, EntryVisitor, HandleKind, KeyedStateBackend, RestoredEntry, Snapshot,
    SnapshotTarget, StateBackend, StateContext, StateHandle, TableId, TableMeta, TableRef, block_channel,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// From key group and key to value: snapshots are written in the order of key groups.
type Entries = BTreeMap<(KeyGroup, Vec<u8>), Vec<u8>>;

/// The kind of state; each subtask opens its own.
#[derive(Debug)]
pub struct SortedBackend;

/// The state of one subtask.
#[derive(Debug)]
struct SortedState {
    /// First those that the operator wants, then those that it does not, which must not get lost.
    tables: Vec<SortedTable>,
    wanted: usize,
    key_groups: KeyGroupRange,
}

#[derive(Debug, Clone)]
struct SortedTable {
    meta: TableMeta,
    entries: Arc<Entries>,
}

#[async_trait]
impl StateBackend for SortedBackend {
    async fn open(&self, context: StateContext) -> Result<Box<dyn KeyedStateBackend>> {
        let wanted = context.tables.len();
        let mut restored = vec![Entries::new(); wanted];
        let mut keep = |stored: RestoredEntry<'_>| {
            let table = usize::from(stored.table.0);
            if table >= restored.len() {
                restored.resize_with(table + 1, Entries::new);
            }
            let group = context.max_parallelism.key_group(stored.hash);
            restored[table].insert((group, stored.entry.key.to_vec()), stored.entry.value.to_vec());
            Ok(())
        };
        let unclaimed = context.restore_entries(&mut keep).await?;
        let metas = context
            .tables
            .iter()
            .map(|spec| spec.meta().clone())
            .chain(unclaimed);
        let tables = metas.zip(restored).map(|(meta, entries)| SortedTable {
            meta,
            entries: Arc::new(entries),
        });
        Ok(Box::new(SortedState {
            tables: tables.collect(),
            wanted,
            key_groups: context.key_groups,
        }))
    }
}

impl KeyedStateBackend for SortedState {
    fn table(&mut self, table: TableId) -> Result<TableRef<'_>> {
        let wanted = &mut self.tables[..self.wanted];
        let found = wanted.get_mut(usize::from(table.0));
        let found = found.ok_or_else(|| Error::internal("there is no such state table"))?;
        Ok(TableRef::Bytes(found))
    }

    /// Every snapshot is a full one, whatever it could build on.
    fn freeze(&mut self, _: CheckpointId, _: Option<CheckpointId>) -> Result<Box<dyn Snapshot>> {
        Ok(Box::new(SortedSnapshot {
            tables: self.tables.clone(),
            key_groups: self.key_groups,
        }))
    }
}

impl ByteTable for SortedTable {
    fn get(&mut self, group: KeyGroup, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.entries.get(&(group, key.to_vec())).cloned())
    }

    fn put(&mut self, group: KeyGroup, key: &[u8], value: &[u8]) -> Result<()> {
        Arc::make_mut(&mut self.entries).insert((group, key.to_vec()), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, group: KeyGroup, key: &[u8]) -> Result<()> {
        Arc::make_mut(&mut self.entries).remove(&(group, key.to_vec()));
        Ok(())
    }

    fn scan(&mut self, visit: EntryVisitor<'_>) -> Result<()> {
        let mut entries = self.entries.iter();
        entries.try_for_each(|((_, key), value)| visit(key, value))
    }

    /// The place is the key group and the key of the last entry.
    fn scan_some(&mut self, place: &mut Vec<u8>, entries: usize, visit: EntryVisitor<'_>) -> Result<bool> {
        let from = match std::mem::take(place).split_first_chunk() {
            Some((group, key)) => Bound::Excluded((KeyGroup(u32::from_be_bytes(*group)), key.to_vec())),
            None => Bound::Unbounded,
        };
        let mut rest = self.entries.range((from, Bound::Unbounded));
        for ((group, key), value) in rest.by_ref().take(entries) {
            visit(key, value)?;
            *place = [&group.0.to_be_bytes(), &**key].concat();
        }
        let is_done = rest.next().is_none();
        if is_done {
            place.clear();
        }
        Ok(is_done)
    }
}

/// The maps as they were at the freeze.
struct SortedSnapshot {
    tables: Vec<SortedTable>,
    key_groups: KeyGroupRange,
}

#[async_trait]
impl Snapshot for SortedSnapshot {
    async fn persist(self: Box<Self>, target: &SnapshotTarget) -> Result<Vec<StateHandle>> {
        let (sender, blocks) = block_channel();
        let mut writer = BlockWriter::new(sender);
        for (id, table) in (0..).map(TableId).zip(&self.tables) {
            writer.begin_table(id, &table.meta)?;
            for ((group, key), value) in &*table.entries {
                let mut payload = Vec::new();
                Entry { key, value }.append(&mut payload);
                writer.append(id, KeyGroupRange::new(group.0, group.0 + 1), 1, &payload);
            }
        }
        writer.finish();
        let groups = Some(self.key_groups);
        let handle = target
            .write_blocks("sorted", blocks, HandleKind::Full, groups)
            .await?;
        Ok(vec![handle])
    }
}
