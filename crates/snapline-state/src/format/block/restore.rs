//! From the handles of a context to the entries of its tables.

use super::{Block, BlockReader, Entry, TableMeta};
use crate::backend::StateContext;
use crate::handle::{HandleKind, StateHandle};
use crate::spec::TableId;
use bytes::Bytes;
use futures::StreamExt;
use snapline_core::{Error, Result, stable_hash_bytes};
use std::collections::HashMap;

/// So many files are fetched at the same time.
const FETCHED_AT_ONCE: usize = 4;

/// An entry that a backend is to keep.
#[derive(Debug, Clone, Copy)]
pub struct RestoredEntry<'a> {
    /// The table. Ids from the number of wanted tables on are those of unclaimed ones.
    pub table: TableId,
    /// The stable hash of the key.
    pub hash: u64,
    /// The encoded key and value.
    pub entry: Entry<'a>,
}

impl StateContext {
    /// Hands the entries of all full snapshots of the context to `keep`, once each, without those
    /// of key groups that the subtask does not own.
    ///
    /// Tables are matched by name. Those that the operator does not want are *unclaimed*: their
    /// entries come too, and what they are is returned in the order of their ids. A backend has to
    /// keep them, so that no snapshot loses them.
    ///
    /// # Errors
    /// `Corrupted` when a handle cannot be read; `Invalid` when two wanted tables have the same name,
    /// or a stored one has other types or another version than the wanted one; the first error of `keep`.
    pub async fn restore_entries(
        &self,
        keep: &mut (dyn FnMut(RestoredEntry<'_>) -> Result<()> + Send),
    ) -> Result<Vec<TableMeta>> {
        let mut tables = Tables::of(self)?;
        let mine = |handle: &&StateHandle| {
            let groups = handle.key_groups.unwrap_or(self.max_parallelism.full_range());
            !groups.intersection(self.key_groups).is_empty()
        };
        let handles = self.restore.iter().filter(mine);
        let reads: Vec<_> = handles.map(|handle| fetch(self, handle)).collect();
        let mut files = futures::stream::iter(reads).buffered(FETCHED_AT_ONCE);
        while let Some(file) = files.next().await {
            file.and_then(|file| tables.read(file, keep))
                .map_err(|error| error.with("operator", &self.operator))?;
        }
        Ok(tables.unclaimed)
    }
}

async fn fetch(context: &StateContext, handle: &StateHandle) -> Result<Bytes> {
    match handle.kind {
        HandleKind::Full => handle.read(&*context.storage).await,
        kind => {
            Err(Error::unsupported("state of this kind holds no tables").with("kind", format!("{kind:?}")))
        }
    }
}

struct Tables<'a> {
    context: &'a StateContext,
    wanted: HashMap<&'a str, TableId>,
    unclaimed: Vec<TableMeta>,
}

impl<'a> Tables<'a> {
    fn of(context: &'a StateContext) -> Result<Self> {
        let mut wanted = HashMap::new();
        for (index, spec) in context.tables.iter().enumerate() {
            let name = spec.meta().name.as_str();
            if wanted.insert(name, TableId(index as u16)).is_some() {
                return Err(
                    Error::invalid("an operator has two states of the same name; rename one")
                        .with("operator", &context.operator)
                        .with("state", name),
                );
            }
        }
        Ok(Self {
            context,
            wanted,
            unclaimed: Vec::new(),
        })
    }

    fn read(
        &mut self,
        file: Bytes,
        keep: &mut (dyn FnMut(RestoredEntry<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let mut ids = HashMap::new();
        for block in BlockReader::new(file)? {
            match block? {
                Block::Meta(stored, meta) => {
                    ids.insert(stored, self.find(meta)?);
                }
                Block::Entries {
                    table: stored,
                    key_groups,
                    payload,
                } => {
                    let table = *ids
                        .get(&stored)
                        .ok_or_else(|| Error::corrupted("entries come before their table"))?;
                    if !key_groups.intersection(self.context.key_groups).is_empty() {
                        self.keep_own(table, &payload, keep)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn keep_own(
        &self,
        table: TableId,
        payload: &[u8],
        keep: &mut (dyn FnMut(RestoredEntry<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        for entry in Entry::iter(payload) {
            let entry = entry?;
            let hash = stable_hash_bytes(entry.key);
            let group = self.context.max_parallelism.key_group(hash);
            if self.context.key_groups.contains(group) {
                keep(RestoredEntry { table, hash, entry })?;
            }
        }
        Ok(())
    }

    /// The id of a stored table.
    fn find(&mut self, stored: TableMeta) -> Result<TableId> {
        if let Some(id) = self.wanted.get(stored.name.as_str()) {
            let wanted = self.context.tables[usize::from(id.0)].meta();
            return stored.check_against(wanted).map(|()| *id);
        }
        let known = self.unclaimed.iter().position(|meta| *meta == stored);
        let index = known.unwrap_or_else(|| {
            self.unclaimed.push(stored);
            self.unclaimed.len() - 1
        });
        Ok(TableId((self.context.tables.len() + index) as u16))
    }
}

impl TableMeta {
    /// Whether a stored table can be read as the table that an operator wants.
    ///
    /// # Errors
    /// `Invalid` naming the state, what it is, and what it should be.
    pub fn check_against(&self, wanted: &Self) -> Result<()> {
        if self == wanted {
            return Ok(());
        }
        let describe = |meta: &Self| {
            format!(
                "{} -> {}, version {}",
                meta.key_type, meta.value_type, meta.version
            )
        };
        Err(Error::invalid(
            "a restored state is not of the type that the program gives it; go back to the stored type, \
             give the state another name, or start fresh",
        )
        .with("state", &self.name)
        .with("stored", describe(self))
        .with("program", describe(wanted)))
    }
}
