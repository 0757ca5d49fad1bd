//! A map per key.

use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::value_state::ValueState;
use snapline_core::{Data, Key, MaxParallelism, Result};
use std::collections::BTreeMap;

/// A handle to an ordered map per key, from map keys `MK` to values `MV`.
///
/// A key has one table entry with the whole map. In memory a map entry changes in place; a backend of
/// bytes reads and writes the map as a whole, and a snapshot of what has changed has the whole map of
/// each key that has. So maps should have tens or hundreds of entries; for more, make the map key a
/// part of the key of the stream.
///
/// An empty map is no map: the key has no entry then.
///
/// ```
/// use snapline_core::MaxParallelism;
/// use snapline_state::MapState;
///
/// let mut tables = Vec::new();
/// let visits = MapState::<String, u32, u64>::register("visits", &mut tables, MaxParallelism::DEFAULT);
/// assert_eq!(tables[0].meta().value_type, "BTreeMap<u32, u64>");
/// # let _ = visits;
/// ```
#[derive(Debug, Clone)]
pub struct MapState<K, MK, MV> {
    value: ValueState<K, BTreeMap<MK, MV>>,
}

impl<K: Key, MK: Key + Ord, MV: Data> MapState<K, MK, MV> {
    /// Adds a table to the tables that an operator wants.
    pub fn register(
        descriptor: impl Into<StateDescriptor<BTreeMap<MK, MV>>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        Self {
            value: ValueState::register(descriptor, tables, max_parallelism),
        }
    }

    /// The plain value state behind the handle. No key may get an empty map there.
    pub fn as_value(&self) -> &ValueState<K, BTreeMap<MK, MV>> {
        &self.value
    }

    /// The value of a map key, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn get(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        map_key: &MK,
    ) -> Result<Option<MV>> {
        self.read(backend, hash, key, |map| map?.get(map_key).cloned())
    }

    /// Whether a map key has a value.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn contains(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        map_key: &MK,
    ) -> Result<bool> {
        self.read(backend, hash, key, |map| {
            map.is_some_and(|map| map.contains_key(map_key))
        })
    }

    /// A copy of the map of a key, empty when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn entries(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
    ) -> Result<BTreeMap<MK, MV>> {
        self.read(backend, hash, key, |map| map.cloned().unwrap_or_default())
    }

    /// Looks at the map of a key where it is, `None` when there is none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn read<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        look: impl FnOnce(Option<&BTreeMap<MK, MV>>) -> R,
    ) -> Result<R> {
        self.value.read(backend, hash, key, look)
    }

    /// Sets the value of a map key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn put(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        map_key: MK,
        value: MV,
    ) -> Result<()> {
        self.put_all(backend, hash, key, [(map_key, value)])
    }

    /// Sets the values of map keys.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn put_all(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        entries: impl IntoIterator<Item = (MK, MV)>,
    ) -> Result<()> {
        let mut entries = entries.into_iter().peekable();
        if entries.peek().is_none() {
            return Ok(());
        }
        self.value.modify(backend, hash, key, |slot| match slot {
            Slot::Occupied(map) => map.extend(entries),
            Slot::Vacant(vacant) => *vacant = Some(entries.collect()),
        })
    }

    /// Changes the value of a map key in place, or gives it one.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn modify<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        map_key: MK,
        change: impl FnOnce(Slot<'_, MV>) -> R,
    ) -> Result<R> {
        self.value
            .modify(backend, hash, key, |slot| modify_in(slot, map_key, change))
    }

    /// Removes a map key and returns its value. With the last one the map goes.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn remove(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        map_key: &MK,
    ) -> Result<Option<MV>> {
        let (removed, is_last) = self.value.modify(backend, hash, key, |slot| match slot {
            Slot::Occupied(map) => (map.remove(map_key), map.is_empty()),
            Slot::Vacant(_) => (None, false),
        })?;
        if is_last {
            self.clear(backend, hash, key)?;
        }
        Ok(removed)
    }

    /// Removes the map of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        self.value.clear(backend, hash, key)
    }
}

/// Changes one value of the map of a key; a map comes to be with its first value.
fn modify_in<MK: Ord, MV, R>(
    map: Slot<'_, BTreeMap<MK, MV>>,
    map_key: MK,
    change: impl FnOnce(Slot<'_, MV>) -> R,
) -> R {
    let mut new = None;
    match map {
        Slot::Occupied(map) => {
            if let Some(value) = map.get_mut(&map_key) {
                return change(Slot::Occupied(value));
            }
            let outcome = change(Slot::Vacant(&mut new));
            map.extend(new.map(|value| (map_key, value)));
            outcome
        }
        Slot::Vacant(vacant) => {
            let outcome = change(Slot::Vacant(&mut new));
            *vacant = new.map(|value| BTreeMap::from([(map_key, value)]));
            outcome
        }
    }
}
