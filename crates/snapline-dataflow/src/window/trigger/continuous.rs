//! Emits again and again.

use super::{Trigger, TriggerContext, TriggerResult};
use crate::window::Window;
use crate::window::alignment::{Alignment, check_length, length};
use snapline_core::{Result, Timestamp};
use std::time::Duration;

/// Emits each time that event time has passed a multiple of an interval, and at the end of the window.
#[derive(Debug, Clone, Copy)]
pub struct ContinuousEventTimeTrigger(Interval);

/// Emits each time that the clock has passed a multiple of an interval, and at the end of windows of processing
/// time.
#[derive(Debug, Clone, Copy)]
pub struct ContinuousProcessingTimeTrigger(Interval);

#[derive(Debug, Clone, Copy)]
struct Interval(Alignment);

impl Interval {
    fn new(interval: Duration) -> Self {
        Self(Alignment {
            step: length(interval),
            offset: 0,
        })
    }

    /// The first multiple after a time.
    fn after(self, time: Timestamp) -> Timestamp {
        self.0.next(time)
    }

    /// What happens at a time for which a timer was set in a window with this end, and for when to set another.
    fn on_time(self, time: Timestamp, end: Timestamp, next: &mut Next) -> (TriggerResult, Next) {
        if time == end {
            return (TriggerResult::Fire, None);
        }
        if *next != Some(time) {
            return (TriggerResult::Continue, None);
        }
        *next = Some(self.after(time));
        (TriggerResult::Fire, *next)
    }
}

impl ContinuousEventTimeTrigger {
    /// Emits each `interval`, in whole milliseconds and more than 0.
    pub fn of(interval: Duration) -> Self {
        Self(Interval::new(interval))
    }
}

impl ContinuousProcessingTimeTrigger {
    /// Emits each `interval`, in whole milliseconds and more than 0.
    pub fn of(interval: Duration) -> Self {
        Self(Interval::new(interval))
    }
}

/// When a window emits next.
type Next = Option<Timestamp>;

impl<T, W: Window> Trigger<T, W> for ContinuousEventTimeTrigger {
    type State = Next;

    fn on_element(&self, _: &T, window: &W, next: &mut Next, context: &mut TriggerContext) -> TriggerResult {
        let end = window.max_timestamp();
        if end <= context.current_watermark().0 {
            return TriggerResult::Fire;
        }
        context.add_event_time_timer(end);
        if let (None, Some(at)) = (*next, context.timestamp()) {
            let first = self.0.after(at);
            context.add_event_time_timer(first);
            *next = Some(first);
        }
        TriggerResult::Continue
    }

    fn on_event_time(
        &self,
        time: Timestamp,
        window: &W,
        next: &mut Next,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        let (result, following) = self.0.on_time(time, window.max_timestamp(), next);
        if let Some(following) = following {
            context.add_event_time_timer(following);
        }
        result
    }

    fn on_merge(&self, window: &W, next: &mut Next, merged: Vec<Next>, context: &mut TriggerContext) {
        *next = merged.into_iter().flatten().min();
        if let Some(next) = *next {
            context.add_event_time_timer(next);
        }
        if window.max_timestamp() > context.current_watermark().0 {
            context.add_event_time_timer(window.max_timestamp());
        }
    }

    fn check(&self) -> Result<()> {
        check_length("interval", self.0.0.step)
    }
}

impl<T, W: Window> Trigger<T, W> for ContinuousProcessingTimeTrigger {
    type State = Next;

    fn on_element(&self, _: &T, _: &W, next: &mut Next, context: &mut TriggerContext) -> TriggerResult {
        if next.is_none() {
            let first = self.0.after(context.processing_time());
            context.add_processing_time_timer(first);
            *next = Some(first);
        }
        TriggerResult::Continue
    }

    fn on_processing_time(
        &self,
        time: Timestamp,
        window: &W,
        next: &mut Next,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        let (result, following) = self.0.on_time(time, window.max_timestamp(), next);
        if let Some(following) = following {
            context.add_processing_time_timer(following);
        }
        result
    }

    fn on_merge(&self, _: &W, next: &mut Next, merged: Vec<Next>, context: &mut TriggerContext) {
        *next = merged.into_iter().flatten().min();
        if let Some(next) = *next {
            context.add_processing_time_timer(next);
        }
    }

    fn check(&self) -> Result<()> {
        check_length("interval", self.0.0.step)
    }
}
