//! What happens after a task failed.

use super::at_least_one;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What happens after a task failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum RestartSettings {
    /// The job fails.
    None,
    /// The job restarts after the same delay each time, `attempts` times at the most.
    FixedDelay {
        /// How many restarts there may be.
        attempts: u32,
        /// The delay in milliseconds.
        delay_ms: u64,
    },
    /// The job restarts after the same delay each time, unless it has failed too often lately.
    FailureRate {
        /// How many failures there may be within `interval_ms`; one more ends the job.
        max_failures: u32,
        /// The time over which failures are counted, in milliseconds.
        interval_ms: u64,
        /// The delay in milliseconds.
        delay_ms: u64,
    },
    /// The job restarts after a delay that grows with each failure and falls back after a time
    /// without one.
    ExponentialDelay {
        /// The first delay in milliseconds.
        initial_ms: u64,
        /// The longest delay in milliseconds.
        max_ms: u64,
        /// By how much the delay grows. At least 1.
        multiplier: f64,
        /// The delay starts again at `initial_ms` after this long without a failure, in milliseconds.
        reset_after_ms: u64,
        /// By which share of itself a delay is varied at random, from 0 to 1, so that jobs that failed
        /// together do not restart together.
        #[serde(default)]
        jitter: f64,
        /// How many restarts without such a pause there may be; without a limit when unset.
        attempts: Option<u32>,
    },
}

impl Default for RestartSettings {
    fn default() -> Self {
        Self::ExponentialDelay {
            initial_ms: 1,
            max_ms: 60_000,
            multiplier: 2.0,
            reset_after_ms: 600_000,
            jitter: 0.1,
            attempts: Some(20),
        }
    }
}

impl RestartSettings {
    /// Checks every setting.
    ///
    /// # Errors
    /// `Invalid` naming the setting and what it may be.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::FailureRate { interval_ms, .. } => at_least_one("restart.interval_ms", *interval_ms),
            Self::ExponentialDelay { multiplier, .. } if !(*multiplier >= 1.0 && multiplier.is_finite()) => {
                Err(Error::invalid("restart.multiplier must be at least 1").with("given", multiplier))
            }
            Self::ExponentialDelay { jitter, .. } if !(0.0..=1.0).contains(jitter) => {
                Err(Error::invalid("restart.jitter must be between 0 and 1").with("given", jitter))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strategy_that_cannot_be_is_refused() {
        let exponential = |multiplier, jitter| RestartSettings::ExponentialDelay {
            initial_ms: 1,
            max_ms: 10,
            multiplier,
            reset_after_ms: 5,
            jitter,
            attempts: None,
        };
        let rate = |interval_ms| RestartSettings::FailureRate {
            max_failures: 3,
            interval_ms,
            delay_ms: 0,
        };
        for bad in [
            exponential(0.5, 0.0),
            exponential(f64::NAN, 0.0),
            exponential(2.0, 1.5),
            rate(0),
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        for good in [
            RestartSettings::default(),
            RestartSettings::None,
            rate(1),
            exponential(1.0, 1.0),
        ] {
            good.validate().unwrap();
        }
    }
}
