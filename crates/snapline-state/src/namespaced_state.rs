//! One value per key and namespace.

use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::map_state::MapState;
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::value_state::apply_to_all;
use snapline_core::{Data, Key, MaxParallelism, Result};
use std::collections::BTreeMap;

/// A handle to one value per key and namespace: to what windows have of a key, each window being a
/// namespace.
///
/// The namespaces of a key are an ordered map in its table entry. So all of them are where the key is,
/// at any parallelism, and the limits are those of a [`MapState`]: a key should have few namespaces at a
/// time. `V` may be a list or an accumulator.
///
/// ```
/// use snapline_core::MaxParallelism;
/// use snapline_state::NamespacedState;
///
/// let mut tables = Vec::new();
/// let max = MaxParallelism::DEFAULT;
/// let sums = NamespacedState::<String, u64, f64>::register("sums", &mut tables, max);
/// assert_eq!(tables[0].meta().value_type, "BTreeMap<u64, f64>");
/// # let _ = sums;
/// ```
#[derive(Debug, Clone)]
pub struct NamespacedState<K, N, V> {
    map: MapState<K, N, V>,
}

impl<K: Key, N: Key + Ord, V: Data> NamespacedState<K, N, V> {
    /// Adds a table to the tables that an operator wants.
    pub fn register(
        descriptor: impl Into<StateDescriptor<BTreeMap<N, V>>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        Self {
            map: MapState::register(descriptor, tables, max_parallelism),
        }
    }

    /// The map state behind the handle, from namespaces to values.
    pub fn as_map(&self) -> &MapState<K, N, V> {
        &self.map
    }

    /// Looks at the value of a key in a namespace where it is, `None` when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn read<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        namespace: &N,
        look: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        self.map.read(backend, hash, key, |values| {
            look(values.and_then(|values| values.get(namespace)))
        })
    }

    /// Changes the value of a key in a namespace in place, or gives it one.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn modify<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        namespace: N,
        change: impl FnOnce(Slot<'_, V>) -> R,
    ) -> Result<R> {
        self.map.modify(backend, hash, key, namespace, change)
    }

    /// Removes the value of a key in a namespace and returns it: a window ends.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn take(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        namespace: &N,
    ) -> Result<Option<V>> {
        self.map.remove(backend, hash, key, namespace)
    }

    /// The namespaces in which a key has a value, in order.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn namespaces(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<Vec<N>> {
        self.map.read(backend, hash, key, |values| {
            values.into_iter().flat_map(BTreeMap::keys).cloned().collect()
        })
    }

    /// Combines the values that a key has in some namespaces into the one that it has in another, and removes them:
    /// windows become one. The target may be among the sources. In memory nothing is copied.
    ///
    /// ```
    /// # use snapline_core::Result;
    /// # use snapline_state::{KeyedStateBackend, NamespacedState};
    /// fn become_one(
    ///     sessions: &NamespacedState<String, u64, Vec<u64>>,
    ///     backend: &mut dyn KeyedStateBackend,
    ///     (hash, key): (u64, &String),
    /// ) -> Result<()> {
    ///     sessions.merge(backend, hash, key, 1, [2, 3], |items, more| items.extend(more))
    /// }
    /// ```
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn merge(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        target: N,
        sources: impl IntoIterator<Item = N>,
        combine: impl FnMut(&mut V, V),
    ) -> Result<()> {
        self.map.merge(backend, hash, key, target, sources, combine)
    }

    /// The keys that have a value in a namespace, in any order. All of the state is read.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn keys(&self, backend: &mut dyn KeyedStateBackend, namespace: &N) -> Result<Vec<K>> {
        self.map
            .keys_where(backend, |values| values.contains_key(namespace))
    }

    /// Hands each key that has a value in a namespace to a function, see [`ValueState::apply_to_all_keys`].
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the function.
    ///
    /// [`ValueState::apply_to_all_keys`]: crate::ValueState::apply_to_all_keys
    pub fn apply_to_all_keys(
        &self,
        backend: &mut dyn KeyedStateBackend,
        namespace: &N,
        apply: impl FnMut(&mut dyn KeyedStateBackend, u64, &K) -> Result<()>,
    ) -> Result<()> {
        let keys = self.keys(backend, namespace)?;
        apply_to_all(&keys, backend, apply)
    }

    /// Removes the values of a key in all namespaces.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        self.map.clear(backend, hash, key)
    }
}
