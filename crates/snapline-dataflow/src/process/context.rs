//! What a function is told with each record and each timer.

use crate::operator::timers::KeyedTimers;
use crate::state::{BroadcastMaps, BroadcastState};
use snapline_core::{Clock, Data, Error, Key, Result, Timestamp, Watermark};
use snapline_state::KeyedStateBackend;
use std::collections::BTreeMap;
use std::fmt;

/// The record or the timer at hand: its key, its time, and the way to the states and timers of its key.
pub struct ProcessContext<'a, K> {
    pub(crate) backend: &'a mut dyn KeyedStateBackend,
    pub(crate) hash: u64,
    pub(crate) key: &'a K,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) watermark: Watermark,
    /// `None` for functions that take no timers.
    pub(crate) timers: Option<&'a mut KeyedTimers<K, ()>>,
    pub(crate) broadcast: &'a BroadcastMaps,
}

/// The time that a timer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_enums, reason = "there are two")]
pub enum TimeDomain {
    /// The time of the records, as the watermark tells it.
    EventTime,
    /// The time of the clock.
    ProcessingTime,
}

impl<'a, K> ProcessContext<'a, K> {
    /// The key of the record or timer.
    pub fn current_key(&self) -> &K {
        self.key
    }

    /// The event time of the record, if it has one, or of the timer, if that is one of event time.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// The time of now. After a failure records may be processed again at another time.
    pub fn processing_time(&self) -> Timestamp {
        self.clock.now()
    }

    /// How far event time has come: no record with this timestamp or an earlier one is waited for.
    /// [`Watermark::MIN`] before the first watermark, also after a failure, unless timers were firing when the
    /// checkpoint was taken.
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// A map that broadcast records have made, to look at: in a
    /// [`KeyedBroadcastProcessFunction`](crate::KeyedBroadcastProcessFunction).
    ///
    /// # Errors
    /// `Invalid` when the state was not registered.
    #[inline]
    pub fn broadcast_state<BK: Key + Ord, BV: Data>(
        &self,
        state: &BroadcastState<BK, BV>,
    ) -> Result<&'a BTreeMap<BK, BV>> {
        self.broadcast.map(state)
    }
}

impl<K: Key> ProcessContext<'_, K> {
    /// Lets [`on_timer`](crate::KeyedProcessFunction::on_timer) be called with the key when the watermark reaches
    /// this time. A timer of the past fires with the next watermark, and one that is there already stays one.
    ///
    /// # Errors
    /// The backend cannot read or write; `Unsupported` in a closure, which takes no timers.
    pub fn register_event_time_timer(&mut self, time: Timestamp) -> Result<()> {
        self.register(TimeDomain::EventTime, time)
    }

    /// Lets [`on_timer`](crate::KeyedProcessFunction::on_timer) be called with the key when the clock shows this
    /// time, at once if it does already. A timer that is there already stays one.
    ///
    /// # Errors
    /// As [`register_event_time_timer`](Self::register_event_time_timer).
    pub fn register_processing_time_timer(&mut self, time: Timestamp) -> Result<()> {
        self.register(TimeDomain::ProcessingTime, time)
    }

    /// Takes a timer of event time of the key back, if there is one of this time.
    ///
    /// # Errors
    /// As [`register_event_time_timer`](Self::register_event_time_timer).
    pub fn delete_event_time_timer(&mut self, time: Timestamp) -> Result<()> {
        self.delete(TimeDomain::EventTime, time)
    }

    /// Takes a timer of processing time of the key back, if there is one of this time.
    ///
    /// # Errors
    /// As [`register_event_time_timer`](Self::register_event_time_timer).
    pub fn delete_processing_time_timer(&mut self, time: Timestamp) -> Result<()> {
        self.delete(TimeDomain::ProcessingTime, time)
    }

    fn register(&mut self, domain: TimeDomain, time: Timestamp) -> Result<()> {
        let timers = self.timers.as_mut().ok_or_else(takes_no_timers)?;
        let timers = timers.of(domain);
        timers.add(self.backend, self.hash, self.key, (), time).map(drop)
    }

    fn delete(&mut self, domain: TimeDomain, time: Timestamp) -> Result<()> {
        let timers = self.timers.as_mut().ok_or_else(takes_no_timers)?;
        let timers = timers.of(domain);
        timers
            .delete(self.backend, self.hash, self.key, &(), time)
            .map(drop)
    }
}

#[cold]
fn takes_no_timers() -> Error {
    Error::unsupported("a closure takes no timers; implement KeyedProcessFunction with `on_timer`")
}

impl<K: fmt::Debug> fmt::Debug for ProcessContext<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessContext")
            .field("key", self.key)
            .field("timestamp", &self.timestamp)
            .field("watermark", &self.watermark)
            .finish_non_exhaustive()
    }
}
