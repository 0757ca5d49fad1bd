//! One value per key.

mod expiring;

pub(crate) use expiring::LOOKED_AT;

use crate::access::TableMut;
use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::spec::{TableId, TableSpec};
use crate::table::Slot;
use crate::ttl::Ttl;
use snapline_core::{Data, Error, Key, MaxParallelism, Result, StableHasher};
use std::fmt;
use std::marker::PhantomData;

/// A handle to one value per key, which survives failures.
///
/// The handle is small and holds no state; it names a table of the backend that is passed to each call.
pub struct ValueState<K, V> {
    table: TableId,
    max_parallelism: MaxParallelism,
    ttl: Option<Ttl>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Data> ValueState<K, V> {
    /// Adds a table to the tables that an operator wants: of this name, or as the descriptor says.
    pub fn register(
        descriptor: impl Into<StateDescriptor<V>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        let descriptor = descriptor.into();
        let spec = TableSpec::of::<K, V>(&descriptor);
        Self {
            ttl: descriptor.evolution().ttl.clone(),
            ..Self::of_table(spec, tables, max_parallelism)
        }
    }

    /// Adds this table, whose values are of type `V`.
    pub(crate) fn of_table(
        spec: TableSpec,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        let table = TableId(tables.len() as u16);
        tables.push(spec);
        Self {
            table,
            max_parallelism,
            ttl: None,
            types: PhantomData,
        }
    }

    /// Whether values expire.
    pub fn has_time_to_live(&self) -> bool {
        self.ttl.is_some()
    }

    /// The table behind the handle, for access by batch.
    ///
    /// # Errors
    /// `Internal` when the backend was opened with other tables; `Unsupported` when values expire, since
    /// there are others in the table then.
    pub fn table<'a>(&self, backend: &'a mut dyn KeyedStateBackend) -> Result<TableMut<'a, K, V>> {
        if self.ttl.is_some() {
            return Err(Error::unsupported(
                "a state with a time to live has no table of its values; access it key by key",
            ));
        }
        TableMut::of(backend, self.table, self.max_parallelism)
    }

    /// A copy of the value of a key, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn value(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<Option<V>> {
        self.read(backend, hash, key, |value| value.cloned())
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn update(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: K, value: V) -> Result<()> {
        if self.ttl.is_some() {
            return self.replace(backend, hash, &key, value);
        }
        self.table(backend)?.update(hash, key, |slot| match slot {
            Slot::Occupied(old) => *old = value,
            Slot::Vacant(vacant) => *vacant = Some(value),
        })
    }

    /// The same for a key that is copied only if it had no value.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn replace(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K, value: V) -> Result<()> {
        self.modify(backend, hash, key, |slot| match slot {
            Slot::Occupied(old) => *old = value,
            Slot::Vacant(vacant) => *vacant = Some(value),
        })
    }

    /// Looks at the value of a key where it is, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn read<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        look: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        match &self.ttl {
            None => self.table(backend)?.read(hash, key, look),
            Some(ttl) => self.read_expiring(ttl, backend, hash, key, look),
        }
    }

    /// Changes the value of a key in place, or gives it one: a read and a write in one access.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn modify<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        change: impl FnOnce(Slot<'_, V>) -> R,
    ) -> Result<R> {
        match &self.ttl {
            None => self.table(backend)?.modify(hash, key, change),
            Some(ttl) => self.modify_expiring(ttl, backend, hash, key, change),
        }
    }

    /// The keys that have a value, in any order. All of the state is read.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn keys(&self, backend: &mut dyn KeyedStateBackend) -> Result<Vec<K>> {
        let mut keys = Vec::new();
        let mut keep = |key: &K| {
            keys.push(key.clone());
            Ok(())
        };
        match &self.ttl {
            None => self.table(backend)?.scan(&mut |key, _| keep(key))?,
            Some(ttl) => self.scan_expiring(ttl, backend, &mut keep)?,
        }
        Ok(keys)
    }

    /// Hands each key that has a value, once and with its hash, to a function that may change this state and
    /// others. A key that the function gives a value is not among them.
    ///
    /// ```
    /// # use snapline_core::{MaxParallelism, Result};
    /// # use snapline_state::{KeyedStateBackend, Slot, ValueState};
    /// fn age(ages: &ValueState<String, u32>, backend: &mut dyn KeyedStateBackend) -> Result<()> {
    ///     ages.apply_to_all_keys(backend, |backend, hash, key| {
    ///         ages.modify(backend, hash, key, |slot| {
    ///             if let Slot::Occupied(age) = slot {
    ///                 *age += 1;
    ///             }
    ///         })
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the function.
    pub fn apply_to_all_keys(
        &self,
        backend: &mut dyn KeyedStateBackend,
        apply: impl FnMut(&mut dyn KeyedStateBackend, u64, &K) -> Result<()>,
    ) -> Result<()> {
        let keys = self.keys(backend)?;
        apply_to_all(&keys, backend, apply)
    }

    /// Removes the value of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        match &self.ttl {
            None => self.table(backend)?.remove(hash, key),
            Some(ttl) => self.remove_expiring(ttl, backend, hash, key),
        }
    }
}

/// Hands each key with its hash to a function.
pub(crate) fn apply_to_all<K: Key>(
    keys: &[K],
    backend: &mut dyn KeyedStateBackend,
    mut apply: impl FnMut(&mut dyn KeyedStateBackend, u64, &K) -> Result<()>,
) -> Result<()> {
    let mut hasher = StableHasher::new();
    keys.iter().try_for_each(|key| {
        let hash = hasher.hash(key)?;
        apply(backend, hash, key)
    })
}

impl<K, V> Clone for ValueState<K, V> {
    fn clone(&self) -> Self {
        Self {
            table: self.table,
            max_parallelism: self.max_parallelism,
            ttl: self.ttl.clone(),
            types: PhantomData,
        }
    }
}

impl<K, V> fmt::Debug for ValueState<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValueState({})", self.table.0)
    }
}
