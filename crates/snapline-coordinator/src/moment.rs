//! Time as a value.

use snapline_core::{Clock, Timestamp};
use std::time::Duration;

/// What a clock showed at one instant.
///
/// The coordinator schedules by the monotonic time, which never jumps, and stamps barriers with the
/// wall-clock time, which other machines can compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall-clock time.
    pub wall: Timestamp,
    /// The time since some fixed point of the same clock.
    pub monotonic: Duration,
}

impl Moment {
    /// What this clock shows now.
    pub fn of(clock: &dyn Clock) -> Self {
        Self {
            wall: clock.now(),
            monotonic: clock.monotonic(),
        }
    }
}
