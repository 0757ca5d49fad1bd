//! States with one value per key.

use super::Registered;
use crate::process::ProcessContext;
use snapline_core::{Data, Key, Result};
use snapline_state as below;
use snapline_state::{AggregateFunction, Slot};
use std::fmt;

/// One value per key. Made by [`RuntimeContext::value_state`](crate::RuntimeContext::value_state);
/// the default is a placeholder until then.
#[derive(Clone)]
pub struct ValueState<K, V>(pub(super) Registered<below::ValueState<K, V>>);

impl<K: Key, V: Data> ValueState<K, V> {
    /// A copy of the value, `None` when the key has none.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn value(&self, context: &mut ProcessContext<'_, K>) -> Result<Option<V>> {
        let state = self.0.state()?;
        state.value(context.backend, context.hash, context.key)
    }

    /// Looks at the value where it is.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn read<R>(
        &self,
        context: &mut ProcessContext<'_, K>,
        look: impl FnOnce(Option<&V>) -> R,
    ) -> Result<R> {
        let state = self.0.state()?;
        state.read(context.backend, context.hash, context.key, look)
    }

    /// Sets the value.
    ///
    /// # Errors
    /// The backend cannot write.
    #[inline]
    pub fn update(&self, context: &mut ProcessContext<'_, K>, value: V) -> Result<()> {
        let state = self.0.state()?;
        state.replace(context.backend, context.hash, context.key, value)
    }

    /// Changes the value in place, or gives the key one: a read and a write in one access.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn modify<R>(
        &self,
        context: &mut ProcessContext<'_, K>,
        change: impl FnOnce(Slot<'_, V>) -> R,
    ) -> Result<R> {
        let state = self.0.state()?;
        state.modify(context.backend, context.hash, context.key, change)
    }

    /// Removes the value.
    ///
    /// # Errors
    /// The backend cannot write.
    #[inline]
    pub fn clear(&self, context: &mut ProcessContext<'_, K>) -> Result<()> {
        let state = self.0.state()?;
        state.clear(context.backend, context.hash, context.key)
    }
}

/// One value per key into which others are combined. Made by
/// [`RuntimeContext::reducing_state`](crate::RuntimeContext::reducing_state); the default is a
/// placeholder until then.
#[derive(Clone)]
pub struct ReducingState<K, V, F = fn(&mut V, V)>(pub(super) Registered<below::ReducingState<K, V, F>>);

impl<K: Key, V: Data, F: FnMut(&mut V, V)> ReducingState<K, V, F> {
    /// A copy of the value, `None` when the key has none.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn value(&self, context: &mut ProcessContext<'_, K>) -> Result<Option<V>> {
        let state = self.0.state()?.as_value();
        state.value(context.backend, context.hash, context.key)
    }

    /// Combines a value into that of the key.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn add(&mut self, context: &mut ProcessContext<'_, K>, value: V) -> Result<()> {
        let state = self.0.state_mut()?;
        state.add_to(context.backend, context.hash, context.key, value)
    }

    /// Removes the value.
    ///
    /// # Errors
    /// The backend cannot write.
    #[inline]
    pub fn clear(&self, context: &mut ProcessContext<'_, K>) -> Result<()> {
        let state = self.0.state()?.as_value();
        state.clear(context.backend, context.hash, context.key)
    }
}

/// One accumulator per key. Made by
/// [`RuntimeContext::aggregating_state`](crate::RuntimeContext::aggregating_state); the default is a
/// placeholder until then.
#[derive(Clone)]
pub struct AggregatingState<K, A: AggregateFunction>(pub(super) Registered<below::AggregatingState<K, A>>);

impl<K: Key, A: AggregateFunction> AggregatingState<K, A> {
    /// What has come of the values so far, `None` when the key has none.
    ///
    /// # Errors
    /// The backend cannot read.
    #[inline]
    pub fn result(&self, context: &mut ProcessContext<'_, K>) -> Result<Option<A::Output>> {
        let state = self.0.state()?;
        state.result(context.backend, context.hash, context.key)
    }

    /// Adds a value to the accumulator.
    ///
    /// # Errors
    /// The backend cannot read or write.
    #[inline]
    pub fn add(&self, context: &mut ProcessContext<'_, K>, value: A::Input) -> Result<()> {
        let state = self.0.state()?;
        state.add(context.backend, context.hash, context.key, value)
    }

    /// Removes the accumulator.
    ///
    /// # Errors
    /// The backend cannot write.
    #[inline]
    pub fn clear(&self, context: &mut ProcessContext<'_, K>) -> Result<()> {
        let state = self.0.state()?;
        state.clear(context.backend, context.hash, context.key)
    }
}

impl<K, V> From<below::ValueState<K, V>> for ValueState<K, V> {
    fn from(state: below::ValueState<K, V>) -> Self {
        Self(Registered(Some(state)))
    }
}

impl<K, V, F> From<below::ReducingState<K, V, F>> for ReducingState<K, V, F> {
    fn from(state: below::ReducingState<K, V, F>) -> Self {
        Self(Registered(Some(state)))
    }
}

impl<K, A: AggregateFunction> From<below::AggregatingState<K, A>> for AggregatingState<K, A> {
    fn from(state: below::AggregatingState<K, A>) -> Self {
        Self(Registered(Some(state)))
    }
}

impl<K, V> Default for ValueState<K, V> {
    fn default() -> Self {
        Self(Registered::default())
    }
}

impl<K, V, F> Default for ReducingState<K, V, F> {
    fn default() -> Self {
        Self(Registered::default())
    }
}

impl<K, A: AggregateFunction> Default for AggregatingState<K, A> {
    fn default() -> Self {
        Self(Registered::default())
    }
}

impl<K, V> fmt::Debug for ValueState<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ValueState")
    }
}

impl<K, V, F> fmt::Debug for ReducingState<K, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReducingState")
    }
}

impl<K, A: AggregateFunction> fmt::Debug for AggregatingState<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AggregatingState")
    }
}
