//! One value per key.

use crate::access::TableMut;
use crate::backend::KeyedStateBackend;
use crate::spec::{TableId, TableSpec};
use crate::table::Slot;
use snapline_core::{Data, Key, MaxParallelism, Result};
use std::marker::PhantomData;

/// A handle to one value per key, which survives failures.
///
/// The handle is small and holds no state; it names a table of the backend that is passed to each call.
#[derive(Debug)]
pub struct ValueState<K, V> {
    table: TableId,
    max_parallelism: MaxParallelism,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Data> ValueState<K, V> {
    /// Adds a table of this name to the tables that an operator wants.
    pub fn register(name: &str, tables: &mut Vec<TableSpec>, max_parallelism: MaxParallelism) -> Self {
        let table = TableId(tables.len() as u16);
        tables.push(TableSpec::new::<K, V>(name));
        Self {
            table,
            max_parallelism,
            types: PhantomData,
        }
    }

    /// The table behind the handle, for access by batch.
    ///
    /// # Errors
    /// `Internal` when the backend was opened with other tables.
    pub fn table<'a>(&self, backend: &'a mut dyn KeyedStateBackend) -> Result<TableMut<'a, K, V>> {
        TableMut::of(backend, self.table, self.max_parallelism)
    }

    /// The value of a key, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn value(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<Option<V>> {
        self.table(backend)?.get(hash, key)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn update(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: K, value: V) -> Result<()> {
        self.table(backend)?.update(hash, key, |slot| match slot {
            Slot::Occupied(old) => *old = value,
            Slot::Vacant(vacant) => *vacant = Some(value),
        })
    }

    /// Removes the value of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        self.table(backend)?.remove(hash, key)
    }
}
