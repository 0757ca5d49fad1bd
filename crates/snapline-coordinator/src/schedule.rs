//! When a checkpoint starts by itself.

use crate::random::SplitMix;
use crate::request::RequestId;
use snapline_core::{CheckpointKind, CheckpointSettings};
use std::time::Duration;

/// How long a failed final checkpoint waits before it is tried again.
const FINAL_RETRY: Duration = Duration::from_millis(100);

/// Periodic checkpoints and the final one.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    interval: Duration,
    min_pause: Duration,
    periodic: Option<Duration>,
    earliest_periodic: Duration,
    ending: Ending,
}

/// How the job is going to end, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// Nothing starts by itself any more.
    Closed,
    /// With the final checkpoint, which starts at this time unless it is under way.
    Final(RequestId, Option<Duration>),
}

impl Schedule {
    /// An interval shorter than the minimum pause is as long as the pause.
    ///
    /// With a seed, the first checkpoint starts anywhere between the pause and the interval.
    pub(crate) fn new(settings: Option<&CheckpointSettings>, seed: Option<u64>, now: Duration) -> Self {
        let min_pause = Duration::from_millis(settings.map_or(0, |settings| settings.min_pause_ms));
        let interval =
            Duration::from_millis(settings.map_or(0, |settings| settings.interval_ms)).max(min_pause);
        let spread = (interval - min_pause).as_millis() as u64;
        let at_random =
            |seed| min_pause + Duration::from_millis((spread as f64 * SplitMix(seed).unit()) as u64);
        let first = seed.map_or(interval, at_random);
        Self {
            interval,
            min_pause,
            periodic: settings.map(|_| now.saturating_add(first)),
            earliest_periodic: Duration::ZERO,
            ending: Ending::Open,
        }
    }

    /// A final checkpoint is wanted as soon as there is room.
    pub(crate) fn end_with_final(&mut self, request: RequestId, now: Duration) {
        self.ending = Ending::Final(request, Some(now));
    }

    /// Nothing starts by itself from now on.
    pub(crate) fn end(&mut self) {
        self.ending = Ending::Closed;
    }

    /// The job does not end after all. Returns the request of the final checkpoint.
    pub(crate) fn reopen(&mut self) -> Option<RequestId> {
        match std::mem::replace(&mut self.ending, Ending::Open) {
            Ending::Final(request, _) => Some(request),
            _ => None,
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        self.ending != Ending::Open
    }

    pub(crate) fn stop_periodic(&mut self) {
        self.periodic = None;
    }

    /// What to start now if there is room.
    pub(crate) fn due(&self, now: Duration) -> Option<(CheckpointKind, Option<RequestId>)> {
        let is_due = self.deadline().is_some_and(|at| at <= now);
        let next = match self.ending {
            Ending::Final(request, _) => (CheckpointKind::Final, Some(request)),
            _ => (CheckpointKind::Checkpoint, None),
        };
        is_due.then_some(next)
    }

    /// When [`Schedule::due`] will next have something.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self.ending {
            Ending::Open => self.periodic.map(|at| at.max(self.earliest_periodic)),
            Ending::Closed => None,
            Ending::Final(_, at) => at,
        }
    }

    pub(crate) fn on_start(&mut self, kind: CheckpointKind, now: Duration) {
        match (&mut self.periodic, &mut self.ending) {
            (Some(at), _) if matches!(kind, CheckpointKind::Checkpoint | CheckpointKind::FullCheckpoint) => {
                *at = now.saturating_add(self.interval);
            }
            (_, Ending::Final(_, at)) if kind == CheckpointKind::Final => *at = None,
            _ => {}
        }
    }

    pub(crate) fn on_end(&mut self, now: Duration) {
        self.earliest_periodic = now.saturating_add(self.min_pause);
    }

    /// The final checkpoint has failed and is tried again.
    pub(crate) fn retry_final(&mut self, now: Duration) {
        if let Ending::Final(_, at) = &mut self.ending {
            *at = Some(now.saturating_add(FINAL_RETRY));
        }
    }
}
