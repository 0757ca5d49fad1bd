//! In which windows a record is.

use super::Window;
use super::slicing::Slicing;
use super::trigger::Trigger;
use crate::process::TimeDomain;
use snapline_core::{Result, Timestamp};

/// Says in which windows a record is.
///
/// # Contract
/// * What is assigned depends on nothing but the record and the time that is handed over: after a failure a record
///   may be assigned again.
/// * Windows of an assigner that is [merging](Self::is_merging) are merged when they belong together, by
///   [`Window::merged_with`].
///
/// # Examples
///
/// Windows that end when a trip does:
///
/// ```
/// use snapline_core::{Result, Timestamp};
/// use snapline_dataflow::{EventTimeTrigger, TimeWindow, WindowAssigner, TimeDomain};
///
/// #[derive(Clone)]
/// struct Trips;
///
/// impl WindowAssigner<(i64, i64)> for Trips {
///     type Window = TimeWindow;
///     type DefaultTrigger = EventTimeTrigger;
///
///     fn assign(&self, (_, end): &(i64, i64), at: Timestamp, windows: &mut Vec<TimeWindow>) -> Result<()> {
///         windows.push(TimeWindow::new(at, Timestamp(*end)));
///         Ok(())
///     }
///
///     fn default_trigger(&self) -> EventTimeTrigger {
///         EventTimeTrigger
///     }
///
///     fn time(&self) -> TimeDomain {
///         TimeDomain::EventTime
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` assigns no windows to records `{T}`",
    note = "the usual assigners are `TumblingEventTimeWindows`, `SlidingEventTimeWindows` and `EventTimeSessionWindows`"
)]
pub trait WindowAssigner<T>: Clone + Send + Sync + 'static {
    /// The windows.
    type Window: Window;
    /// What emits their contents, unless the program says otherwise.
    type DefaultTrigger: Trigger<T, Self::Window>;

    /// Adds the windows of a record. `time` is its timestamp, or the time of now where windows are of processing
    /// time.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn assign(&self, record: &T, time: Timestamp, windows: &mut Vec<Self::Window>) -> Result<()>;

    /// The trigger of these windows.
    fn default_trigger(&self) -> Self::DefaultTrigger;

    /// Which time the windows are of.
    fn time(&self) -> TimeDomain;

    /// Whether windows that belong together become one.
    fn is_merging(&self) -> bool {
        false
    }

    /// Whether each record has exactly one window, and windows are of event time and [merge](Self::is_merging): there is a
    /// faster way to compute them then, with the same results.
    fn has_one_window(&self) -> bool {
        false
    }

    /// How the windows are made of slices, when they have one size and begin at fixed steps: a faster way to compute
    /// them then, with the same results.
    fn slicing(&self) -> Option<Slicing<Self::Window>> {
        None
    }

    /// Says whether the windows can be as they were described, when the job is planned.
    ///
    /// # Errors
    /// `Invalid`, saying what is wrong.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}
