//! A list of items per key.

use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::items_state::ItemsState;
use crate::spec::TableSpec;
use crate::value_state::apply_to_all;
use snapline_core::{Data, Key, MaxParallelism, Result};

/// A handle to a list of items per key, in the order in which they were added.
///
/// A key has one table entry with the whole list. In memory an item is added in place; a backend of
/// bytes reads and writes the list as a whole, and a snapshot of what has changed has the whole list
/// of each key that has. So lists should be short: what is waited for, not what ever was.
///
/// An empty list is no list: the key has no entry then.
///
/// ```
/// use snapline_core::MaxParallelism;
/// use snapline_state::ListState;
///
/// let mut tables = Vec::new();
/// let orders = ListState::<String, u64>::register("orders", &mut tables, MaxParallelism::DEFAULT);
/// assert_eq!(tables[0].meta().value_type, "Vec<u64>");
/// # let _ = orders;
/// ```
#[derive(Debug, Clone)]
pub struct ListState<K, T> {
    lists: ItemsState<K, Vec<T>>,
}

impl<K: Key, T: Data> ListState<K, T> {
    /// Adds a table to the tables that an operator wants.
    pub fn register(
        descriptor: impl Into<StateDescriptor<Vec<T>>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
    ) -> Self {
        Self {
            lists: ItemsState::register(&descriptor.into(), tables, max_parallelism),
        }
    }

    /// A copy of the list of a key, empty when it has none.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn items(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<Vec<T>> {
        self.read(backend, hash, key, <[T]>::to_vec)
    }

    /// Looks at the list of a key where it is.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn read<R>(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        look: impl FnOnce(&[T]) -> R,
    ) -> Result<R> {
        self.lists.read(backend, hash, key, |list| {
            look(list.map_or(&[] as &[T], Vec::as_slice))
        })
    }

    /// Appends an item to the list of a key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn add(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K, item: T) -> Result<()> {
        self.lists.modify(backend, hash, key, |list, mut moments| {
            list.push(item);
            moments.added(list.len());
        })
    }

    /// Appends items to the list of a key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn add_all(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        items: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        self.lists.modify(backend, hash, key, |list, mut moments| {
            list.extend(items);
            moments.added(list.len());
        })
    }

    /// Replaces the list of a key; no items clear it.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn update(
        &self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        items: Vec<T>,
    ) -> Result<()> {
        if items.is_empty() {
            return self.clear(backend, hash, key);
        }
        self.lists.modify(backend, hash, key, |list, mut moments| {
            *list = items;
            moments.all_written(list.len());
        })
    }

    /// Removes the list of a key.
    ///
    /// # Errors
    /// The backend cannot write.
    pub fn clear(&self, backend: &mut dyn KeyedStateBackend, hash: u64, key: &K) -> Result<()> {
        self.lists.clear(backend, hash, key)
    }

    /// The keys that have a list, in any order. All of the state is read.
    ///
    /// # Errors
    /// The backend cannot read.
    pub fn keys(&self, backend: &mut dyn KeyedStateBackend) -> Result<Vec<K>> {
        let mut keys = Vec::new();
        self.lists.scan(backend, &mut |key, _| {
            keys.push(key.clone());
            Ok(())
        })?;
        Ok(keys)
    }

    /// Hands each key that has a list to a function, see [`ValueState::apply_to_all_keys`].
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
