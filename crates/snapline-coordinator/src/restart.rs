//! Whether and when a failed job restarts.

mod delay;
mod limit;

use delay::Delays;
use limit::Limit;
use snapline_core::RestartSettings;
use std::time::Duration;

/// Decides after each failure whether the job restarts, and after what delay.
///
/// ```
/// use snapline_coordinator::RestartStrategy;
/// use snapline_core::RestartSettings;
/// use std::time::Duration;
///
/// let settings = RestartSettings::FixedDelay { attempts: 1, delay_ms: 50 };
/// let mut strategy = RestartStrategy::new(&settings, 0);
/// assert_eq!(strategy.on_failure(Duration::from_secs(1)), Some(Duration::from_millis(50)));
/// assert_eq!(strategy.on_failure(Duration::from_secs(2)), None);
/// ```
#[derive(Debug, Clone)]
pub struct RestartStrategy {
    delays: Delays,
    limit: Limit,
    /// When the restart after the last failure happens.
    restart_at: Option<Duration>,
}

impl RestartStrategy {
    /// The strategy of these settings. Delays are varied at random by as much as the settings say;
    /// jobs that may fail together should have different seeds, so that they do not restart together.
    pub fn new(settings: &RestartSettings, seed: u64) -> Self {
        let fixed = |delay_ms: u64| Delays::Fixed(Duration::from_millis(delay_ms));
        let (delays, limit) = match *settings {
            RestartSettings::FixedDelay { attempts, delay_ms } => {
                (fixed(delay_ms), Limit::attempts(attempts))
            }
            RestartSettings::FailureRate {
                max_failures,
                interval_ms,
                delay_ms,
            } => (fixed(delay_ms), Limit::rate(max_failures, interval_ms)),
            RestartSettings::ExponentialDelay {
                initial_ms,
                max_ms,
                multiplier,
                reset_after_ms,
                jitter,
                attempts,
            } => (
                Delays::growing(initial_ms, max_ms, multiplier, reset_after_ms).with_jitter(jitter, seed),
                attempts.map_or(Limit::Unlimited, Limit::attempts),
            ),
            _ => (fixed(0), Limit::attempts(0)),
        };
        Self {
            delays,
            limit,
            restart_at: None,
        }
    }

    /// How long to wait from `now` (monotonic time) before the restart; `None`: the job fails.
    ///
    /// A failure while a restart is still to come belongs to it: the restart stays where it is.
    pub fn on_failure(&mut self, now: Duration) -> Option<Duration> {
        if let Some(restart_at) = self.restart_at.filter(|at| now < *at) {
            return Some(restart_at - now);
        }
        // The time without a failure counts from the last restart.
        let running_for = self.restart_at.map(|at| now - at);
        if running_for.is_some_and(|time| self.delays.start_again_after(time)) {
            self.limit.start_again();
        }
        if !self.limit.allows_failure(now) {
            return None;
        }
        let delay = self.delays.next();
        self.restart_at = Some(now.saturating_add(delay));
        Some(delay)
    }
}

#[cfg(test)]
mod tests;
