//! Maps that are the same in all subtasks.

use super::{OperatorState, decode_item, encode_item};
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_core::Result;

impl OperatorState {
    /// Sets the value of a key in the broadcast map of this name.
    ///
    /// # Errors
    /// `Invalid` when the `Serialize` of the key or the value fails.
    pub fn put_broadcast<K: Serialize, V: Serialize>(&mut self, map: &str, key: &K, value: &V) -> Result<()> {
        let (key, value) = (encode_item(map, key)?, encode_item(map, value)?);
        self.maps.entry(map.to_owned()).or_default().insert(key, value);
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
        let entries = self.maps.get(map).into_iter().flatten();
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
        let removed = entries.remove(&key);
        if entries.is_empty() {
            self.maps.remove(map);
        }
        removed.map(|bytes| decode_item(map, &bytes)).transpose()
    }
}
