//! From the handles of a context to the entries of its tables.

use super::pass::{GATHERED, Pass, Reading};
use super::stored::StoredEntries;
use super::{Entry, TableMeta};
use crate::backend::StateContext;
use crate::conversion::Conversion;
use crate::handle::{HandleKind, StateHandle};
use crate::read_files::{FilePart, IN_FLIGHT, read_files_with};
use crate::spec::{TableId, TableSpec};
use futures::StreamExt;
use snapline_core::{Error, Result};
use std::collections::{HashMap, HashSet};

/// All subtasks of an operator that restore at the same time read and gather as much as so many would by themselves.
const SUBTASKS: usize = 4;

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

    /// The same with many entries of a table at once, in the order of the files: those of a
    /// [delta](StoredEntries::is_delta) replace some of those before.
    ///
    /// Files that are read from the storage are handed out in parts, so that some tens of megabytes are in memory
    /// however long they are, and less in each of many subtasks; a part of a delta whose keys are removed comes before all of its entries. Other files are
    /// handed out as a whole. When the last part shows that a file is damaged, what came before is worth nothing.
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
        handles: impl Iterator<Item = &'a StateHandle> + Send,
        keep: &mut (dyn FnMut(StoredEntries) -> Result<()> + Send),
    ) -> Result<Vec<TableMeta>> {
        let mut tables = Tables::of(self)?;
        let any_may_be_mine = self.tables.iter().any(TableSpec::migrates_keys);
        let mine = |handle: &&StateHandle| {
            let groups = handle.key_groups.unwrap_or(self.max_parallelism.full_range());
            any_may_be_mine || !groups.intersection(self.key_groups).is_empty()
        };
        let mut passes = Vec::new();
        for (file, handle) in handles.filter(mine).enumerate() {
            check_kind(handle.kind)?;
            passes.extend(Pass::over(file, handle, &*self.storage));
        }
        let in_flight = self.part_of(SUBTASKS * IN_FLIGHT).clamp(2, IN_FLIGHT);
        let gathered = self.part_of(SUBTASKS * GATHERED).clamp(GATHERED / 16, GATHERED);
        let handles = passes.iter().map(|pass| pass.handle);
        let mut parts = read_files_with(&*self.storage, handles, in_flight);
        let mut reading = None;
        while let Some(FilePart {
            file,
            content,
            is_last,
        }) = parts.next().await
        {
            let pass = &passes[file];
            let mut current = reading.take().unwrap_or_else(|| Reading::of(pass, gathered));
            content
                .and_then(|content| current.read(content, pass, &mut tables, keep))
                .and_then(|()| match is_last {
                    true => current.finish(pass, &mut tables, keep),
                    false => Ok(_ = reading.insert(current)),
                })
                .map_err(|error| error.with("operator", &self.operator))?;
        }
        Ok(tables.unclaimed)
    }

    /// What falls to this subtask of something that all subtasks of its operator share.
    fn part_of(&self, all: usize) -> usize {
        let groups = self.max_parallelism.get() as usize;
        (all * self.key_groups.len() as usize).div_ceil(groups)
    }
}

/// The keys that newer files have something to say about.
#[derive(Default)]
struct Replaced {
    keys: HashSet<(TableId, Vec<u8>)>,
    /// Those of the file whose parts come.
    new: Vec<(TableId, Vec<u8>)>,
    file: usize,
}

impl Replaced {
    /// Passes the entries on that no newer file replaces.
    fn pass_on(
        &mut self,
        entries: &StoredEntries,
        keep: &mut (dyn FnMut(RestoredEntry<'_>) -> Result<()> + Send),
    ) -> Result<()> {
        if self.file != entries.file {
            self.keys.extend(self.new.drain(..));
            self.file = entries.file;
        }
        let table = entries.table();
        entries.for_each(&mut |restored| {
            let key = (table, restored.entry.key.to_vec());
            if self.keys.contains(&key) {
                return Ok(());
            }
            if entries.is_delta() {
                self.new.push(key);
            }
            keep(restored)
        })?;
        entries.for_each_removed(&mut |_, key| {
            self.new.push((table, key.to_vec()));
            Ok(())
        })
    }
}

fn check_kind(kind: HandleKind) -> Result<()> {
    match kind {
        HandleKind::Full | HandleKind::Delta => Ok(()),
        kind => {
            Err(Error::unsupported("state of this kind holds no tables").with("kind", format!("{kind:?}")))
        }
    }
}

/// What the tables of the files are.
pub(super) struct Tables<'a> {
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

    /// A table of a file of this kind, without entries.
    pub(super) fn begin(&mut self, meta: TableMeta, kind: HandleKind) -> Result<StoredEntries> {
        let (own, max) = (self.context.key_groups, self.context.max_parallelism);
        let (table, conversion) = self.find(meta)?;
        let entries = match kind {
            HandleKind::Delta => StoredEntries::of_delta(table, own, max),
            _ => StoredEntries::new(table, own, max),
        };
        Ok(entries.converted_by(conversion))
    }

    /// Looks at entries that are about to be handed out.
    ///
    /// # Errors
    /// `Invalid` when a migration has made two keys the same.
    pub(super) fn check(&mut self, entries: &StoredEntries) -> Result<()> {
        if !entries.has_other_keys() || entries.is_delta() {
            return Ok(());
        }
        entries.for_each(&mut |restored| self.note_new_key(&restored))
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

#[cfg(test)]
mod tests;
