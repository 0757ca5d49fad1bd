//! Event time: where timestamps and watermarks come from.

pub(crate) mod alignment;
pub(crate) mod generator;
pub(crate) mod idleness;
pub(crate) mod split_watermarks;
pub(crate) mod stamper;
pub(crate) mod strategy;

use std::time::Duration;

/// A duration in milliseconds; a started one counts.
fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
