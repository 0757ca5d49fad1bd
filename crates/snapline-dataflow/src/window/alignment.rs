//! Where windows of a fixed size begin.

use super::TimeWindow;
use snapline_core::{Error, Result, Timestamp};
use std::time::Duration;

/// Windows begin at `offset` and each `step` before and after it, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alignment {
    pub(crate) step: i64,
    pub(crate) offset: i64,
}

impl Alignment {
    /// The latest beginning that is not after `time`. It may be before the beginning of all timestamps.
    pub(crate) fn start(self, time: Timestamp) -> i128 {
        self.floor(i128::from(time.0))
    }

    /// The same for a time that may be before or after all timestamps.
    pub(crate) fn floor(self, time: i128) -> i128 {
        time - (time - i128::from(self.offset)).rem_euclid(i128::from(self.step.max(1)))
    }

    /// The earliest beginning after `time`, or the end of time.
    pub(crate) fn next(self, time: Timestamp) -> Timestamp {
        clamped(self.start(time) + i128::from(self.step))
    }

    /// # Errors
    /// `Invalid` when the offset is a whole step or more.
    pub(crate) fn check(self) -> Result<()> {
        if self.offset.unsigned_abs() < self.step.unsigned_abs() {
            return Ok(());
        }
        Err(
            Error::invalid("the offset of windows must be smaller than the time from one to the next")
                .with("offset_ms", self.offset)
                .with("step_ms", self.step),
        )
    }
}

/// The window that begins at `start` and lasts for `size`, as far as there are timestamps.
pub(crate) fn window(start: i128, size: i64) -> TimeWindow {
    TimeWindow::new(clamped(start), clamped(start + i128::from(size)))
}

pub(crate) fn clamped(time: i128) -> Timestamp {
    let end = if time < 0 { i64::MIN } else { i64::MAX };
    Timestamp(i64::try_from(time).unwrap_or(end))
}

/// A length of time of windows in milliseconds. What [`check_length`] refuses is 0 here.
pub(crate) fn length(length: Duration) -> i64 {
    let is_whole = length.subsec_nanos().is_multiple_of(1_000_000);
    i64::try_from(length.as_millis())
        .ok()
        .filter(|_| is_whole)
        .unwrap_or(0)
}

/// # Errors
/// `Invalid`, naming what has this length, when it is 0, too long, or a part of a millisecond.
pub(crate) fn check_length(what: &'static str, millis: i64) -> Result<()> {
    if millis > 0 {
        return Ok(());
    }
    Err(Error::invalid(
        "windows have lengths of whole milliseconds: at least 1, and not more than fit in 63 bits",
    )
    .with("which", what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_at_their_offset_before_the_epoch_too() {
        let cases = [
            (5000, 0, 0, 0),
            (5000, 0, 4999, 0),
            (5000, 0, 5000, 5000),
            (5000, 100, 100, 100),
            (5000, 100, 5099, 100),
            (5000, 100, 99, -4900),
            (5000, -100, 0, -100),
            (5000, -100, 4899, -100),
            (5000, -100, 4900, 4900),
            (5000, 0, -1, -5000),
            (5000, 0, -5000, -5000),
            (5000, 0, -5001, -10_000),
            (1, 0, i64::MIN, i64::MIN),
            (1000, 0, i64::MAX, i64::MAX - 807),
        ];
        for (step, offset, time, expected) in cases {
            let start = Alignment { step, offset }.start(Timestamp(time));
            assert_eq!(
                start,
                i128::from(expected),
                "step {step}, offset {offset}, time {time}"
            );
        }
    }

    #[test]
    fn windows_at_the_ends_of_time_are_as_long_as_there_are_timestamps() {
        let alignment = Alignment {
            step: 1000,
            offset: 0,
        };
        let of = |time| window(alignment.start(Timestamp(time)), 1000);
        let first = TimeWindow::new(Timestamp::MIN, Timestamp(i64::MIN + 808));
        assert_eq!((of(i64::MIN), of(i64::MIN + 807)), (first, first));
        assert_eq!(of(i64::MIN + 808).start(), first.end());
        let last = TimeWindow::new(Timestamp(i64::MAX - 807), Timestamp::MAX);
        assert_eq!((of(i64::MAX - 807), of(i64::MAX)), (last, last));
        assert_eq!(alignment.next(Timestamp::MAX), Timestamp::MAX);
    }

    #[test]
    fn offsets_of_a_whole_step_and_lengths_that_are_none_are_refused() {
        let is_fine = |step, offset| Alignment { step, offset }.check().is_ok();
        assert!(is_fine(5000, 4999) && is_fine(5000, -4999));
        assert!(!is_fine(5000, 5000) && !is_fine(5000, -5000) && !is_fine(5000, i64::MIN));
        assert!(check_length("size", length(Duration::from_millis(1))).is_ok());
        for wrong in [Duration::ZERO, Duration::from_micros(1500), Duration::MAX] {
            assert!(check_length("size", length(wrong)).is_err(), "{wrong:?}");
        }
    }
}
