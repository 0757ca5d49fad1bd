//! The event time in which values expire.

use snapline_core::{Timestamp, Watermark};
use std::sync::atomic::{AtomicI64, Ordering};

/// Event time as an operator knows it: its watermark, and the timestamp of the record at hand.
///
/// Whoever runs the operator tells it both. A value that a record writes lives from the time of the record on, or
/// from the watermark on if that is later, and has expired when the watermark says so.
///
/// ```
/// use snapline_core::{Timestamp, Watermark};
/// use snapline_state::EventClock;
///
/// let clock = EventClock::new();
/// assert_eq!(clock.now(), None);
/// clock.on_record(Some(Timestamp(50)));
/// assert_eq!((clock.now(), clock.watermark()), (Some(Timestamp(50)), Watermark(Timestamp::MIN)));
/// clock.on_watermark(Watermark(Timestamp(70)));
/// assert_eq!(clock.now(), Some(Timestamp(70)));
/// ```
#[derive(Debug)]
pub struct EventClock {
    watermark: AtomicI64,
    record: AtomicI64,
}

impl EventClock {
    /// Nothing is known of event time yet.
    pub const fn new() -> Self {
        Self {
            watermark: AtomicI64::new(i64::MIN),
            record: AtomicI64::new(i64::MIN),
        }
    }

    /// Event time has advanced.
    pub fn on_watermark(&self, watermark: Watermark) {
        self.watermark.fetch_max(watermark.0.0, Ordering::Relaxed);
    }

    /// This is the timestamp of the record or timer at hand.
    #[inline]
    pub fn on_record(&self, timestamp: Option<Timestamp>) {
        let timestamp = timestamp.unwrap_or(Timestamp::MIN);
        self.record.store(timestamp.0, Ordering::Relaxed);
    }

    /// A timer fires, of event time if there is a timestamp: event time has come that far, and this is the time of
    /// what it writes.
    pub fn on_timer(&self, timestamp: Option<Timestamp>) {
        self.on_record(timestamp);
        if let Some(timestamp) = timestamp {
            self.on_watermark(Watermark(timestamp));
        }
    }

    /// How far event time has come for sure.
    pub fn watermark(&self) -> Watermark {
        Watermark(Timestamp(self.watermark.load(Ordering::Relaxed)))
    }

    /// The time at which something is written now, `None` without a watermark and a timestamp.
    pub fn now(&self) -> Option<Timestamp> {
        let record = Timestamp(self.record.load(Ordering::Relaxed));
        Some(record.max(self.watermark().0)).filter(|now| *now > Timestamp::MIN)
    }
}

impl Default for EventClock {
    fn default() -> Self {
        Self::new()
    }
}
