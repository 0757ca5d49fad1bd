//! What a function is told with each broadcast record.

use super::ProcessContext;
use crate::operator::timers::KeyedTimers;
use crate::state::{
    BroadcastMaps, BroadcastState, BroadcastStateMut, Lists, OperatorLists, OperatorStateContext, StatePerKey,
};
use snapline_core::{Clock, Data, Key, Result, Timestamp, Watermark};
use snapline_state::KeyedStateBackend;
use std::fmt;

/// The broadcast record at hand of a function without keys: its time, and the way to the operator state.
pub struct BroadcastContext<'a> {
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) watermark: Watermark,
    pub(crate) lists: &'a mut OperatorLists,
    pub(crate) broadcast: &'a mut BroadcastMaps,
}

impl BroadcastContext<'_> {
    /// The event time of the record, if it has one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The time of now, which is another in each subtask: what is written into a broadcast state must not come of it.
    pub fn processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far event time has come, which may be another in each subtask.
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// A map that all subtasks change alike.
    ///
    /// # Errors
    /// `Invalid` when the state was not registered.
    pub fn broadcast_state<BK: Key + Ord, BV: Data>(
        &mut self,
        state: &BroadcastState<BK, BV>,
    ) -> Result<BroadcastStateMut<'_, BK, BV>> {
        self.broadcast.map_mut(state)
    }
}

impl OperatorStateContext for BroadcastContext<'_> {}

impl Lists for BroadcastContext<'_> {
    fn lists(&mut self) -> &mut OperatorLists {
        self.lists
    }
}

impl fmt::Debug for BroadcastContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastContext")
            .field("timestamp", &self.timestamp)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}

/// The broadcast record at hand beside a keyed stream: its time, the way to the broadcast state, and to all keys that this
/// subtask has.
pub struct KeyedBroadcastContext<'a, K> {
    pub(crate) backend: &'a mut dyn KeyedStateBackend,
    pub(crate) timers: Option<&'a mut KeyedTimers<K, ()>>,
    pub(crate) broadcast: &'a mut BroadcastMaps,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) watermark: Watermark,
}

impl<K> KeyedBroadcastContext<'_, K> {
    /// The event time of the record, if it has one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The time of now, which is another in each subtask: what is written into a broadcast state must not come of it.
    pub fn processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far event time has come, which may be another in each subtask.
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// A map that all subtasks change alike.
    ///
    /// # Errors
    /// `Invalid` when the state was not registered.
    pub fn broadcast_state<BK: Key + Ord, BV: Data>(
        &mut self,
        state: &BroadcastState<BK, BV>,
    ) -> Result<BroadcastStateMut<'_, BK, BV>> {
        self.broadcast.map_mut(state)
    }
}

impl<K: Key> KeyedBroadcastContext<'_, K> {
    /// Calls a function once for each key of this subtask that has something in a state, in any order. It sees the states
    /// and timers of that key, and may change all of them.
    ///
    /// All of the state is read, and the keys are copied before the first call; meanwhile nothing else happens in the
    /// subtask.
    ///
    /// # Errors
    /// The backend cannot read, or the first error of the function.
    pub fn apply_to_keyed_state(
        &mut self,
        state: &impl StatePerKey<K>,
        mut apply: impl FnMut(&mut ProcessContext<'_, K>) -> Result<()>,
    ) -> Result<()> {
        state.for_each_key(self.backend, &mut |backend, hash, key| {
            apply(&mut ProcessContext {
                backend,
                hash,
                key,
                timestamp: self.timestamp,
                clock: self.clock,
                watermark: self.watermark,
                timers: self.timers.as_deref_mut(),
                broadcast: self.broadcast,
            })
        })
    }
}

impl<K> fmt::Debug for KeyedBroadcastContext<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBroadcastContext")
            .field("timestamp", &self.timestamp)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}
