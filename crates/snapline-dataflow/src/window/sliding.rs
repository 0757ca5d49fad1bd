//! Windows that overlap.

use super::TimeWindow;
use super::alignment::{Alignment, check_length, length, window};
use super::assigner::WindowAssigner;
use super::slicing::Slicing;
use super::trigger::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::process::TimeDomain;
use snapline_core::{Result, Timestamp};
use std::time::Duration;

/// Windows of one size that begin each `slide`, by the timestamps of the records. A record is in several of them
/// when the slide is shorter than the size, and may be in none when it is longer.
///
/// ```
/// use snapline_dataflow::SlidingEventTimeWindows;
/// use std::time::Duration;
///
/// // The last minute, each second.
/// let minutes = SlidingEventTimeWindows::of(Duration::from_secs(60), Duration::from_secs(1));
/// # let _ = minutes;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SlidingEventTimeWindows(Sliding);

/// Windows of one size that begin each `slide`, by the clock.
#[derive(Debug, Clone, Copy)]
pub struct SlidingProcessingTimeWindows(Sliding);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sliding {
    pub(crate) size: i64,
    pub(crate) slide: Alignment,
}

impl SlidingEventTimeWindows {
    /// Windows of this size, each `slide`; both in whole milliseconds and more than 0.
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self(Sliding::of(size, slide))
    }

    /// Moves all windows by so many milliseconds, less than the slide, to either side.
    #[must_use]
    pub fn with_offset_millis(self, offset: i64) -> Self {
        Self(self.0.with_offset(offset))
    }
}

impl SlidingProcessingTimeWindows {
    /// Windows of this size, each `slide`; both in whole milliseconds and more than 0.
    pub fn of(size: Duration, slide: Duration) -> Self {
        Self(Sliding::of(size, slide))
    }

    /// Moves all windows by so many milliseconds, less than the slide, to either side.
    #[must_use]
    pub fn with_offset_millis(self, offset: i64) -> Self {
        Self(self.0.with_offset(offset))
    }
}

impl Sliding {
    fn of(size: Duration, slide: Duration) -> Self {
        let slide = Alignment {
            step: length(slide),
            offset: 0,
        };
        Self {
            size: length(size),
            slide,
        }
    }

    fn with_offset(self, offset: i64) -> Self {
        let slide = Alignment { offset, ..self.slide };
        Self { slide, ..self }
    }

    /// The windows of a time, the latest first.
    fn assign(self, time: Timestamp, windows: &mut Vec<TimeWindow>) {
        let mut start = self.slide.start(time);
        while i128::from(time.0) - start < i128::from(self.size) {
            windows.push(window(start, self.size));
            start -= i128::from(self.slide.step.max(1));
        }
    }

    fn check(self) -> Result<()> {
        check_length("size", self.size)?;
        check_length("slide", self.slide.step)?;
        self.slide.check()
    }
}

impl<T> WindowAssigner<T> for SlidingEventTimeWindows {
    type Window = TimeWindow;
    type DefaultTrigger = EventTimeTrigger;

    fn assign(&self, _: &T, time: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        self.0.assign(time, windows);
        Ok(())
    }

    fn default_trigger(&self) -> EventTimeTrigger {
        EventTimeTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::EventTime
    }

    fn slicing(&self) -> Option<Slicing<TimeWindow>> {
        Some(Slicing::new(self.0.size, self.0.slide, |window| window))
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl<T> WindowAssigner<T> for SlidingProcessingTimeWindows {
    type Window = TimeWindow;
    type DefaultTrigger = ProcessingTimeTrigger;

    fn assign(&self, _: &T, time: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        self.0.assign(time, windows);
        Ok(())
    }

    fn default_trigger(&self) -> ProcessingTimeTrigger {
        ProcessingTimeTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::ProcessingTime
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(size: u64, slide: u64, offset: i64, time: i64) -> Vec<i64> {
        let windows = SlidingEventTimeWindows::of(Duration::from_millis(size), Duration::from_millis(slide));
        let windows = windows.with_offset_millis(offset);
        let mut assigned = Vec::new();
        WindowAssigner::assign(&windows, &(), Timestamp(time), &mut assigned).unwrap();
        assigned.iter().map(|window| window.start().0).collect()
    }

    #[test]
    fn a_record_is_in_every_window_that_has_its_time() {
        assert_eq!(starts(5000, 1000, 0, 0), [0, -1000, -2000, -3000, -4000]);
        assert_eq!(starts(5000, 1000, 0, 4999), [4000, 3000, 2000, 1000, 0]);
        assert_eq!(starts(5000, 1000, 100, 100), [100, -900, -1900, -2900, -3900]);
        assert_eq!(starts(5000, 3000, -100, 0), [-100, -3100]);
        assert_eq!(starts(2000, 5000, 0, 1999), [0]);
        assert_eq!(starts(2000, 5000, 0, 2000), Vec::<i64>::new());
        assert_eq!(starts(10, 10, 0, i64::MIN), [i64::MIN]);
    }

    #[test]
    fn a_slide_of_nothing_is_refused() {
        let sliding = |size, slide| {
            let windows =
                SlidingEventTimeWindows::of(Duration::from_millis(size), Duration::from_millis(slide));
            WindowAssigner::<()>::check(&windows)
        };
        assert!(sliding(60_000, 1000).is_ok());
        assert!(sliding(0, 1000).is_err() && sliding(1000, 0).is_err());
    }
}
