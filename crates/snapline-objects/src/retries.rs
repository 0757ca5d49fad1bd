//! How long a request is repeated that the store did not answer.

use crate::failure::passes;
use object_store::Result;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// How long, and at which distances, a request is repeated when the store is out of reach or overloaded.
///
/// The delays double from the first to the longest, each cut at random by up to one half, so that many
/// tasks do not come back at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retries {
    /// After this time since the first attempt no further attempt begins.
    pub total: Duration,
    /// The first delay.
    pub first_delay: Duration,
    /// No delay is longer.
    pub longest_delay: Duration,
}

impl Default for Retries {
    /// For a minute, with delays from a tenth of a second to five seconds.
    fn default() -> Self {
        Self::within(Duration::from_secs(60))
    }
}

impl Retries {
    /// For this time, with the delays of the default.
    #[must_use]
    pub const fn within(total: Duration) -> Self {
        Self {
            total,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(5),
        }
    }

    /// The first failure is the caller's.
    #[must_use]
    pub const fn none() -> Self {
        Self::within(Duration::ZERO)
    }

    /// The same with these delays.
    #[must_use]
    pub const fn delays(self, first: Duration, longest: Duration) -> Self {
        Self {
            first_delay: first,
            longest_delay: longest,
            ..self
        }
    }

    /// No longer than this time.
    #[must_use]
    pub fn at_most(self, total: Duration) -> Self {
        Self {
            total: self.total.min(total),
            ..self
        }
    }

    /// Attempts until it succeeds, fails for good, or the time is over.
    ///
    /// A store that repeats requests itself takes as long as `total` for it; when it gives up, no time is
    /// left here. What remains are failures that it does not dare to repeat.
    ///
    /// # Errors
    /// The last failure.
    pub async fn run<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut over = pin!(sleep(self.total));
        let mut delay = self.first_delay;
        loop {
            let outcome = attempt().await;
            if self.total.is_zero() || !outcome.as_ref().is_err_and(passes) {
                return outcome;
            }
            tokio::select! {
                biased;
                () = &mut over => return outcome,
                () = sleep(shortened(delay)) => {}
            }
            delay = (delay * 2).min(self.longest_delay);
        }
    }
}

/// Between one half of the delay and all of it.
fn shortened(delay: Duration) -> Duration {
    delay - delay.mul_f64(0.5 * (random() >> 11) as f64 / (1u64 << 53) as f64)
}

/// A number that no other process draws. What a store keeps does not hang on it, only names and delays do.
pub fn random() -> u64 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    RandomState::new().hash_one((std::process::id(), drawn))
}
