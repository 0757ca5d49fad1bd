//! Values that are forgotten after a while.

mod clean_up;
mod event_clock;
mod expiry;
mod living;

pub use clean_up::CleanUp;
pub(crate) use clean_up::{SweepTable, sweep_table};
pub use event_clock::EventClock;
pub(crate) use expiry::{Expiring, ExpiringItems, Expiry, Mortal, is_alive};
pub use living::Living;

use snapline_core::{Clock, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// How long what is in a state lives: a value, or each item of a list and each entry of a map on its own.
///
/// What has expired is not returned, unless [a read may](TtlVisibility). It is removed when its key is accessed; when another
/// is, for each access to a state in memory looks at some entries; and [in the background](CleanUp), about a tenth of its
/// time to live after it has expired, also if nothing is ever accessed. A full snapshot and a restore leave it out. Of
/// a list or map of which something lives, the rest goes when the key is accessed.
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
    visibility: TtlVisibility,
}

impl StateTtl {
    /// This long since the last write, in whole milliseconds.
    pub const fn new(duration: Duration) -> Self {
        Self {
            duration,
            refresh: TtlRefresh::OnWrite,
            visibility: TtlVisibility::Never,
        }
    }

    /// What begins the time anew.
    #[must_use]
    pub const fn refresh(self, refresh: TtlRefresh) -> Self {
        Self { refresh, ..self }
    }

    /// Whether what has expired is returned as long as it is there.
    #[must_use]
    pub const fn visibility(self, visibility: TtlVisibility) -> Self {
        Self { visibility, ..self }
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

/// Whether a read returns what has expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TtlVisibility {
    /// It does not.
    #[default]
    Never,
    /// It does if nothing has removed it yet, and removes it: it is returned once. For values that are better than
    /// none. Who writes finds none, and scans of all keys do not show it.
    UntilCleanedUp,
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

    /// Whether a read returns what has expired.
    pub(crate) fn shows_expired(&self) -> bool {
        self.settings.visibility == TtlVisibility::UntilCleanedUp
    }

    /// How long what has expired may stay, in milliseconds.
    pub(crate) fn clean_up_interval(&self) -> u64 {
        let tenth = (self.settings.duration / 10).as_millis();
        u64::try_from(tenth).unwrap_or(u64::MAX).max(1)
    }

    /// Whether the clock goes on by itself.
    pub(crate) fn is_of_processing_time(&self) -> bool {
        matches!(self.clock, TtlClock::ProcessingTime(_))
    }
}
