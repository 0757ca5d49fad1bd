//! A map per key.

use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::items_state::{ItemsState, Moments};
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::value_state::apply_to_all;
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
    maps: ItemsState<K, BTreeMap<MK, MV>>,
}

impl<K: Key, MK: Key + Ord, MV: Data> MapState<K, MK, MV> {
    /// Adds a table to the tables that an operator wants.
    pub fn register(
        descriptor: impl Into<StateDescriptor<BTreeMap<MK, MV>>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        Self {
            maps: ItemsState::register(&descriptor.into(), tables, max_parallelism),
        }
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
        self.maps.read(backend, hash, key, look)
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
        self.maps.modify(backend, hash, key, |map, mut moments| {
            for (map_key, value) in entries {
                put(map, &mut moments, map_key, value);
            }
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
        self.maps.modify(backend, hash, key, |map, mut moments| {
            if let Some(value) = map.get_mut(&map_key) {
                let outcome = change(Slot::Occupied(value));
                if moments.are_kept() {
                    moments.written(position(map, &map_key));
                }
                return outcome;
            }
            let mut new = None;
            let outcome = change(Slot::Vacant(&mut new));
            if let Some(value) = new {
                put(map, &mut moments, map_key, value);
            }
            outcome
        })
    }

    /// Looks at all entries of a key in order, changes their values in place, and keeps those for which `keep`
    /// says so. With the last one the map goes. Those that stay count as written.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn retain(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        mut keep: impl FnMut(&MK, &mut MV) -> bool,
    ) -> Result<()> {
        self.maps.modify(backend, hash, key, |map, mut moments| {
            map.retain(|map_key, value| keep(map_key, value));
            moments.all_written(map.len());
        })
    }

    /// Whether the key has no map, which is to say an empty one.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn is_empty(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<bool> {
        self.read(backend, hash, key, |map| map.is_none())
    }

    /// Removes some map keys, and combines their values into that of another, which may be among them and gets the
    /// first value if it has none.
    pub(crate) fn merge(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        target: MK,
        sources: impl IntoIterator<Item = MK>,
        mut combine: impl FnMut(&mut MV, MV),
    ) -> Result<()> {
        self.maps.modify(backend, hash, key, |map, mut moments| {
            let mut merged: Option<MV> = None;
            for source in sources.into_iter().filter(|source| *source != target) {
                let more = take(map, &mut moments, &source);
                merged = match (merged, more) {
                    (Some(mut merged), Some(more)) => {
                        combine(&mut merged, more);
                        Some(merged)
                    }
                    (merged, more) => merged.or(more),
                };
            }
            let Some(merged) = merged else { return };
            if let Some(value) = map.get_mut(&target) {
                combine(value, merged);
                if moments.are_kept() {
                    moments.written(position(map, &target));
                }
            } else {
                put(map, &mut moments, target, merged);
            }
        })
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
        self.maps.modify(backend, hash, key, |map, mut moments| {
            take(map, &mut moments, map_key)
        })
    }

    /// Removes the map of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        self.maps.clear(backend, hash, key)
    }

    /// The keys that have a map, in any order. All of the state is read.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn keys(&self, backend: &mut dyn KeyedStateBackend) -> Result<Vec<K>> {
        self.keys_where(backend, |_| true)
    }

    /// The keys whose maps are like this.
    pub(crate) fn keys_where(
        &self,
        backend: &mut dyn KeyedStateBackend,
        is_wanted: impl Fn(&BTreeMap<MK, MV>) -> bool,
    ) -> Result<Vec<K>> {
        let mut keys = Vec::new();
        self.maps.scan(backend, &mut |key, map| {
            keys.extend(is_wanted(map).then(|| key.clone()));
            Ok(())
        })?;
        Ok(keys)
    }

    /// Hands each key that has a map to a function, see [`ValueState::apply_to_all_keys`].
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the function.
    ///
    /// [`ValueState::apply_to_all_keys`]: crate::ValueState::apply_to_all_keys
    pub fn apply_to_all_keys(
        &self,
        backend: &mut dyn KeyedStateBackend,
        apply: impl FnMut(&mut dyn KeyedStateBackend, u64, &K) -> Result<()>,
    ) -> Result<()> {
        let keys = self.keys(backend)?;
        apply_to_all(&keys, backend, apply)
    }
}

/// Sets the value of a map key.
fn put<MK: Ord + Clone, MV>(map: &mut BTreeMap<MK, MV>, moments: &mut Moments<'_>, map_key: MK, value: MV) {
    if !moments.are_kept() {
        map.insert(map_key, value);
        return;
    }
    let at = position(map, &map_key);
    match map.insert(map_key, value) {
        Some(_) => moments.written(at),
        None => moments.inserted(at),
    }
}

/// Removes a map key.
fn take<MK: Ord, MV>(map: &mut BTreeMap<MK, MV>, moments: &mut Moments<'_>, map_key: &MK) -> Option<MV> {
    if moments.are_kept() && map.contains_key(map_key) {
        moments.removed(position(map, map_key));
    }
    map.remove(map_key)
}

/// How many map keys come before this one.
fn position<MK: Ord, MV>(map: &BTreeMap<MK, MV>, map_key: &MK) -> usize {
    map.range(..map_key).count()
}
