//! From the files of a checkpoint to the disk of a subtask.

use super::change::{Change, encode_key, encode_value};
use super::store::Store;
use snapline_core::Result;
use snapline_state::{StateContext, StoredEntries, TableId, TableMeta};

/// So many bytes of entries are put in order and written at a time.
const CHUNK_BYTES: usize = 16 * 1024 * 1024;

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
    let unclaimed = context
        .restore_tables(&mut |stored| {
            is_migrated |= stored.is_migrated();
            Chunk::new(context, store, stored.table()).restore(&stored)
        })
        .await?;
    Ok(Restored {
        unclaimed,
        is_migrated,
    })
}

struct Chunk<'a> {
    context: &'a StateContext,
    store: &'a Store,
    table: TableId,
    changes: Vec<Change>,
    bytes: usize,
    key: Vec<u8>,
}

impl<'a> Chunk<'a> {
    fn new(context: &'a StateContext, store: &'a Store, table: TableId) -> Self {
        Self {
            context,
            store,
            table,
            changes: Vec::new(),
            bytes: 0,
            key: Vec::new(),
        }
    }

    /// A key that is removed and has an entry came back, so what is removed comes first.
    fn restore(&mut self, stored: &StoredEntries) -> Result<()> {
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
}
