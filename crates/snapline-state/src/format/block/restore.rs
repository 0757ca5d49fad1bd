//! From the handles of a context to the entries of its tables.

use super::stored::{StoredBlock, StoredEntries};
use super::{Block, BlockReader, Entry, TableMeta};
use crate::backend::StateContext;
use crate::conversion::Conversion;
use crate::handle::{HandleKind, StateHandle};
use crate::pieces::Pieces;
use crate::spec::{TableId, TableSpec};
use futures::StreamExt;
use snapline_core::{Error, Result};
use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Hands the entries of all snapshots of the context to `keep`, once each as the newest delta has them,
    /// without those of key groups that the subtask does not own.
    ///
    /// Tables are matched by name. Those that the operator does not want are *unclaimed*: their
    /// entries come too, and what they are is returned in the order of their ids. A backend has to
    /// keep them, so that no snapshot loses them.
    ///
    /// # Errors
    /// `Corrupted` when a handle cannot be read; `Invalid` when two wanted tables have the same name,
    /// or a stored one has other types than the wanted one, or a version from which nothing leads to its; the
    /// first error of `keep` or of a migration.
    pub async fn restore_entries(
        &self,
        keep: &mut (dyn FnMut(RestoredEntry<'_>) -> Result<()> + Send),
    ) -> Result<Vec<TableMeta>> {
        let is_delta = |handle: &StateHandle| handle.kind == HandleKind::Delta;
        if !self.restore.iter().any(is_delta) {
            return self.restore_tables(&mut |entries| entries.for_each(keep)).await;
        }
        let mut replaced = Replaced::default();
        let newest_first = self.restore.iter().rev();
        self.read_tables(newest_first, &mut |entries| replaced.pass_on(&entries, keep))
            .await
    }

    /// The same with all entries that a table has in a file at once, in the order of the files: those of a
    /// [delta](StoredEntries::is_delta) replace some of those before.
    ///
    /// # Errors
    /// As [`StateContext::restore_entries`].
    pub async fn restore_tables(
        &self,
        keep: &mut (dyn FnMut(StoredEntries) -> Result<()> + Send),
    ) -> Result<Vec<TableMeta>> {
        self.read_tables(self.restore.iter(), keep).await
    }

    async fn read_tables<'a>(
        &'a self,
        handles: impl Iterator<Item = &'a StateHandle>,
        keep: &mut (dyn FnMut(StoredEntries) -> Result<()> + Send),
    ) -> Result<Vec<TableMeta>> {
        let mut tables = Tables::of(self)?;
        let any_may_be_mine = self.tables.iter().any(TableSpec::migrates_keys);
        let mine = |handle: &&StateHandle| {
            let groups = handle.key_groups.unwrap_or(self.max_parallelism.full_range());
            any_may_be_mine || !groups.intersection(self.key_groups).is_empty()
        };
        let reads: Vec<_> = handles.filter(mine).map(|handle| fetch(self, handle)).collect();
        let mut files = futures::stream::iter(reads).buffered(FETCHED_AT_ONCE);
        while let Some(file) = files.next().await {
            file.and_then(|(kind, file)| tables.read(kind, file)?.into_values().try_for_each(&mut *keep))
                .map_err(|error| error.with("operator", &self.operator))?;
        }
        Ok(tables.unclaimed)
    }
}

/// The keys that newer files have something to say about.
#[derive(Default)]
struct Replaced(HashSet<(TableId, Vec<u8>)>);

impl Replaced {
    /// Passes the entries on that no newer file replaces.
    fn pass_on(
        &mut self,
        entries: &StoredEntries,
        keep: &mut (dyn FnMut(RestoredEntry<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        let table = entries.table();
        let mut new = Vec::new();
        entries.for_each(&mut |restored| {
            let key = (table, restored.entry.key.to_vec());
            if self.0.contains(&key) {
                return Ok(());
            }
            if entries.is_delta() {
                new.push(key);
            }
            keep(restored)
        })?;
        entries.for_each_removed(&mut |_, key| {
            new.push((table, key.to_vec()));
            Ok(())
        })?;
        self.0.extend(new);
        Ok(())
    }
}

async fn fetch(context: &StateContext, handle: &StateHandle) -> Result<(HandleKind, Pieces)> {
    match handle.kind {
        kind @ (HandleKind::Full | HandleKind::Delta) => {
            Ok((kind, handle.read_pieces(&*context.storage).await?))
        }
        kind => {
            Err(Error::unsupported("state of this kind holds no tables").with("kind", format!("{kind:?}")))
        }
    }
}

struct Tables<'a> {
    context: &'a StateContext,
    wanted: HashMap<&'a str, TableId>,
    unclaimed: Vec<TableMeta>,
    /// The hashes of keys that have become others.
    new_keys: HashSet<(TableId, u64)>,
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
            new_keys: HashSet::new(),
        })
    }

    /// The tables of a file, by their ids in it.
    fn read(&mut self, kind: HandleKind, file: Pieces) -> Result<BTreeMap<TableId, StoredEntries>> {
        let (own, max) = (self.context.key_groups, self.context.max_parallelism);
        let mut tables = BTreeMap::new();
        for block in BlockReader::of_checked(file)? {
            match block? {
                Block::Meta(stored, meta) => {
                    let (table, conversion) = self.find(meta)?;
                    let entries = match kind {
                        HandleKind::Delta => StoredEntries::of_delta(table, own, max),
                        _ => StoredEntries::new(table, own, max),
                    };
                    tables.insert(stored, entries.converted_by(conversion));
                }
                Block::Entries {
                    table,
                    key_groups,
                    entries,
                    payload,
                } => begun(&mut tables, table)?.push(StoredBlock {
                    key_groups,
                    entries,
                    payload,
                })?,
                Block::Removed {
                    table,
                    key_groups,
                    keys,
                    payload,
                } => begun(&mut tables, table)?.push_removed(StoredBlock {
                    key_groups,
                    entries: keys,
                    payload,
                })?,
            }
        }
        let with_new_keys = |entries: &&StoredEntries| entries.has_other_keys() && !entries.is_delta();
        for entries in tables.values().filter(with_new_keys) {
            entries.for_each(&mut |restored| self.note_new_key(&restored))?;
        }
        Ok(tables)
    }

    /// Two keys must not have become one: of their values only one would be found again.
    fn note_new_key(&mut self, restored: &RestoredEntry<'_>) -> Result<()> {
        if self.new_keys.insert((restored.table, restored.hash)) {
            return Ok(());
        }
        let state = self.context.tables.get(usize::from(restored.table.0));
        Err(
            Error::invalid("two keys have become the same by a migration; let them stay different")
                .with("state", state.map_or("", |spec| &spec.meta().name)),
        )
    }

    /// The id of a stored table, and what is to be done with its values.
    fn find(&mut self, stored: TableMeta) -> Result<(TableId, Option<Conversion>)> {
        if let Some(id) = self.wanted.get(stored.name.as_str()) {
            let wanted = &self.context.tables[usize::from(id.0)];
            return Ok((*id, wanted.conversion(&stored)?));
        }
        let known = self.unclaimed.iter().position(|meta| *meta == stored);
        let index = known.unwrap_or_else(|| {
            self.unclaimed.push(stored);
            self.unclaimed.len() - 1
        });
        Ok((TableId((self.context.tables.len() + index) as u16), None))
    }
}

fn begun(tables: &mut BTreeMap<TableId, StoredEntries>, table: TableId) -> Result<&mut StoredEntries> {
    tables
        .get_mut(&table)
        .ok_or_else(|| Error::corrupted("entries come before their table"))
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
        Err(Error::invalid(
            "a restored state is not of the type that the program gives it; go back to the stored type, \
             give the state another name, or start fresh",
        )
        .with("state", &self.name)
        .with("stored", self.description())
        .with("program", wanted.description()))
    }
}
