//! Values that are forgotten after a while.

mod event_clock;
mod expiry;
mod living;

pub use event_clock::EventClock;
pub(crate) use expiry::{Expiring, ExpiringItems, Expiry, is_alive};
pub use living::Living;

use snapline_core::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How long what is in a state lives: a value, or each item of a list and each entry of a map on its own.
///
/// What has expired is never returned. It is removed when its key is accessed, or when another
/// is: each access to a state in memory looks at some entries. A full snapshot and a restore leave it out. On a
/// backend of bytes only accessed keys are removed while the job runs.
///
/// The time is that of the clock, or event time:
/// [`StateDescriptor::time_to_live`](crate::StateDescriptor::time_to_live) and
/// [`event_time_to_live`](crate::StateDescriptor::event_time_to_live). A time beyond the end of time is for ever.
///
/// A state may get a time to live, another, or none from one run of a program to the next. With one,
/// values that had none live as long from the restore on; values that had one keep the moment at which
/// they expire until they are written. Without one, those that have not been removed yet live for ever,
/// also if they had expired. In event time nothing is known at a restore: values that had no time to live get
/// theirs when they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateTtl {
    duration: Duration,
    refresh: TtlRefresh,
}

impl StateTtl {
    /// This long since the last write, in whole milliseconds.
    pub const fn new(duration: Duration) -> Self {
        Self {
            duration,
            refresh: TtlRefresh::OnWrite,
        }
    }

    /// What begins the time anew.
    #[must_use]
    pub const fn refresh(self, refresh: TtlRefresh) -> Self {
        Self { refresh, ..self }
    }
}

/// What begins the time to live of a value or an item anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TtlRefresh {
    /// That it is written.
    #[default]
    OnWrite,
    /// That it is written or read. Every read is a write then, for the backend too.
    OnReadAndWrite,
}

/// A time to live with its clock.
#[derive(Debug, Clone)]
pub(crate) struct Ttl {
    settings: StateTtl,
    clock: TtlClock,
}

#[derive(Debug, Clone)]
pub(crate) enum TtlClock {
    ProcessingTime(Arc<dyn Clock>),
    EventTime(Arc<EventClock>),
}

impl Ttl {
    pub(crate) fn new(settings: StateTtl, clock: TtlClock) -> Self {
        Self { settings, clock }
    }

    /// What expires no later has expired.
    pub(crate) fn now(&self) -> Timestamp {
        match &self.clock {
            TtlClock::ProcessingTime(clock) => clock.now(),
            TtlClock::EventTime(clock) => clock.watermark().0,
        }
    }

    /// When something expires that is written now.
    pub(crate) fn expiry(&self) -> Timestamp {
        let now = match &self.clock {
            TtlClock::ProcessingTime(clock) => Some(clock.now()),
            TtlClock::EventTime(clock) => clock.now(),
        };
        let millis = u64::try_from(self.settings.duration.as_millis()).unwrap_or(u64::MAX);
        now.map_or(Timestamp::MAX, |now| now.plus_millis(millis))
    }

    pub(crate) fn counts_reads(&self) -> bool {
        self.settings.refresh == TtlRefresh::OnReadAndWrite
    }
}
