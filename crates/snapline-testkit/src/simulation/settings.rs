//! What is to be simulated.

use super::dice::Dice;
use super::faults::Faults;
use snapline_core::AlignmentSettings;
use snapline_state::StateBackend;
use snapline_state_memory::MemoryStateBackend;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Settings {
    pub(crate) seeds: Range<u64>,
    pub(crate) faults: Faults,
    pub(crate) interval: Duration,
    pub(crate) parallelism: RangeInclusive<u32>,
    pub(crate) rescale: bool,
    pub(crate) alignments: Vec<AlignmentSettings>,
    pub(crate) step_limit: u64,
    pub(crate) at_least_checkpoints: u64,
    pub(crate) backend: Box<dyn Fn() -> Arc<dyn StateBackend>>,
}

impl Settings {
    pub(crate) fn new(seeds: Range<u64>) -> Self {
        Self {
            seeds,
            faults: Faults::default(),
            interval: Duration::from_millis(2),
            parallelism: 1..=4,
            rescale: false,
            alignments: vec![AlignmentSettings::Aligned],
            step_limit: 50_000,
            at_least_checkpoints: 1,
            backend: Box::new(|| Arc::new(MemoryStateBackend::new())),
        }
    }

    pub(crate) fn draw_parallelism(&self, dice: &Dice) -> u32 {
        let (least, most) = (*self.parallelism.start(), *self.parallelism.end());
        dice.between(u64::from(least.max(1))..=u64::from(most.max(least).max(1))) as u32
    }

    /// A checkpoint is given up after some intervals, so that slow calls matter.
    pub(crate) fn checkpoint_timeout_ms(&self) -> u64 {
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX);
        interval.saturating_mul(50).max(1)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("seeds", &self.seeds)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
