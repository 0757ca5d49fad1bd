//! When the contents of a window are emitted.

mod continuous;
mod count;
mod delta;
mod purging;
mod time;

pub use continuous::{ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger};
pub use count::CountTrigger;
pub use delta::DeltaTrigger;
pub use purging::PurgingTrigger;
pub use time::{EventTimeTrigger, NeverTrigger, ProcessingTimeTrigger};

use crate::process::TimeDomain;
use snapline_core::{Data, Result, Timestamp, Watermark};

/// Decides when the contents of a window are emitted, and whether they stay.
///
/// # Contract
/// * What a trigger has to remember of a window is in its `State`, which survives failures. It is the default
///   at first, and gone when the window is.
/// * A timer that is added twice fires once. The timers of a window go with it.
///
/// # Examples
///
/// Emits when a record says so:
///
/// ```
/// use snapline_dataflow::{Trigger, TriggerContext, TriggerResult, Window};
///
/// #[derive(Clone)]
/// struct AtZero;
///
/// impl<W: Window> Trigger<u64, W> for AtZero {
///     type State = ();
///
///     fn on_element(&self, number: &u64, _: &W, _: &mut (), _: &mut TriggerContext) -> TriggerResult {
///         if *number == 0 { TriggerResult::FireAndPurge } else { TriggerResult::Continue }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot trigger windows `{W}` of records `{T}`",
    note = "implement `Trigger<{T}, {W}>` for it"
)]
pub trait Trigger<T, W>: Clone + Send + Sync + 'static {
    /// What is remembered of a window.
    type State: Data + Default;

    /// A record was added to the window.
    fn on_element(
        &self,
        element: &T,
        window: &W,
        state: &mut Self::State,
        context: &mut TriggerContext,
    ) -> TriggerResult;

    /// The time of an event-time timer has come.
    fn on_event_time(
        &self,
        time: Timestamp,
        window: &W,
        state: &mut Self::State,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        let _ = (time, window, state, context);
        TriggerResult::Continue
    }

    /// The time of a processing-time timer has come.
    fn on_processing_time(
        &self,
        time: Timestamp,
        window: &W,
        state: &mut Self::State,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        let _ = (time, window, state, context);
        TriggerResult::Continue
    }

    /// Windows with these states have become this one, whose state is the default so far. Their timers are gone.
    fn on_merge(
        &self,
        window: &W,
        state: &mut Self::State,
        merged: Vec<Self::State>,
        context: &mut TriggerContext,
    ) {
        let _ = (window, state, merged, context);
    }

    /// Says whether the trigger can be as it was described, when the job is planned.
    ///
    /// # Errors
    /// `Invalid`, saying what is wrong.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
#[allow(
    clippy::exhaustive_enums,
    reason = "emitting and dropping are independent of each other"
)]
pub enum TriggerResult {
    /// Nothing.
    Continue,
    /// The contents are emitted, and stay.
    Fire,
    /// The contents are dropped. What the trigger remembers stays.
    Purge,
    /// The contents are emitted, then dropped.
    FireAndPurge,
}

impl TriggerResult {
    /// Whether the contents are emitted.
    pub fn is_fire(self) -> bool {
        matches!(self, Self::Fire | Self::FireAndPurge)
    }

    /// Whether the contents are dropped.
    pub fn is_purge(self) -> bool {
        matches!(self, Self::Purge | Self::FireAndPurge)
    }
}

/// The moment in which a [`Trigger`] decides, and the timers of its window.
#[derive(Debug)]
pub struct TriggerContext {
    pub(crate) watermark: Watermark,
    pub(crate) processing_time: Timestamp,
    pub(crate) timestamp: Option<Timestamp>,
    pub(crate) timers: Vec<TimerChange>,
}

/// A change of the timers of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerChange {
    pub(crate) kind: TimeDomain,
    pub(crate) at: Timestamp,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Add,
    Delete,
}

impl TriggerContext {
    pub(crate) fn at(watermark: Watermark) -> Self {
        Self {
            watermark,
            processing_time: Timestamp::MIN,
            timestamp: None,
            timers: Vec::new(),
        }
    }

    fn change(&mut self, kind: TimeDomain, at: Timestamp, change: Change) {
        self.timers.push(TimerChange { kind, at, change });
    }

    /// How far event time has come.
    pub fn current_watermark(&self) -> Watermark {
        self.watermark
    }

    /// The time of now.
    pub fn processing_time(&self) -> Timestamp {
        self.processing_time
    }

    /// The timestamp of the record at hand, if there is one and it has one.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.timestamp
    }

    /// Calls [`Trigger::on_event_time`] when event time has come so far.
    pub fn add_event_time_timer(&mut self, time: Timestamp) {
        self.change(TimeDomain::EventTime, time, Change::Add);
    }

    /// Calls [`Trigger::on_processing_time`] at this time.
    pub fn add_processing_time_timer(&mut self, time: Timestamp) {
        self.change(TimeDomain::ProcessingTime, time, Change::Add);
    }

    /// Forgets a timer.
    pub fn delete_event_time_timer(&mut self, time: Timestamp) {
        self.change(TimeDomain::EventTime, time, Change::Delete);
    }

    /// Forgets a timer.
    pub fn delete_processing_time_timer(&mut self, time: Timestamp) {
        self.change(TimeDomain::ProcessingTime, time, Change::Delete);
    }
}
