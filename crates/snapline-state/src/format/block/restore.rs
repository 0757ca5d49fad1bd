//! From the handles of a context to the entries of its tables.

use super::stored::{StoredBlock, StoredEntries};
use super::{Block, BlockReader, Entry, TableMeta};
use crate::backend::StateContext;
use crate::handle::{HandleKind, StateHandle};
use crate::pieces::Pieces;
use crate::spec::TableId;
use futures::StreamExt;
use snapline_core::{Error, Result};
use std::collections::{BTreeMap, HashMap};

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
        self.restore_tables(&mut |entries| entries.for_each(keep)).await
    }

    /// The same with all entries that a table has in a file at once.
    ///
    /// # Errors
    /// As [`StateContext::restore_entries`].
    pub async fn restore_tables(
        &self,
        keep: &mut (dyn FnMut(StoredEntries) -> Result<()> + Send),
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
            file.and_then(|file| tables.read(file)?.into_values().try_for_each(&mut *keep))
                .map_err(|error| error.with("operator", &self.operator))?;
        }
        Ok(tables.unclaimed)
    }
}

async fn fetch(context: &StateContext, handle: &StateHandle) -> Result<Pieces> {
    match handle.kind {
        HandleKind::Full => handle.read_pieces(&*context.storage).await,
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

    /// The tables of a file, by their ids in it.
    fn read(&mut self, file: Pieces) -> Result<BTreeMap<TableId, StoredEntries>> {
        let (own, max) = (self.context.key_groups, self.context.max_parallelism);
        let mut tables = BTreeMap::new();
        for block in BlockReader::of_checked(file)? {
            match block? {
                Block::Meta(stored, meta) => {
                    let table = self.find(meta)?;
                    tables.insert(stored, StoredEntries::new(table, own, max));
                }
                Block::Entries {
                    table,
                    key_groups,
                    entries,
                    payload,
                } => tables
                    .get_mut(&table)
                    .ok_or_else(|| Error::corrupted("entries come before their table"))?
                    .push(StoredBlock {
                        key_groups,
                        entries,
                        payload,
                    }),
            }
        }
        Ok(tables)
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
