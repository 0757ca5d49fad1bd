//! One window with everything.

use super::GlobalWindow;
use super::assigner::WindowAssigner;
use super::trigger::NeverTrigger;
use crate::process::TimeDomain;
use snapline_core::{Result, Timestamp};

/// All records of a key in one window that never ends. It emits nothing unless it is given a trigger.
///
/// ```
/// # use snapline_dataflow::{CountTrigger, DataStream, GlobalWindows, PurgingTrigger};
/// /// The sum of each hundred numbers.
/// fn hundreds(numbers: &DataStream<u64>) -> DataStream<u64> {
///     numbers
///         .key_by(|number| number % 7)
///         .window(GlobalWindows)
///         .trigger(PurgingTrigger::of(CountTrigger::of(100)))
///         .reduce(|sum, number| *sum += number)
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct GlobalWindows;

impl<T> WindowAssigner<T> for GlobalWindows {
    type Window = GlobalWindow;
    type DefaultTrigger = NeverTrigger;

    fn assign(&self, _: &T, _: Timestamp, windows: &mut Vec<GlobalWindow>) -> Result<()> {
        windows.push(GlobalWindow);
        Ok(())
    }

    fn default_trigger(&self) -> NeverTrigger {
        NeverTrigger
    }

    fn time(&self) -> TimeDomain {
        TimeDomain::ProcessingTime
    }
}
