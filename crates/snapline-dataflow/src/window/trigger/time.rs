//! Emits at the end of a window.

use super::{Trigger, TriggerContext, TriggerResult};
use crate::window::Window;
use snapline_core::Timestamp;

/// Emits when event time has passed the end of the window, and again for each late record that is still allowed.
#[derive(Debug, Clone, Copy)]
pub struct EventTimeTrigger;

impl<T, W: Window> Trigger<T, W> for EventTimeTrigger {
    type State = ();

    fn on_element(&self, _: &T, window: &W, _: &mut (), context: &mut TriggerContext) -> TriggerResult {
        let end = window.max_timestamp();
        if end <= context.current_watermark().0 {
            return TriggerResult::Fire;
        }
        context.add_event_time_timer(end);
        TriggerResult::Continue
    }

    fn on_event_time(
        &self,
        time: Timestamp,
        window: &W,
        _: &mut (),
        _: &mut TriggerContext,
    ) -> TriggerResult {
        if time == window.max_timestamp() {
            TriggerResult::Fire
        } else {
            TriggerResult::Continue
        }
    }

    fn on_merge(&self, window: &W, _: &mut (), _: Vec<()>, context: &mut TriggerContext) {
        let end = window.max_timestamp();
        if end > context.current_watermark().0 {
            context.add_event_time_timer(end);
        }
    }
}

/// Emits when the clock has passed the end of the window.
#[derive(Debug, Clone, Copy)]
pub struct ProcessingTimeTrigger;

impl<T, W: Window> Trigger<T, W> for ProcessingTimeTrigger {
    type State = ();

    fn on_element(&self, _: &T, window: &W, _: &mut (), context: &mut TriggerContext) -> TriggerResult {
        context.add_processing_time_timer(window.max_timestamp());
        TriggerResult::Continue
    }

    fn on_processing_time(&self, _: Timestamp, _: &W, _: &mut (), _: &mut TriggerContext) -> TriggerResult {
        TriggerResult::Fire
    }

    fn on_merge(&self, window: &W, _: &mut (), _: Vec<()>, context: &mut TriggerContext) {
        context.add_processing_time_timer(window.max_timestamp());
    }
}

/// Never emits.
#[derive(Debug, Clone, Copy)]
pub struct NeverTrigger;

impl<T, W: Window> Trigger<T, W> for NeverTrigger {
    type State = ();

    fn on_element(&self, _: &T, _: &W, _: &mut (), _: &mut TriggerContext) -> TriggerResult {
        TriggerResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::TimeWindow;
    use snapline_core::Watermark;

    fn window() -> TimeWindow {
        TimeWindow::new(Timestamp(0), Timestamp(2))
    }

    #[test]
    fn a_window_that_event_time_has_passed_fires_at_once_and_leaves_nothing_to_wait_for() {
        for (watermark, fires) in [(0, false), (1, true), (2, true)] {
            let mut context = TriggerContext::at(Watermark(Timestamp(watermark)));
            let result = EventTimeTrigger.on_element(&(), &window(), &mut (), &mut context);
            assert_eq!(result == TriggerResult::Fire, fires, "{watermark}");
            assert_eq!(context.timers.is_empty(), fires, "{watermark}");
        }
    }

    #[test]
    fn windows_that_merge_behind_event_time_wait_for_nothing() {
        for (watermark, is_passed) in [(0, false), (1, true), (2, true)] {
            let mut context = TriggerContext::at(Watermark(Timestamp(watermark)));
            Trigger::<(), TimeWindow>::on_merge(
                &EventTimeTrigger,
                &window(),
                &mut (),
                vec![(), ()],
                &mut context,
            );
            assert_eq!(context.timers.is_empty(), is_passed, "{watermark}");
        }
    }
}
