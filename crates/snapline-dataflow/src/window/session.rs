//! Windows of activity, with gaps between them.

use super::TimeWindow;
use super::alignment::{check_length, length};
use super::assigner::WindowAssigner;
use super::trigger::{EventTimeTrigger, ProcessingTimeTrigger};
use crate::process::TimeDomain;
use snapline_core::{Error, Result, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Windows that end when no record has come for a gap, by the timestamps of the records.
///
/// A session lasts from its first record to one gap after its last. A record with a time between two sessions, or
/// at the end of one, makes one of them.
///
/// A record is compared with the sessions of its key that a watermark has not ended yet. There are many, and records
/// take long, where the gap is short beside what passes of event time from one watermark to the next.
///
/// ```
/// use snapline_dataflow::EventTimeSessionWindows;
/// use std::time::Duration;
///
/// struct Click { paying: bool }
///
/// let visits = EventTimeSessionWindows::<Click>::with_gap(Duration::from_secs(1_800));
/// let patient = EventTimeSessionWindows::with_dynamic_gap(|click: &Click| match click.paying {
///     true => Duration::from_secs(3_600),
///     false => Duration::from_secs(600),
/// });
/// # let _ = (visits, patient, Click { paying: true });
/// ```
#[derive(Debug)]
pub struct EventTimeSessionWindows<T>(Sessions<T>);

/// Windows that end when no record has come for a gap, by the clock.
#[derive(Debug)]
pub struct ProcessingTimeSessionWindows<T>(Sessions<T>);

enum Sessions<T> {
    /// In milliseconds.
    Static(i64),
    Dynamic(Arc<dyn Fn(&T) -> Duration + Send + Sync>),
}

impl<T> EventTimeSessionWindows<T> {
    /// Sessions with this gap, in whole milliseconds and more than 0.
    pub fn with_gap(gap: Duration) -> Self {
        Self(Sessions::Static(length(gap)))
    }

    /// Sessions in which each record says how long the gap behind it is: whole milliseconds and more than 0.
    pub fn with_dynamic_gap(gap: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        Self(Sessions::Dynamic(Arc::new(gap)))
    }
}

impl<T> ProcessingTimeSessionWindows<T> {
    /// Sessions with this gap, in whole milliseconds and more than 0.
    pub fn with_gap(gap: Duration) -> Self {
        Self(Sessions::Static(length(gap)))
    }

    /// Sessions in which each record says how long the gap behind it is: whole milliseconds and more than 0.
    pub fn with_dynamic_gap(gap: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        Self(Sessions::Dynamic(Arc::new(gap)))
    }
}

impl<T> Sessions<T> {
    fn window(&self, record: &T, time: Timestamp) -> Result<TimeWindow> {
        let gap = match self {
            Self::Static(gap) => *gap,
            Self::Dynamic(gap) => length(gap(record)),
        };
        if gap <= 0 {
            return Err(no_gap());
        }
        Ok(TimeWindow::new(time, time.plus_millis(gap.unsigned_abs())))
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Static(gap) => check_length("gap", *gap),
            Self::Dynamic(_) => Ok(()),
        }
    }
}

#[cold]
fn no_gap() -> Error {
    Error::invalid(
        "the gap of a session must be whole milliseconds, at least 1; the function of the gap returned another",
    )
}

impl<T: 'static> WindowAssigner<T> for EventTimeSessionWindows<T> {
    type Window = TimeWindow;
    type DefaultTrigger = EventTimeTrigger;

    fn assign(&self, record: &T, time: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        windows.push(self.0.window(record, time)?);
        Ok(())
    }

    fn default_trigger(&self) -> EventTimeTrigger {
        EventTimeTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::EventTime
    }

    fn is_merging(&self) -> bool {
        true
    }

    fn has_one_window(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl<T: 'static> WindowAssigner<T> for ProcessingTimeSessionWindows<T> {
    type Window = TimeWindow;
    type DefaultTrigger = ProcessingTimeTrigger;

    fn assign(&self, record: &T, time: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
        windows.push(self.0.window(record, time)?);
        Ok(())
    }

    fn default_trigger(&self) -> ProcessingTimeTrigger {
        ProcessingTimeTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::ProcessingTime
    }

    fn is_merging(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

impl<T> Clone for EventTimeSessionWindows<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for ProcessingTimeSessionWindows<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Clone for Sessions<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Static(gap) => Self::Static(*gap),
            Self::Dynamic(gap) => Self::Dynamic(gap.clone()),
        }
    }
}

impl<T> std::fmt::Debug for Sessions<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Static(gap) => write!(f, "gap {gap} ms"),
            Self::Dynamic(_) => f.write_str("dynamic gap"),
        }
    }
}
