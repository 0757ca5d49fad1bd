//! Whether and when a failed job restarts.

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
/// let mut strategy = RestartStrategy::from(&settings);
/// assert_eq!(strategy.on_failure(Duration::from_secs(1)), Some(Duration::from_millis(50)));
/// assert_eq!(strategy.on_failure(Duration::from_secs(2)), None);
/// ```
#[derive(Debug, Clone)]
pub struct RestartStrategy {
    delays: Delays,
    limit: Option<u32>,
    used: u32,
    /// When the restart after the last failure happens.
    restart_at: Option<Duration>,
    jitter: Option<Jitter>,
}

#[derive(Debug, Clone)]
enum Delays {
    Fixed(Duration),
    Growing(Growing),
}

#[derive(Debug, Clone)]
struct Growing {
    initial_ms: f64,
    max_ms: f64,
    multiplier: f64,
    reset_after: Duration,
    next_ms: f64,
}

impl From<&RestartSettings> for RestartStrategy {
    fn from(settings: &RestartSettings) -> Self {
        let (delays, limit) = match settings {
            RestartSettings::FixedDelay { attempts, delay_ms } => {
                (Delays::Fixed(Duration::from_millis(*delay_ms)), Some(*attempts))
            }
            RestartSettings::ExponentialDelay {
                initial_ms,
                max_ms,
                multiplier,
                reset_after_ms,
                attempts,
                ..
            } => {
                let growing = Growing {
                    initial_ms: *initial_ms as f64,
                    max_ms: *max_ms as f64,
                    multiplier: multiplier.max(1.0),
                    reset_after: Duration::from_millis(*reset_after_ms),
                    next_ms: *initial_ms as f64,
                };
                (Delays::Growing(growing), *attempts)
            }
            _ => (Delays::Fixed(Duration::ZERO), Some(0)),
        };
        Self {
            delays,
            limit,
            used: 0,
            restart_at: None,
            jitter: None,
        }
    }
}

impl RestartStrategy {
    /// Varies growing delays at random by up to this share of them, so that jobs that failed
    /// together do not restart together. The share is between 0 and 1.
    #[must_use]
    pub fn with_jitter(self, share: f64, seed: u64) -> Self {
        let jitter = Some(Jitter {
            share: share.clamp(0.0, 1.0),
            state: seed,
        });
        Self { jitter, ..self }
    }

    /// How long to wait from `now` (monotonic time) before the restart; `None`: the job fails.
    ///
    /// A failure while a restart is still to come belongs to it: the restart stays where it is.
    pub fn on_failure(&mut self, now: Duration) -> Option<Duration> {
        if let Some(restart_at) = self.restart_at.filter(|at| now < *at) {
            return Some(restart_at - now);
        }
        self.reset_after_quiet(now);
        if self.limit.is_some_and(|limit| self.used >= limit) {
            return None;
        }
        self.used = self.used.saturating_add(1);
        let delay = self.next_delay();
        self.restart_at = Some(now.saturating_add(delay));
        Some(delay)
    }

    /// The time without a failure counts from the last restart.
    fn reset_after_quiet(&mut self, now: Duration) {
        if let (Delays::Growing(growing), Some(restart_at)) = (&mut self.delays, self.restart_at)
            && now >= restart_at.saturating_add(growing.reset_after)
        {
            growing.next_ms = growing.initial_ms;
            self.used = 0;
        }
    }

    fn next_delay(&mut self) -> Duration {
        let growing = match &mut self.delays {
            Delays::Fixed(delay) => return *delay,
            Delays::Growing(growing) => growing,
        };
        let millis = growing.next_ms.min(growing.max_ms);
        growing.next_ms = (millis * growing.multiplier).min(growing.max_ms);
        let factor = self.jitter.as_mut().map_or(1.0, Jitter::factor);
        Duration::from_millis((millis * factor).min(growing.max_ms) as u64)
    }
}

/// A splitmix64 generator: enough to spread restarts.
#[derive(Debug, Clone)]
struct Jitter {
    share: f64,
    state: u64,
}

impl Jitter {
    /// Between `1 - share` and `1 + share`.
    fn factor(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let unit = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        1.0 + self.share * (2.0 * unit - 1.0)
    }
}

#[cfg(test)]
mod tests;
