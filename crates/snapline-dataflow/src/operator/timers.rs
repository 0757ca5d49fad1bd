//! Timers of a keyed operator, of which a few fire at a time.

use crate::process::TimeDomain;
use snapline_core::{Clock, Key, MaxParallelism, Result, Timestamp};
use snapline_state::{KeyedStateBackend, TableSpec, Timer, TimerState};
use std::time::Duration;

/// The timers of both kinds of time, of all keys of one subtask.
#[derive(Debug)]
pub(crate) struct KeyedTimers<K, N> {
    event_time: TimerState<K, N>,
    processing_time: TimerState<K, N>,
}

impl<K: Key, N: Key + Ord> KeyedTimers<K, N> {
    /// Adds their tables to those that the operator wants.
    pub(super) fn register((tables, max_parallelism): (&mut Vec<TableSpec>, MaxParallelism)) -> Self {
        Self {
            event_time: TimerState::register("timers of event time", tables, max_parallelism),
            processing_time: TimerState::register("timers of processing time", tables, max_parallelism),
        }
    }

    /// Finds those of a backend that was just opened.
    ///
    /// # Errors
    /// The backend cannot read.
    pub(super) fn restore(&mut self, backend: &mut dyn KeyedStateBackend) -> Result<()> {
        self.event_time.restore(backend)?;
        self.processing_time.restore(backend)
    }

    pub(crate) fn of(&mut self, domain: TimeDomain) -> &mut TimerState<K, N> {
        match domain {
            TimeDomain::EventTime => &mut self.event_time,
            TimeDomain::ProcessingTime => &mut self.processing_time,
        }
    }

    /// The time of the next timer.
    pub(super) fn next_time(&self, domain: TimeDomain) -> Option<Timestamp> {
        match domain {
            TimeDomain::EventTime => self.event_time.next_time(),
            TimeDomain::ProcessingTime => self.processing_time.next_time(),
        }
    }

    /// Whether a timer is there whose time has come.
    pub(super) fn is_due(&self, domain: TimeDomain, until: Timestamp) -> bool {
        self.next_time(domain).is_some_and(|next| next <= until)
    }

    /// Takes out the next timer whose time has come, if the quantum has room for one more.
    ///
    /// # Errors
    /// The backend cannot read or write.
    pub(super) fn take_due(
        &mut self,
        backend: &mut dyn KeyedStateBackend,
        domain: TimeDomain,
        until: Timestamp,
        quantum: &mut Quantum<'_>,
    ) -> Result<Option<Timer<K, N>>> {
        if !self.is_due(domain, until) || !quantum.has_room() {
            return Ok(None);
        }
        self.of(domain).take_due(backend, until)
    }
}

/// How much may be done before others have their turn: barriers, above all.
pub(super) struct Quantum<'a> {
    clock: &'a dyn Clock,
    end: Duration,
    done: u32,
}

/// So many timers fire at the most.
const MOST: u32 = 1024;
/// For so long they fire, about.
const LONGEST: Duration = Duration::from_millis(1);
/// So many fire between two looks at the clock.
const UNSEEN: u32 = 8;

impl<'a> Quantum<'a> {
    pub(super) fn new(clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            end: clock.monotonic() + LONGEST,
            done: 0,
        }
    }

    /// Whether one more may be done.
    pub(super) fn has_room(&mut self) -> bool {
        let looks = self.done.is_multiple_of(UNSEEN);
        if self.done >= MOST || (looks && self.is_late()) {
            return false;
        }
        self.done += 1;
        true
    }

    /// Whether these may be done at once.
    pub(super) fn has_room_for(&mut self, many: u32) -> bool {
        if self.done >= MOST || self.is_late() {
            return false;
        }
        self.done += many;
        true
    }

    /// Something is always done.
    fn is_late(&self) -> bool {
        self.done > 0 && self.clock.monotonic() >= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ManualClock;

    #[test]
    fn a_quantum_ends_after_many_timers_or_a_long_time() {
        let clock = ManualClock::default();
        let mut quantum = Quantum::new(&clock);
        assert_eq!((0..5_000).filter(|_| quantum.has_room()).count(), MOST as usize);
        let mut quantum = Quantum::new(&clock);
        let slow = |_: &i32| {
            clock.advance(Duration::from_millis(1));
            quantum.has_room()
        };
        assert_eq!((0..5_000).filter(slow).count(), UNSEEN as usize);
        let mut quantum = Quantum::new(&clock);
        assert_eq!((0..5_000).filter(|_| quantum.has_room_for(100)).count(), 11);
        let mut quantum = Quantum::new(&clock);
        clock.advance(Duration::from_secs(1));
        assert_eq!((0..5_000).filter(|_| quantum.has_room_for(100)).count(), 1);
    }
}
