//! Emits when something has changed enough.

use super::{Trigger, TriggerContext, TriggerResult};
use crate::window::Window;
use snapline_core::Data;

/// Emits when a record differs from the last that made it emit by more than a threshold.
///
/// ```
/// use snapline_dataflow::DeltaTrigger;
///
/// let each_kilometer = DeltaTrigger::of(1.0, |from: &(f64, f64), to: &(f64, f64)| {
///     (to.0 - from.0).hypot(to.1 - from.1)
/// });
/// # let _ = each_kilometer;
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DeltaTrigger<F> {
    threshold: f64,
    delta: F,
}

impl<F> DeltaTrigger<F> {
    /// Emits when `delta`, from the last record that made it emit to the newest, is more than `threshold`.
    pub fn of<T>(threshold: f64, delta: F) -> Self
    where
        F: Fn(&T, &T) -> f64,
    {
        Self { threshold, delta }
    }
}

impl<T, W, F> Trigger<T, W> for DeltaTrigger<F>
where
    T: Data,
    W: Window,
    F: Fn(&T, &T) -> f64 + Clone + Send + Sync + 'static,
{
    type State = Option<T>;

    fn on_element(&self, element: &T, _: &W, last: &mut Option<T>, _: &mut TriggerContext) -> TriggerResult {
        let Some(from) = last else {
            *last = Some(element.clone());
            return TriggerResult::Continue;
        };
        if (self.delta)(from, element) <= self.threshold {
            return TriggerResult::Continue;
        }
        *last = Some(element.clone());
        TriggerResult::Fire
    }

    /// Goes on from the record of the earliest of the windows.
    fn on_merge(&self, _: &W, last: &mut Option<T>, merged: Vec<Option<T>>, _: &mut TriggerContext) {
        *last = merged.into_iter().flatten().next();
    }
}
