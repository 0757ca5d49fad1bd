//! How many failures a job survives.

use std::collections::VecDeque;
use std::time::Duration;

/// Counts failures.
#[derive(Debug, Clone)]
pub(super) enum Limit {
    Unlimited,
    /// This many more.
    Attempts {
        all: u32,
        used: u32,
    },
    /// This many within any interval.
    Rate {
        max_failures: usize,
        interval: Duration,
        failures: VecDeque<Duration>,
    },
}

impl Limit {
    pub(super) fn attempts(all: u32) -> Self {
        Self::Attempts { all, used: 0 }
    }

    pub(super) fn rate(max_failures: u32, interval_ms: u64) -> Self {
        Self::Rate {
            max_failures: max_failures as usize,
            interval: Duration::from_millis(interval_ms),
            failures: VecDeque::new(),
        }
    }

    /// The job has run well for long enough.
    pub(super) fn start_again(&mut self) {
        if let Self::Attempts { used, .. } = self {
            *used = 0;
        }
    }

    /// Counts a failure; whether the job survives it.
    pub(super) fn allows_failure(&mut self, now: Duration) -> bool {
        match self {
            Self::Unlimited => true,
            Self::Attempts { all, used } => {
                *used = used.saturating_add(1);
                *used <= *all
            }
            Self::Rate {
                max_failures,
                interval,
                failures,
            } => {
                failures.retain(|at| now.saturating_sub(*at) < *interval);
                failures.push_back(now);
                failures.len() <= *max_failures
            }
        }
    }
}
