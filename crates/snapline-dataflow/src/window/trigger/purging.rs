//! Emits like another trigger, and drops what it has emitted.

use super::{Trigger, TriggerContext, TriggerResult};
use crate::window::Window;
use snapline_core::{Result, Timestamp};

/// Emits when another trigger does, and drops the contents then: each record is emitted once.
#[derive(Debug, Clone, Copy)]
pub struct PurgingTrigger<G> {
    trigger: G,
}

impl<G> PurgingTrigger<G> {
    /// Drops what this trigger emits.
    pub fn of(trigger: G) -> Self {
        Self { trigger }
    }
}

fn purging(result: TriggerResult) -> TriggerResult {
    match result {
        TriggerResult::Fire => TriggerResult::FireAndPurge,
        other => other,
    }
}

impl<T, W: Window, G: Trigger<T, W>> Trigger<T, W> for PurgingTrigger<G> {
    type State = G::State;

    fn on_element(
        &self,
        element: &T,
        window: &W,
        state: &mut G::State,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        purging(self.trigger.on_element(element, window, state, context))
    }

    fn on_event_time(
        &self,
        time: Timestamp,
        window: &W,
        state: &mut G::State,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        purging(self.trigger.on_event_time(time, window, state, context))
    }

    fn on_processing_time(
        &self,
        time: Timestamp,
        window: &W,
        state: &mut G::State,
        context: &mut TriggerContext,
    ) -> TriggerResult {
        purging(self.trigger.on_processing_time(time, window, state, context))
    }

    fn on_merge(
        &self,
        window: &W,
        state: &mut G::State,
        merged: Vec<G::State>,
        context: &mut TriggerContext,
    ) {
        self.trigger.on_merge(window, state, merged, context);
    }

    fn check(&self) -> Result<()> {
        self.trigger.check()
    }
}
