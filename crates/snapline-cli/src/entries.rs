//! Keyed state as the entries that a restore would give.

use crate::arguments::Selection;
use crate::stop::Outcome;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use snapline_coordinator::{Manifest, OperatorManifest};
use snapline_core::{Error, KeyGroupRange, MaxParallelism, OperatorUid, Result, stable_hash_bytes};
use snapline_state::{
    Block, CheckpointStorage, Entry, HandleKind, StateHandle, TableId, TableMeta, read_blocks,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One entry of a state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StateEntry<'a> {
    /// What the state is.
    pub(crate) table: &'a Arc<TableMeta>,
    /// The encoded key and value.
    pub(crate) entry: Entry<'a>,
}

/// Hands out the entries of an operator, once each. Holds some tens of megabytes, and the keys of the deltas of one
/// subtask, in memory.
pub(crate) async fn for_each_entry(
    storage: &dyn CheckpointStorage,
    max_parallelism: MaxParallelism,
    operator: &OperatorManifest,
    selection: &Selection,
    visitor: &mut dyn Visitor,
) -> Outcome<()> {
    for subtask in &operator.subtasks {
        for_each_of_subtask(storage, max_parallelism, &subtask.keyed, selection, visitor).await?;
    }
    Ok(())
}

/// Takes entries.
pub(crate) trait Visitor {
    /// Takes the next one.
    fn visit(&mut self, entry: StateEntry<'_>) -> Outcome<()>;

    /// Ready when there is room for the entries of another block.
    fn poll_room(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

impl<F: FnMut(StateEntry<'_>) -> Outcome<()>> Visitor for F {
    fn visit(&mut self, entry: StateEntry<'_>) -> Outcome<()> {
        self(entry)
    }
}

/// The same for the handles of one subtask.
pub(crate) async fn for_each_of_subtask(
    storage: &dyn CheckpointStorage,
    max_parallelism: MaxParallelism,
    handles: &[StateHandle],
    selection: &Selection,
    visitor: &mut dyn Visitor,
) -> Outcome<()> {
    let mut replaced = Replaced::default();
    // The newest file knows best.
    for (older, handle) in handles.iter().enumerate().rev() {
        let groups = handle.key_groups.unwrap_or(max_parallelism.full_range());
        let mine = |key: &[u8]| groups.contains(max_parallelism.key_group(stable_hash_bytes(key)));
        let mut newer = Replaced::default();
        let mut blocks = FileBlocks::of(storage, handle)?;
        while let Some((table, content)) = blocks.next().await? {
            if selection.state.as_ref().is_some_and(|name| *name != table.name) {
                continue;
            }
            match content {
                Content::Entries(payload) => {
                    for entry in Entry::iter(&payload) {
                        let entry = entry?;
                        if !mine(entry.key) || replaced.contains(&table.name, entry.key) {
                            continue;
                        }
                        if older > 0 && handle.kind == HandleKind::Delta {
                            newer.insert(&table.name, entry.key);
                        }
                        let table = &table;
                        visitor.visit(StateEntry { table, entry })?;
                    }
                    poll_fn(|cx| visitor.poll_room(cx)).await;
                }
                Content::Removed(payload) => {
                    for key in Entry::removed(&payload) {
                        newer.insert(&table.name, key?);
                    }
                }
            }
        }
        replaced.add(newer);
    }
    Ok(())
}

/// The keys, by state, that newer files have something to say about.
#[derive(Default)]
struct Replaced(HashMap<String, HashSet<Vec<u8>>>);

impl Replaced {
    fn contains(&self, table: &str, key: &[u8]) -> bool {
        self.0.get(table).is_some_and(|keys| keys.contains(key))
    }

    fn insert(&mut self, table: &str, key: &[u8]) {
        match self.0.get_mut(table) {
            Some(keys) => {
                keys.insert(key.to_vec());
            }
            None => {
                self.0.insert(table.to_owned(), HashSet::from([key.to_vec()]));
            }
        }
    }

    fn add(&mut self, newer: Self) {
        for (table, keys) in newer.0 {
            self.0.entry(table).or_default().extend(keys);
        }
    }
}

/// What a block of a table holds.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Encoded entries.
    Entries(Bytes),
    /// Encoded keys.
    Removed(Bytes),
}

/// The blocks of a file of tables, whose checksums are checked.
pub(crate) struct FileBlocks<'a> {
    blocks: BoxStream<'a, Result<Block>>,
    tables: BTreeMap<TableId, Arc<TableMeta>>,
}

impl<'a> FileBlocks<'a> {
    /// Reads them one after the other.
    ///
    /// # Errors
    /// `Unsupported` when the file holds something else.
    pub(crate) fn of(storage: &'a dyn CheckpointStorage, handle: &'a StateHandle) -> Result<Self> {
        if !matches!(handle.kind, HandleKind::Full | HandleKind::Delta) {
            let kind = format!("{:?}", handle.kind);
            return Err(Error::unsupported("keyed state of this kind cannot be read").with("kind", kind));
        }
        Ok(Self {
            blocks: read_blocks(storage, handle),
            tables: BTreeMap::new(),
        })
    }

    /// The next one, and what its table is.
    pub(crate) async fn next(&mut self) -> Result<Option<(Arc<TableMeta>, Content)>> {
        while let Some(block) = self.blocks.next().await {
            let (table, content) = match block? {
                Block::Meta(id, meta) => {
                    self.tables.insert(id, Arc::new(meta));
                    continue;
                }
                Block::Entries { table, payload, .. } => (table, Content::Entries(payload)),
                Block::Removed { table, payload, .. } => (table, Content::Removed(payload)),
            };
            let none = || Error::corrupted("entries come before their table");
            return Ok(Some((
                self.tables.get(&table).cloned().ok_or_else(none)?,
                content,
            )));
        }
        Ok(None)
    }
}

/// The operators of a checkpoint that a user wants to see.
///
/// # Errors
/// `Invalid` when there is none of the uid, naming those there are.
pub(crate) fn selected<'a>(
    manifest: &'a Manifest,
    selection: &Selection,
) -> Result<Vec<(&'a OperatorUid, &'a OperatorManifest)>> {
    let Some(wanted) = &selection.operator else {
        return Ok(manifest.operators.iter().collect());
    };
    let found: Vec<_> = manifest
        .operators
        .iter()
        .filter(|(uid, _)| uid.as_str() == wanted)
        .collect();
    if found.is_empty() {
        let uids: Vec<&str> = manifest.operators.keys().map(OperatorUid::as_str).collect();
        return Err(Error::invalid("the checkpoint has no state of such an operator")
            .with("operator", wanted)
            .with("operators", uids.join(", ")));
    }
    Ok(found)
}

/// The key groups under another maximum parallelism that hold all keys of these.
pub(crate) fn regroup(range: KeyGroupRange, from: MaxParallelism, to: MaxParallelism) -> KeyGroupRange {
    if range.is_empty() {
        return KeyGroupRange::new(0, 0);
    }
    let first = |group: u32| (u64::from(group) << 32).div_ceil(u64::from(from.get()));
    let start = to.key_group(first(range.start()));
    let last = to.key_group(first(range.end()) - 1);
    KeyGroupRange::new(start.0, last.0 + 1)
}
