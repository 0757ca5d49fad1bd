//! Going through the keys of a state.

use super::{AggregatingState, ListState, MapState, ReducingState, ValueState};
use snapline_core::{Data, Key, Result};
use snapline_state::{AggregateFunction, KeyedStateBackend};

/// A state per key of whichever kind, whose keys can be gone through.
///
/// Sealed: a backend has to know the kind.
pub trait StatePerKey<K>: sealed::Keys<K> {}

pub(crate) mod sealed {
    use super::{KeyedStateBackend, Result};

    /// What is done for a key: with the backend, its hash and itself.
    pub(crate) type Apply<'a, K> = dyn FnMut(&mut dyn KeyedStateBackend, u64, &K) -> Result<()> + 'a;

    /// The way to the keys.
    pub trait Keys<K> {
        #[doc(hidden)]
        fn for_each_key(&self, backend: &mut dyn KeyedStateBackend, apply: &mut Apply<'_, K>) -> Result<()>;
    }
}

use sealed::{Apply, Keys};

impl<K: Key, V: Data> StatePerKey<K> for ValueState<K, V> {}
impl<K: Key, T: Data> StatePerKey<K> for ListState<K, T> {}
impl<K: Key, MK: Key + Ord, MV: Data> StatePerKey<K> for MapState<K, MK, MV> {}
impl<K: Key, V: Data, F: FnMut(&mut V, V)> StatePerKey<K> for ReducingState<K, V, F> {}
impl<K: Key, A: AggregateFunction> StatePerKey<K> for AggregatingState<K, A> {}

impl<K: Key, V: Data> Keys<K> for ValueState<K, V> {
    fn for_each_key(&self, backend: &mut dyn KeyedStateBackend, apply: &mut Apply<'_, K>) -> Result<()> {
        self.0.state()?.apply_to_all_keys(backend, apply)
    }
}

impl<K: Key, T: Data> Keys<K> for ListState<K, T> {
    fn for_each_key(&self, backend: &mut dyn KeyedStateBackend, apply: &mut Apply<'_, K>) -> Result<()> {
        self.0.state()?.apply_to_all_keys(backend, apply)
    }
}

impl<K: Key, MK: Key + Ord, MV: Data> Keys<K> for MapState<K, MK, MV> {
    fn for_each_key(&self, backend: &mut dyn KeyedStateBackend, apply: &mut Apply<'_, K>) -> Result<()> {
        self.0.state()?.apply_to_all_keys(backend, apply)
    }
}

impl<K: Key, V: Data, F: FnMut(&mut V, V)> Keys<K> for ReducingState<K, V, F> {
    fn for_each_key(&self, backend: &mut dyn KeyedStateBackend, apply: &mut Apply<'_, K>) -> Result<()> {
        self.0.state()?.as_value().apply_to_all_keys(backend, apply)
    }
}

impl<K: Key, A: AggregateFunction> Keys<K> for AggregatingState<K, A> {
    fn for_each_key(&self, backend: &mut dyn KeyedStateBackend, apply: &mut Apply<'_, K>) -> Result<()> {
        self.0.state()?.as_value().apply_to_all_keys(backend, apply)
    }
}
