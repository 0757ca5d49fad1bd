//! Maps that are the same in all subtasks.

use super::{OperatorState, OperatorStateKind, decode_item, encode_item};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_core::Result;
use std::sync::Arc;

impl OperatorState {
    /// Sets the value of a key in the broadcast map of this name.
    ///
    /// # Errors
    /// `Invalid` when the `Serialize` of the key or the value fails.
    pub fn put_broadcast<K: Serialize, V: Serialize>(&mut self, map: &str, key: &K, value: &V) -> Result<()> {
        let (key, value) = (encode_item(map, key)?, encode_item(map, value)?);
        let entries = self.maps.entry(map.to_owned()).or_default();
        Arc::make_mut(entries).insert(key, value);
        Ok(())
    }

    /// The value of a key in the broadcast map of this name, `None` when it has none.
    ///
    /// # Errors
    /// `Invalid` when the stored value is not of type `V`.
    pub fn broadcast<K: Serialize, V: DeserializeOwned>(&self, map: &str, key: &K) -> Result<Option<V>> {
        let key = encode_item(map, key)?;
        let value = self.maps.get(map).and_then(|entries| entries.get(&key));
        value.map(|bytes| decode_item(map, bytes)).transpose()
    }

    /// The entries of the broadcast map of this name, in the order of their encoded keys.
    ///
    /// # Errors
    /// `Invalid` when the stored entries are not of these types.
    pub fn broadcast_entries<K: DeserializeOwned, V: DeserializeOwned>(
        &self,
        map: &str,
    ) -> Result<Vec<(K, V)>> {
        let entries = self.maps.get(map).into_iter().flat_map(|entries| entries.iter());
        entries
            .map(|(key, value)| Ok((decode_item(map, key)?, decode_item(map, value)?)))
            .collect()
    }

    /// Removes a key from the broadcast map of this name and returns its value.
    ///
    /// # Errors
    /// `Invalid` when the stored value is not of type `V`; it is gone all the same.
    pub fn remove_broadcast<K: Serialize, V: DeserializeOwned>(
        &mut self,
        map: &str,
        key: &K,
    ) -> Result<Option<V>> {
        let key = encode_item(map, key)?;
        let Some(entries) = self.maps.get_mut(map) else {
            return Ok(None);
        };
        let removed = Arc::make_mut(entries).remove(&key);
        if entries.is_empty() {
            self.maps.remove(map);
        }
        removed.map(|bytes| decode_item(map, &bytes)).transpose()
    }

    /// Removes all entries of the broadcast map of this name.
    pub fn clear_broadcast(&mut self, map: &str) {
        self.maps.remove(map);
    }

    /// Keeps the broadcast maps alone.
    #[must_use]
    pub fn into_broadcast(mut self) -> Self {
        self.metas
            .retain(|(kind, _), _| *kind == OperatorStateKind::Broadcast);
        Self {
            maps: self.maps,
            metas: self.metas,
            ..Self::new()
        }
    }

    /// Takes over the broadcast maps of another subtask: for one that had ended, and so left none.
    pub fn adopt_broadcast(&mut self, other: &Self) {
        self.maps.clone_from(&other.maps);
        let of_maps = |(kind, _): &(OperatorStateKind, String)| *kind == OperatorStateKind::Broadcast;
        self.metas.retain(|key, _| !of_maps(key));
        let others = other.metas.iter().filter(|(key, _)| of_maps(key));
        self.metas
            .extend(others.map(|(key, meta)| (key.clone(), meta.clone())));
    }
}
