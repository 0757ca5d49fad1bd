//! When the next checkpoint starts.

use snapline_core::{CheckpointKind, CheckpointSettings};
use std::time::Duration;

/// How long a failed final checkpoint waits before it is tried again.
const FINAL_RETRY: Duration = Duration::from_millis(100);

/// Knows what to start and when, as long as nothing is under way.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval: Duration,
    min_pause: Duration,
    periodic: Option<Duration>,
    earliest_periodic: Duration,
    requested: bool,
    last: Option<Duration>,
}

impl Schedule {
    /// An interval shorter than the minimum pause is as long as the pause.
    pub(crate) fn new(settings: Option<&CheckpointSettings>, now: Duration) -> Self {
        let min_pause = Duration::from_millis(settings.map_or(0, |settings| settings.min_pause_ms));
        let interval =
            Duration::from_millis(settings.map_or(0, |settings| settings.interval_ms)).max(min_pause);
        Self {
            interval,
            min_pause,
            periodic: settings.map(|_| now.saturating_add(interval)),
            earliest_periodic: Duration::ZERO,
            requested: false,
            last: None,
        }
    }

    /// A checkpoint is wanted as soon as nothing is under way. A final one ends all others.
    pub(crate) fn request(&mut self, kind: CheckpointKind, now: Duration) {
        if kind == CheckpointKind::Final {
            self.stop_periodic();
            self.requested = false;
            self.last = Some(now);
        } else {
            self.requested = true;
        }
    }

    pub(crate) fn is_final_requested(&self) -> bool {
        self.last.is_some()
    }

    pub(crate) fn stop_periodic(&mut self) {
        self.periodic = None;
    }

    /// What to start now.
    pub(crate) fn due(&self, now: Duration) -> Option<CheckpointKind> {
        if self.last.is_some_and(|at| at <= now) {
            return Some(CheckpointKind::Final);
        }
        let is_due = self.requested || self.next_periodic().is_some_and(|at| at <= now);
        is_due.then_some(CheckpointKind::Checkpoint)
    }

    /// When [`Schedule::due`] will next have something, if nothing is requested before.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let requested = self.requested.then_some(Duration::ZERO);
        [requested, self.last, self.next_periodic()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn on_start(&mut self, now: Duration) {
        self.requested = false;
        if let Some(at) = &mut self.periodic {
            *at = now.saturating_add(self.interval);
        }
    }

    pub(crate) fn on_completed(&mut self, kind: CheckpointKind, now: Duration) {
        self.earliest_periodic = now.saturating_add(self.min_pause);
        if kind == CheckpointKind::Final {
            self.last = None;
        }
    }

    pub(crate) fn on_aborted(&mut self, kind: CheckpointKind, now: Duration) {
        self.earliest_periodic = now.saturating_add(self.min_pause);
        if kind == CheckpointKind::Final {
            self.last = Some(now.saturating_add(FINAL_RETRY));
        }
    }

    fn next_periodic(&self) -> Option<Duration> {
        self.periodic.map(|at| at.max(self.earliest_periodic))
    }
}
