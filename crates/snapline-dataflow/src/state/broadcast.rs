//! Maps that are the same in all subtasks.

use super::Registered;
use snapline_core::{Data, Error, Key, Result};
use snapline_state::{OperatorState, OperatorStateKind, StateDescriptor};
use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// A map that all subtasks have alike, because all are told the same. Made by
/// [`RuntimeContext::broadcast_state`](crate::RuntimeContext::broadcast_state); the default is a placeholder until then.
///
/// Contexts lead to the map: those of records to look at it, those of broadcast records to change it.
///
/// It is in memory whatever the state backend, once as values and once encoded, and every subtask stores its copy with
/// each checkpoint: it is for rules by the thousand. At a restore subtask `i` gets the copy of subtask `i` modulo the old
/// parallelism. A checkpoint copies nothing when it is taken; the first change after it copies the table of encoded
/// entries, not what is in them.
pub struct BroadcastState<K, V> {
    map: Registered<usize>,
    types: PhantomData<fn() -> (K, V)>,
}

/// A [`BroadcastState`] that may be changed. Looking is as in a [`BTreeMap`].
pub struct BroadcastStateMut<'a, K, V> {
    name: &'a str,
    entries: &'a mut BTreeMap<K, V>,
    stored: &'a mut OperatorState,
}

impl<K: Key + Ord, V: Data> BroadcastStateMut<'_, K, V> {
    /// Sets the value of a key and returns the one that it had.
    ///
    /// # Errors
    /// `Invalid` when the `Serialize` of the key or the value fails; nothing has changed then.
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>> {
        self.stored.put_broadcast(self.name, &key, &value)?;
        Ok(self.entries.insert(key, value))
    }

    /// Removes a key and returns its value.
    ///
    /// # Errors
    /// `Invalid` when the `Serialize` of the key fails.
    pub fn remove(&mut self, key: &K) -> Result<Option<V>> {
        self.stored.remove_broadcast::<K, V>(self.name, key)?;
        Ok(self.entries.remove(key))
    }

    /// Removes all entries.
    pub fn clear(&mut self) {
        self.stored.clear_broadcast(self.name);
        self.entries.clear();
    }
}

impl<K, V> Deref for BroadcastStateMut<'_, K, V> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        self.entries
    }
}

/// The broadcast maps of one subtask while it runs.
#[derive(Default)]
pub(crate) struct BroadcastMaps {
    /// What a snapshot takes.
    stored: OperatorState,
    live: Vec<LiveMap>,
}

/// The same as values: a `BTreeMap` of the types with which the map was registered.
struct LiveMap {
    name: String,
    entries: Box<dyn Any + Send>,
}

impl BroadcastMaps {
    /// The maps of a snapshot, before anybody has said of which types they are. Those that nobody asks for stay in
    /// later snapshots.
    pub(crate) fn restore(stored: &OperatorState) -> Self {
        Self {
            stored: stored.clone().into_broadcast(),
            live: Vec::new(),
        }
    }

    /// What a snapshot takes: a constant-time copy.
    pub(crate) fn frozen(&self) -> OperatorState {
        self.stored.clone()
    }

    /// Whether a function has asked for a map.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.live.is_empty()
    }

    pub(crate) fn register<K: Key + Ord, V: Data>(
        &mut self,
        descriptor: &StateDescriptor<V>,
    ) -> Result<BroadcastState<K, V>> {
        let name = descriptor.name();
        let known = self.live.iter().position(|map| map.name == name);
        let map = match known {
            Some(map) if self.live[map].entries.is::<BTreeMap<K, V>>() => map,
            Some(_) => return Err(two_types().with("state", name)),
            None => {
                self.stored
                    .declare::<K, V>(OperatorStateKind::Broadcast, descriptor)?;
                let entries: BTreeMap<K, V> = self.stored.broadcast_entries(name)?.into_iter().collect();
                self.live.push(LiveMap {
                    name: name.to_owned(),
                    entries: Box::new(entries),
                });
                self.live.len() - 1
            }
        };
        Ok(BroadcastState {
            map: Registered(Some(map)),
            types: PhantomData,
        })
    }

    #[inline]
    pub(crate) fn map<K: Key + Ord, V: Data>(&self, state: &BroadcastState<K, V>) -> Result<&BTreeMap<K, V>> {
        let map = self.live.get(*state.map.state()?);
        map.and_then(|map| map.entries.downcast_ref()).ok_or_else(foreign)
    }

    pub(crate) fn map_mut<K: Key + Ord, V: Data>(
        &mut self,
        state: &BroadcastState<K, V>,
    ) -> Result<BroadcastStateMut<'_, K, V>> {
        let LiveMap { name, entries } = self.live.get_mut(*state.map.state()?).ok_or_else(foreign)?;
        Ok(BroadcastStateMut {
            name,
            entries: entries.downcast_mut().ok_or_else(foreign)?,
            stored: &mut self.stored,
        })
    }
}

pub(super) fn two_types() -> Error {
    Error::invalid("two states of operator state have the same name and different types or kinds; rename one")
}

#[cold]
fn foreign() -> Error {
    Error::invalid("a broadcast state is used in another function than the one that registered it")
}

impl<K, V> Clone for BroadcastState<K, V> {
    fn clone(&self) -> Self {
        Self {
            map: self.map.clone(),
            types: PhantomData,
        }
    }
}

impl<K, V> Default for BroadcastState<K, V> {
    fn default() -> Self {
        Self {
            map: Registered::default(),
            types: PhantomData,
        }
    }
}

impl<K, V> fmt::Debug for BroadcastState<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BroadcastState")
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for BroadcastStateMut<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.entries.iter()).finish()
    }
}
