//! One value per key that grows by combining.

use crate::backend::KeyedStateBackend;
use crate::descriptor::StateDescriptor;
use crate::spec::TableSpec;
use crate::table::Slot;
use crate::value_state::ValueState;
use snapline_core::{Data, Key, MaxParallelism, Result};

/// A handle to one value per key into which others are combined.
#[derive(Debug, Clone)]
pub struct ReducingState<K, V, F> {
    value: ValueState<K, V>,
    combine: F,
}

impl<K: Key, V: Data, F: FnMut(&mut V, V)> ReducingState<K, V, F> {
    /// Adds a table to the tables that an operator wants; `combine` folds a new value into the one that is there.
    pub fn register(
        descriptor: impl Into<StateDescriptor<V>>,
        tables: &mut Vec<TableSpec>,
        max_parallelism: MaxParallelism,
        combine: F,
    ) -> Self {
        Self {
            value: ValueState::register(descriptor, tables, max_parallelism),
            combine,
        }
    }

    /// The plain value state behind the handle.
    pub fn as_value(&self) -> &ValueState<K, V> {
        &self.value
    }

    /// Combines a value into that of a key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn add(&mut self, backend: &mut dyn KeyedStateBackend, hash: u64, key: K, value: V) -> Result<()> {
        if self.value.has_time_to_live() {
            return self.add_to(backend, hash, &key, value);
        }
        let combine = &mut self.combine;
        self.value.table(backend)?.update(hash, key, |slot| match slot {
            Slot::Occupied(old) => combine(old, value),
            Slot::Vacant(vacant) => *vacant = Some(value),
        })
    }

    /// The same for a key that is copied only if it had no value.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub fn add_to(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        hash: u64,
        key: &K,
        value: V,
    ) -> Result<()> {
        let combine = &mut self.combine;
        self.value.modify(backend, hash, key, |slot| match slot {
            Slot::Occupied(old) => combine(old, value),
            Slot::Vacant(vacant) => *vacant = Some(value),
        })
    }

    /// Combines a batch of values in order and calls `updated` with each position and the value
    /// after it was combined.
    ///
    /// # Errors
    /// The backend cannot read or write; `Unsupported` when values expire.
    pub fn add_batch(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        hashes: &[u64],
        entries: impl Iterator<Item = (K, V)>,
        mut updated: impl FnMut(usize, &V),
    ) -> Result<()> {
        let combine = &mut self.combine;
        let entries = entries
            .enumerate()
            .map(|(index, (key, value))| (key, (index, value)));
        self.value
            .table(backend)?
            .update_each(hashes, entries, |(index, value), slot| match slot {
                Slot::Occupied(old) => {
                    combine(old, value);
                    updated(index, old);
                }
                Slot::Vacant(vacant) => updated(index, vacant.insert(value)),
            })
    }
}
