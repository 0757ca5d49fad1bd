//! Windows one after the other.

use super::TimeWindow;
use super::alignment::{Alignment, check_length, length, window};
use super::assigner::WindowAssigner;
use super::slicing::Slicing;
use super::trigger::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::process::TimeDomain;
use snapline_core::{Result, Timestamp};
use std::time::Duration;

/// Windows of one size, each from the end of the one before, by the timestamps of the records.
///
/// ```
/// use snapline_dataflow::TumblingEventTimeWindows;
/// use std::time::Duration;
///
/// // From midnight to midnight at UTC+8.
/// let days = TumblingEventTimeWindows::of(Duration::from_secs(86_400)).with_offset_millis(-8 * 3_600_000);
/// # let _ = days;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TumblingEventTimeWindows(Tumbling);

/// Windows of one size, each from the end of the one before, by the clock.
#[derive(Debug, Clone, Copy)]
pub struct TumblingProcessingTimeWindows(Tumbling);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Tumbling(Alignment);

impl TumblingEventTimeWindows {
    /// Windows of this size, in whole milliseconds and more than 0, from the epoch on and before it.
    pub fn of(size: Duration) -> Self {
        Self(Tumbling::of(size))
    }

    /// Moves all windows by so many milliseconds, less than their size, to either side.
    #[must_use]
    pub fn with_offset_millis(self, offset: i64) -> Self {
        Self(self.0.with_offset(offset))
    }
}

impl TumblingProcessingTimeWindows {
    /// Windows of this size, in whole milliseconds and more than 0, from the epoch on.
    pub fn of(size: Duration) -> Self {
        Self(Tumbling::of(size))
    }

    /// Moves all windows by so many milliseconds, less than their size, to either side.
    #[must_use]
    pub fn with_offset_millis(self, offset: i64) -> Self {
        Self(self.0.with_offset(offset))
    }
}

impl Tumbling {
    fn of(size: Duration) -> Self {
        Self(Alignment {
            step: length(size),
            offset: 0,
        })
    }

    fn with_offset(self, offset: i64) -> Self {
        Self(Alignment { offset, ..self.0 })
    }

    fn window(self, time: Timestamp) -> TimeWindow {
        window(self.0.start(time), self.0.step)
    }

    fn check(self) -> Result<()> {
        check_length("size", self.0.step)?;
        self.0.check()
    }
}

impl<T> WindowAssigner<T> for TumblingEventTimeWindows {
    type Window = TimeWindow;
    type DefaultTrigger = EventTimeTrigger;

    fn assign(&self, _: &T, time: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        windows.push(self.0.window(time));
        Ok(())
    }

    fn default_trigger(&self) -> EventTimeTrigger {
        EventTimeTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::EventTime
    }

    fn slicing(&self) -> Option<Slicing<TimeWindow>> {
        Some(Slicing::new(self.0.0.step, self.0.0, |window| window))
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl<T> WindowAssigner<T> for TumblingProcessingTimeWindows {
    type Window = TimeWindow;
    type DefaultTrigger = ProcessingTimeTrigger;

    fn assign(&self, _: &T, time: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        windows.push(self.0.window(time));
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
