//! One face for both levels of tables.

use crate::backend::{KeyedStateBackend, TableRef};
use crate::bytes_table::ByteAccess;
use crate::spec::TableId;
use crate::table::{BucketPlace, Slot, StateTable};
use snapline_core::{Data, Error, Key, MaxParallelism, Result};

/// How far a table has been gone through.
#[derive(Debug, Default)]
pub(crate) struct SweepPlace {
    bucket: BucketPlace,
    key: Vec<u8>,
}

/// An entry that has to be read and decoded counts like so many in memory.
const FEWER_BYTES: usize = 16;

/// A table of keys `K` and values `V`, whichever backend holds it.
///
/// `hash` is always the stable hash of the key, see [`snapline_core::StableHasher`].
#[allow(
    missing_debug_implementations,
    clippy::exhaustive_enums,
    reason = "there are two levels of backends"
)]
pub enum TableMut<'a, K, V> {
    /// Live values in memory.
    Live(&'a mut StateTable<K, V>),
    /// Encoded values somewhere else.
    Bytes(ByteAccess<'a, K, V>),
}

impl<'a, K: Key, V: Data> TableMut<'a, K, V> {
    /// The table of this id.
    ///
    /// # Errors
    /// `Internal` when there is no such table or it has other types.
    pub fn of(backend: &'a mut dyn KeyedStateBackend, table: TableId, max: MaxParallelism) -> Result<Self> {
        match backend.table(table)? {
            TableRef::Bytes(bytes) => Ok(Self::Bytes(ByteAccess::new(bytes, max))),
            TableRef::Live(live) => {
                let typed = live.as_any_mut().downcast_mut();
                typed
                    .map(Self::Live)
                    .ok_or_else(|| Error::internal("a state table has other types than its handle"))
            }
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn get(&mut self, hash: u64, key: &K) -> Result<Option<V>> {
        match self {
            Self::Live(table) => Ok(table.get(hash, key).cloned()),
            Self::Bytes(table) => table.get(hash, key),
        }
    }

    /// Looks at the value of a key where it is, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn read<R>(&mut self, hash: u64, key: &K, look: impl FnOnce(Option<&V>) -> R) -> Result<R> {
        match self {
            Self::Live(table) => Ok(look(table.get(hash, key))),
            Self::Bytes(table) => Ok(look(table.get(hash, key)?.as_ref())),
        }
    }

    /// Changes the value of a key in place, or gives it one; the key is copied only if it gets its first.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn modify<R>(&mut self, hash: u64, key: &K, change: impl FnOnce(Slot<'_, V>) -> R) -> Result<R> {
        match self {
            Self::Live(table) => Ok(table.modify(hash, key, change)),
            Self::Bytes(table) => table.update(hash, key, change),
        }
    }

    /// Changes the value of a key in place, or gives it one.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn update<R>(&mut self, hash: u64, key: K, change: impl FnOnce(Slot<'_, V>) -> R) -> Result<R> {
        match self {
            Self::Live(table) => Ok(table.update(hash, key, change)),
            Self::Bytes(table) => table.update(hash, &key, change),
        }
    }

    /// Changes the values of a batch of keys in order; `change` is told the position in the batch.
    ///
    /// On live tables the batch is first located as a whole, so that cache misses overlap; on tables of bytes it is read as
    /// a whole.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn update_batch<F>(&mut self, hashes: &[u64], keys: impl Iterator<Item = K>, change: F) -> Result<()>
    where
        F: FnMut(usize, Slot<'_, V>),
    {
        self.update_each(hashes, keys.enumerate().map(|(index, key)| (key, index)), change)
    }

    /// The same, where each key comes with something that `change` needs: the record, for instance.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn update_each<A, F>(
        &mut self,
        hashes: &[u64],
        entries: impl Iterator<Item = (K, A)>,
        change: F,
    ) -> Result<()>
    where
        F: FnMut(A, Slot<'_, V>),
    {
        match self {
            Self::Live(table) => {
                table.update_each(hashes, entries, change);
                Ok(())
            }
            Self::Bytes(table) => table.update_each(hashes, entries, change),
        }
    }

    /// Looks at the values of a batch of keys that will be changed next, so that what they point to can be fetched. Not on
    /// tables of bytes, which have no values that point to anything.
    pub fn look_ahead<'k>(&self, hashes: &[u64], keys: impl Iterator<Item = &'k K>, look: impl FnMut(&V)) {
        if let Self::Live(table) = self {
            table.read_each(hashes, keys, look);
        }
    }

    /// Looks at some entries, others each time, and removes those that are gone. Not on tables of bytes, where
    /// it would cost too much for each access.
    pub(crate) fn sweep(&mut self, buckets: usize, is_gone: impl Fn(&V) -> bool) {
        if let Self::Live(table) = self {
            table.sweep(buckets, is_gone);
        }
    }

    /// Looks at the next entries from a place on, and removes those that are gone; whether there are no more.
    pub(crate) fn sweep_from(
        &mut self,
        place: &mut SweepPlace,
        entries: usize,
        is_gone: impl Fn(&V) -> bool,
    ) -> Result<bool> {
        match self {
            Self::Live(table) => Ok(table.sweep_from(&mut place.bucket, entries, is_gone)),
            Self::Bytes(table) => table.sweep(&mut place.key, entries / FEWER_BYTES, is_gone),
        }
    }

    /// Removes the value of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn remove(&mut self, hash: u64, key: &K) -> Result<()> {
        match self {
            Self::Live(table) => {
                table.remove(hash, key);
                Ok(())
            }
            Self::Bytes(table) => table.remove(hash, key),
        }
    }

    /// Removes all entries and hands them out, in any order.
    ///
    /// # Errors
    /// The backend cannot read or write, or the first error of the visitor; some entries may still be there.
    pub fn take_all(&mut self, visit: &mut dyn FnMut(K, V) -> Result<()>) -> Result<()> {
        match self {
            Self::Live(table) => table.take_all(visit),
            Self::Bytes(table) => table.take_all(visit),
        }
    }

    /// Visits all entries in any order.
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the visitor.
    pub fn scan(&mut self, visit: &mut dyn FnMut(&K, &V) -> Result<()>) -> Result<()> {
        match self {
            Self::Live(table) => table.iter().try_for_each(|(key, value)| visit(key, value)),
            Self::Bytes(table) => table.scan(visit),
        }
    }
}
