//! States with many values per key.

use super::Registered;
use crate::process::ProcessContext;
use snapline_core::{Data, Key, Result};
use snapline_state as below;
use snapline_state::Slot;
use std::collections::BTreeMap;
use std::fmt;

/// A list per key. Made by [`RuntimeContext::list_state`](crate::RuntimeContext::list_state); the
/// default is a placeholder until then.
#[derive(Clone)]
pub struct ListState<K, T>(pub(super) Registered<below::ListState<K, T>>);

impl<K: Key, T: Data> ListState<K, T> {
    /// A copy of the list, empty when the key has none.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn items(&self, context: &mut ProcessContext<'_, K>) -> Result<Vec<T>> {
        let state = self.0.state()?;
        state.items(context.backend, context.hash, context.key)
    }

    /// Looks at the list where it is.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn read<R>(&self, context: &mut ProcessContext<'_, K>, look: impl FnOnce(&[T]) -> R) -> Result<R> {
        let state = self.0.state()?;
        state.read(context.backend, context.hash, context.key, look)
    }

    /// Appends an item.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn add(&self, context: &mut ProcessContext<'_, K>, item: T) -> Result<()> {
        let state = self.0.state()?;
        state.add(context.backend, context.hash, context.key, item)
    }

    /// Appends items.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn add_all(
        &self,
        context: &mut ProcessContext<'_, K>,
        items: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        let state = self.0.state()?;
        state.add_all(context.backend, context.hash, context.key, items)
    }

    /// Replaces the list; no items clear it.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn update(&self, context: &mut ProcessContext<'_, K>, items: Vec<T>) -> Result<()> {
        let state = self.0.state()?;
        state.update(context.backend, context.hash, context.key, items)
    }

    /// Removes the list.
    ///
    /// # Errors
    /// The backend cannot write.
    #[inline]
    pub fn clear(&self, context: &mut ProcessContext<'_, K>) -> Result<()> {
        let state = self.0.state()?;
        state.clear(context.backend, context.hash, context.key)
    }
}

/// An ordered map per key. Made by [`RuntimeContext::map_state`](crate::RuntimeContext::map_state);
/// the default is a placeholder until then.
#[derive(Clone)]
pub struct MapState<K, MK, MV>(pub(super) Registered<below::MapState<K, MK, MV>>);

impl<K: Key, MK: Key + Ord, MV: Data> MapState<K, MK, MV> {
    /// A copy of the value of a map key, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn get(&self, context: &mut ProcessContext<'_, K>, map_key: &MK) -> Result<Option<MV>> {
        let state = self.0.state()?;
        state.get(context.backend, context.hash, context.key, map_key)
    }

    /// Whether a map key has a value.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn contains(&self, context: &mut ProcessContext<'_, K>, map_key: &MK) -> Result<bool> {
        let state = self.0.state()?;
        state.contains(context.backend, context.hash, context.key, map_key)
    }

    /// A copy of the map, empty when the key has none.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn entries(&self, context: &mut ProcessContext<'_, K>) -> Result<BTreeMap<MK, MV>> {
        let state = self.0.state()?;
        state.entries(context.backend, context.hash, context.key)
    }

    /// Looks at the map where it is.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn read<R>(
        &self,
        context: &mut ProcessContext<'_, K>,
        look: impl FnOnce(Option<&BTreeMap<MK, MV>>) -> R,
    ) -> Result<R> {
        let state = self.0.state()?;
        state.read(context.backend, context.hash, context.key, look)
    }

    /// Sets the value of a map key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn put(&self, context: &mut ProcessContext<'_, K>, map_key: MK, value: MV) -> Result<()> {
        let state = self.0.state()?;
        state.put(context.backend, context.hash, context.key, map_key, value)
    }

    /// Sets the values of map keys.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn put_all(
        &self,
        context: &mut ProcessContext<'_, K>,
        entries: impl IntoIterator<Item = (MK, MV)>,
    ) -> Result<()> {
        let state = self.0.state()?;
        state.put_all(context.backend, context.hash, context.key, entries)
    }

    /// Changes the value of a map key in place, or gives it one.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn modify<R>(
        &self,
        context: &mut ProcessContext<'_, K>,
        map_key: MK,
        change: impl FnOnce(Slot<'_, MV>) -> R,
    ) -> Result<R> {
        let state = self.0.state()?;
        state.modify(context.backend, context.hash, context.key, map_key, change)
    }

    /// Looks at all entries in order, changes their values in place, and keeps those for which `keep` says so.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn retain(
        &self,
        context: &mut ProcessContext<'_, K>,
        keep: impl FnMut(&MK, &mut MV) -> bool,
    ) -> Result<()> {
        let state = self.0.state()?;
        state.retain(context.backend, context.hash, context.key, keep)
    }

    /// Whether the map has no entries.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn is_empty(&self, context: &mut ProcessContext<'_, K>) -> Result<bool> {
        let state = self.0.state()?;
        state.is_empty(context.backend, context.hash, context.key)
    }

    /// Removes a map key and returns its value.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn remove(&self, context: &mut ProcessContext<'_, K>, map_key: &MK) -> Result<Option<MV>> {
        let state = self.0.state()?;
        state.remove(context.backend, context.hash, context.key, map_key)
    }

    /// Removes the map.
    ///
    /// # Errors
    /// The backend cannot write.
    #[inline]
    pub fn clear(&self, context: &mut ProcessContext<'_, K>) -> Result<()> {
        let state = self.0.state()?;
        state.clear(context.backend, context.hash, context.key)
    }
}

impl<K, T> From<below::ListState<K, T>> for ListState<K, T> {
    fn from(state: below::ListState<K, T>) -> Self {
        Self(Registered(Some(state)))
    }
}

impl<K, MK, MV> From<below::MapState<K, MK, MV>> for MapState<K, MK, MV> {
    fn from(state: below::MapState<K, MK, MV>) -> Self {
        Self(Registered(Some(state)))
    }
}

impl<K, T> Default for ListState<K, T> {
    fn default() -> Self {
        Self(Registered::default())
    }
}

impl<K, MK, MV> Default for MapState<K, MK, MV> {
    fn default() -> Self {
        Self(Registered::default())
    }
}

impl<K, T> fmt::Debug for ListState<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListState")
    }
}

impl<K, MK, MV> fmt::Debug for MapState<K, MK, MV> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapState")
    }
}
