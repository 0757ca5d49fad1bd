//! Tables of encoded keys and values, for backends that do not keep live values.

mod batch;

use crate::table::Slot;
use snapline_core::{Data, Key, KeyGroup, MaxParallelism, Result, decode, encode_into, stable_hash_bytes};
use std::marker::PhantomData;

/// Receives the key and the value of each entry of a scan.
pub type EntryVisitor<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// A table of one subtask in a backend that works on bytes.
///
/// # Contract
/// * Keys are compared by their bytes; the key group is a function of the key.
/// * A read sees every write before it.
pub trait ByteTable {
    /// The value of a key.
    ///
    /// # Errors
    /// The backend cannot read.
    fn get(&mut self, group: KeyGroup, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// The values of different keys, in the order of the keys. A table that is far away, or reads from a disk, can answer
    /// for all of them together.
    ///
    /// # Errors
    /// The backend cannot read.
    fn get_many(&mut self, keys: &[(KeyGroup, &[u8])]) -> Result<Vec<Option<Vec<u8>>>> {
        keys.iter().map(|(group, key)| self.get(*group, key)).collect()
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The backend cannot write; the entry is as before.
    fn put(&mut self, group: KeyGroup, key: &[u8], value: &[u8]) -> Result<()>;

    /// Removes a key.
    ///
    /// # Errors
    /// The backend cannot write; the entry is as before.
    fn delete(&mut self, group: KeyGroup, key: &[u8]) -> Result<()>;

    /// Visits all entries in any order.
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the visitor.
    fn scan(&mut self, visit: EntryVisitor<'_>) -> Result<()>;

    /// Visits so many entries, and says whether there are no more: `place` says from where on, is empty at the
    /// beginning, and is left where the next call goes on. What is written between two calls may be visited or not.
    ///
    /// So what has expired is found while a job runs. A table that has no such order visits nothing; then what has
    /// expired is removed when its key is accessed.
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the visitor.
    fn scan_some(&mut self, place: &mut Vec<u8>, entries: usize, visit: EntryVisitor<'_>) -> Result<bool> {
        let _ = (place, entries, visit);
        Ok(true)
    }
}

/// A [`ByteTable`] seen as a table of `K` and `V`.
#[allow(missing_debug_implementations, reason = "it borrows a table of another crate")]
pub struct ByteAccess<'a, K, V> {
    table: &'a mut dyn ByteTable,
    max_parallelism: MaxParallelism,
    types: PhantomData<fn() -> (K, V)>,
}

impl<'a, K: Key, V: Data> ByteAccess<'a, K, V> {
    /// Sees the table with these types.
    pub fn new(table: &'a mut dyn ByteTable, max_parallelism: MaxParallelism) -> Self {
        Self {
            table,
            max_parallelism,
            types: PhantomData,
        }
    }

    /// The value of a key.
    ///
    /// # Errors
    /// As [`ByteTable::get`]; `Corrupted` when the value is not of type `V`.
    pub fn get(&mut self, hash: u64, key: &K) -> Result<Option<V>> {
        let stored = self
            .table
            .get(self.max_parallelism.key_group(hash), &encoded(key)?)?;
        stored.map(|value| decode(&value)).transpose()
    }

    /// Reads, changes and writes the value of a key.
    ///
    /// # Errors
    /// As [`ByteTable::get`] and [`ByteTable::put`].
    pub fn update<R>(&mut self, hash: u64, key: &K, change: impl FnOnce(Slot<'_, V>) -> R) -> Result<R> {
        let group = self.max_parallelism.key_group(hash);
        let key = encoded(key)?;
        let mut value: Option<V> = self
            .table
            .get(group, &key)?
            .map(|value| decode(&value))
            .transpose()?;
        let outcome = match &mut value {
            Some(value) => change(Slot::Occupied(value)),
            vacant => change(Slot::Vacant(vacant)),
        };
        if let Some(value) = &value {
            self.table.put(group, &key, &encoded(value)?)?;
        }
        Ok(outcome)
    }

    /// The same for a batch of keys, in order; each comes with something that `change` needs. They are read together, and a key
    /// that comes again is read and written once.
    ///
    /// # Errors
    /// As [`ByteTable::get_many`] and [`ByteTable::put`].
    pub fn update_each<A>(
        &mut self,
        hashes: &[u64],
        mut entries: impl Iterator<Item = (K, A)>,
        mut change: impl FnMut(A, Slot<'_, V>),
    ) -> Result<()> {
        batch::update_each(
            self.table,
            self.max_parallelism,
            hashes,
            &mut entries,
            &mut change,
        )
    }

    /// Removes a key.
    ///
    /// # Errors
    /// As [`ByteTable::delete`].
    pub fn remove(&mut self, hash: u64, key: &K) -> Result<()> {
        self.table
            .delete(self.max_parallelism.key_group(hash), &encoded(key)?)
    }

    /// Removes those of the next entries that are gone; whether there are no more.
    pub(crate) fn sweep(
        &mut self,
        place: &mut Vec<u8>,
        entries: usize,
        is_gone: impl Fn(&V) -> bool,
    ) -> Result<bool> {
        let mut keys = Vec::new();
        let is_done = self.table.scan_some(place, entries, &mut |key, value| {
            if is_gone(&decode(value)?) {
                keys.push(key.to_vec());
            }
            Ok(())
        })?;
        for key in keys {
            let group = self.max_parallelism.key_group(stable_hash_bytes(&key));
            // A table may visit what was written before, and not what is there now.
            if let Some(value) = self.table.get(group, &key)?
                && is_gone(&decode(&value)?)
            {
                self.table.delete(group, &key)?;
            }
        }
        if is_done {
            place.clear();
        }
        Ok(is_done)
    }

    /// Removes all entries and hands them out, in any order.
    ///
    /// # Errors
    /// As [`ByteTable::scan`] and [`ByteTable::delete`].
    pub fn take_all(&mut self, visit: &mut dyn FnMut(K, V) -> Result<()>) -> Result<()> {
        let mut keys = Vec::new();
        self.table.scan(&mut |key, value| {
            keys.push(key.to_vec());
            visit(decode(key)?, decode(value)?)
        })?;
        for key in keys {
            let group = self.max_parallelism.key_group(stable_hash_bytes(&key));
            self.table.delete(group, &key)?;
        }
        Ok(())
    }

    /// Visits all entries in any order.
    ///
    /// # Errors
    /// As [`ByteTable::scan`].
    pub fn scan(&mut self, visit: &mut dyn FnMut(&K, &V) -> Result<()>) -> Result<()> {
        self.table
            .scan(&mut |key, value| visit(&decode(key)?, &decode(value)?))
    }
}

fn encoded<T: serde::Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes)?;
    Ok(bytes)
}
