//! From the files of a checkpoint to the disk of a subtask.

use super::change::{Change, encode_key, encode_value};
use super::files::Loading;
use super::store::Store;
use snapline_core::Result;
use snapline_state::{HandleKind, StateContext, StoredEntries, TableId, TableMeta};

/// So many bytes of entries are put in order and written at a time.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

/// So often entries of full snapshots may be out of order: where there are several, each begins anew.
const MOST_BREAKS: usize = 32;

/// What a checkpoint was found to have.
#[derive(Debug, Default)]
pub(super) struct Restored {
    /// The tables that the operator does not want; their ids follow those of the wanted tables.
    pub(super) unclaimed: Vec<TableMeta>,
    /// Whether values are not those of the files, so that all have to be stored anew.
    pub(super) is_migrated: bool,
}

/// Writes all entries of a checkpoint that the subtask owns.
pub(super) async fn restore(context: &StateContext, store: &Store) -> Result<Restored> {
    let mut is_migrated = false;
    let context = &fulls_first(context.clone());
    let mut intake = Intake::new(context, store);
    let unclaimed = context
        .restore_tables(&mut |stored| {
            is_migrated |= stored.is_migrated();
            intake.take(&stored)
        })
        .await?;
    intake.finish()?;
    Ok(Restored {
        unclaimed,
        is_migrated,
    })
}

/// The snapshots of different subtasks have no key in common, so their order is free.
fn fulls_first(mut context: StateContext) -> StateContext {
    context
        .restore
        .sort_by_key(|handle| handle.kind == HandleKind::Delta);
    context
}

/// Entries on their way to files.
///
/// Those of full snapshots that a disk has written come in the order of files, and are written as they come. Others, and
/// changes, are put in order some megabytes at a time, and merged.
struct Intake<'a> {
    context: &'a StateContext,
    store: &'a Store,
    loading: Option<Loading<'a>>,
    /// How often entries were out of order.
    breaks: usize,
    table: TableId,
    changes: Vec<Change>,
    bytes: usize,
    key: Vec<u8>,
}

impl<'a> Intake<'a> {
    fn new(context: &'a StateContext, store: &'a Store) -> Self {
        let fulls = context
            .restore
            .iter()
            .filter(|handle| handle.kind == HandleKind::Full);
        let (count, bytes) = fulls.fold((0, 0), |(count, bytes), full| (count + 1, bytes + full.len));
        Self {
            context,
            store,
            loading: Some(store.load(count, bytes)),
            breaks: 0,
            table: TableId(0),
            changes: Vec::new(),
            bytes: 0,
            key: Vec::new(),
        }
    }

    /// A key that is removed and has an entry came back, so what is removed comes first.
    fn take(&mut self, stored: &StoredEntries) -> Result<()> {
        self.table = stored.table();
        if stored.is_delta() {
            self.end_loading()?;
        }
        stored.for_each_removed(&mut |hash, key| self.push(hash, key, None))?;
        stored.for_each(&mut |restored| {
            let entry = restored.entry;
            self.push(restored.hash, entry.key, Some(entry.value))
        })?;
        self.write()
    }

    fn push(&mut self, hash: u64, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let group = self.context.max_parallelism.key_group(hash);
        encode_key(self.table, group, key, &mut self.key);
        let value = encode_value(key, value);
        if let (Some(value), Some(loading)) = (&value, &mut self.loading) {
            if !loading.is_next(&self.key) {
                self.breaks += 1;
                let ended = loading.end_file();
                self.store.checked(ended)?;
            }
            if self.breaks <= MOST_BREAKS {
                let pushed = loading.push(&self.key, value);
                return self.store.checked(pushed);
            }
            self.end_loading()?;
        }
        self.bytes += size_of::<Change>() + self.key.len() + value.as_ref().map_or(0, |value| value.len());
        self.changes.push(Change {
            key: self.key[..].into(),
            value,
        });
        if self.bytes >= CHUNK_BYTES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        self.bytes = 0;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok(());
        }
        self.store.write_unsorted(changes)?;
        self.store.compact()
    }

    /// From now on nothing comes in order.
    fn end_loading(&mut self) -> Result<()> {
        match self.loading.take() {
            Some(loading) => self.store.checked(loading.finish()),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<()> {
        self.end_loading()?;
        self.store.compact()
    }
}
