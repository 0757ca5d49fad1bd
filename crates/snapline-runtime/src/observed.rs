//! The coordinator of an attempt, where the handle of its job can look at it.

use snapline_coordinator::{CheckpointCoordinator, CheckpointStatistics, CoordinatorContext, Moment};
use snapline_core::Clock;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A coordinator that one attempt runs and others may ask how checkpoints are doing. What that costs is
/// paid by those who ask.
#[derive(Clone)]
pub(crate) struct Observed {
    coordinator: Arc<Mutex<CheckpointCoordinator>>,
    clock: Arc<dyn Clock>,
}

impl Observed {
    pub(crate) fn new(context: CoordinatorContext, clock: Arc<dyn Clock>) -> Self {
        let coordinator = CheckpointCoordinator::new(context, Moment::of(&*clock));
        Self {
            coordinator: Arc::new(Mutex::new(coordinator)),
            clock,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CheckpointCoordinator> {
        self.coordinator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How checkpoints are doing now.
    pub(crate) fn statistics(&self) -> CheckpointStatistics {
        self.lock().statistics(Moment::of(&*self.clock))
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lock().fmt(f)
    }
}
