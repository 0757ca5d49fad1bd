//! Emits after so many records.

use super::{Trigger, TriggerContext, TriggerResult};
use crate::window::Window;
use snapline_core::{Error, Result};

/// Emits whenever so many records have come since it did so last.
#[derive(Debug, Clone, Copy)]
pub struct CountTrigger {
    count: u64,
}

impl CountTrigger {
    /// Emits after each `count` records of a window, at least 1.
    pub fn of(count: u64) -> Self {
        Self { count }
    }
}

impl<T, W: Window> Trigger<T, W> for CountTrigger {
    type State = u64;

    fn on_element(&self, _: &T, _: &W, seen: &mut u64, _: &mut TriggerContext) -> TriggerResult {
        *seen += 1;
        if *seen < self.count {
            return TriggerResult::Continue;
        }
        *seen = 0;
        TriggerResult::Fire
    }

    fn on_merge(&self, _: &W, seen: &mut u64, merged: Vec<u64>, _: &mut TriggerContext) {
        *seen = merged.into_iter().sum();
    }

    fn check(&self) -> Result<()> {
        if self.count > 0 {
            return Ok(());
        }
        Err(Error::invalid("a count trigger needs a count of at least 1"))
    }
}
