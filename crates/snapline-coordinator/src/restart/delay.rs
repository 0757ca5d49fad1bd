//! How long a job waits before it restarts.

use crate::random::SplitMix;
use std::time::Duration;

/// One delay after the other.
#[derive(Debug, Clone)]
pub(super) enum Delays {
    Fixed(Duration),
    Growing(Growing),
}

#[derive(Debug, Clone)]
pub(super) struct Growing {
    initial_ms: f64,
    max_ms: f64,
    multiplier: f64,
    reset_after: Duration,
    next_ms: f64,
    jitter: Option<Jitter>,
}

impl Delays {
    pub(super) fn growing(initial_ms: u64, max_ms: u64, multiplier: f64, reset_after_ms: u64) -> Self {
        Self::Growing(Growing {
            initial_ms: initial_ms as f64,
            max_ms: max_ms as f64,
            multiplier: multiplier.max(1.0),
            reset_after: Duration::from_millis(reset_after_ms),
            next_ms: initial_ms as f64,
            jitter: None,
        })
    }

    /// Varies growing delays at random by up to this share of them, between 0 and 1.
    pub(super) fn with_jitter(mut self, share: f64, seed: u64) -> Self {
        if let Self::Growing(growing) = &mut self {
            let share = share.clamp(0.0, 1.0);
            growing.jitter = Some(Jitter {
                share,
                random: SplitMix(seed),
            });
        }
        self
    }

    /// Begins at the beginning if the job has run this long; whether it did.
    pub(super) fn start_again_after(&mut self, running_for: Duration) -> bool {
        match self {
            Self::Growing(growing) if running_for >= growing.reset_after => {
                growing.next_ms = growing.initial_ms;
                true
            }
            _ => false,
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let growing = match self {
            Self::Fixed(delay) => return *delay,
            Self::Growing(growing) => growing,
        };
        let millis = growing.next_ms.min(growing.max_ms);
        growing.next_ms = (millis * growing.multiplier).min(growing.max_ms);
        let factor = growing.jitter.as_mut().map_or(1.0, Jitter::factor);
        Duration::from_millis((millis * factor).min(growing.max_ms) as u64)
    }
}

#[derive(Debug, Clone)]
struct Jitter {
    share: f64,
    random: SplitMix,
}

impl Jitter {
    /// Between `1 - share` and `1 + share`.
    fn factor(&mut self) -> f64 {
        1.0 + self.share * (2.0 * self.random.unit() - 1.0)
    }
}
