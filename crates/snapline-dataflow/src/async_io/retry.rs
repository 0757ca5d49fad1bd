//! When a request that has failed is made again.

use snapline_core::{Error, ErrorKind, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How often a request is made, and how long to wait in between.
///
/// Made again is what failed because the outside world did not answer, [`ErrorKind::Unavailable`], unless
/// [`when`](Self::when) says otherwise. All attempts together have the timeout of the request.
#[derive(Clone)]
pub struct AsyncRetry {
    attempts: u32,
    first: Duration,
    longest: Duration,
    factor: u32,
    when: Arc<dyn Fn(&Error) -> bool + Send + Sync>,
}

impl AsyncRetry {
    /// Each request is made once.
    pub fn never() -> Self {
        Self::new(1, Duration::ZERO, Duration::ZERO, 1)
    }

    /// Each request is made so many times at the most, with the same `delay` before each but the first.
    pub fn fixed(attempts: u32, delay: Duration) -> Self {
        Self::new(attempts, delay, delay, 1)
    }

    /// Each request is made so many times at the most; the delay doubles from `first` to `longest`.
    pub fn exponential(attempts: u32, first: Duration, longest: Duration) -> Self {
        Self::new(attempts, first, longest, 2)
    }

    /// Chooses the errors after which a request is made again.
    #[must_use]
    pub fn when(mut self, may_pass: impl Fn(&Error) -> bool + Send + Sync + 'static) -> Self {
        self.when = Arc::new(may_pass);
        self
    }

    fn new(attempts: u32, first: Duration, longest: Duration, factor: u32) -> Self {
        Self {
            attempts,
            first,
            longest,
            factor,
            when: Arc::new(|error| error.kind() == ErrorKind::Unavailable),
        }
    }

    /// How long to wait after so many attempts of which the last one failed like this, if there is one more.
    pub(crate) fn delay(&self, attempts: u32, error: &Error) -> Option<Duration> {
        if attempts >= self.attempts || !(self.when)(error) {
            return None;
        }
        let factor = self.factor.saturating_pow(attempts.saturating_sub(1));
        Some(self.first.saturating_mul(factor).min(self.longest))
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.attempts == 0 {
            return Err(Error::invalid(
                "a request that is made 0 times is never answered; allow at least 1 attempt",
            ));
        }
        if self.longest < self.first {
            let rule = "the longest delay between attempts is shorter than the first one";
            return Err(Error::invalid(rule)
                .with("first ms", self.first.as_millis())
                .with("longest ms", self.longest.as_millis()));
        }
        Ok(())
    }
}

impl fmt::Debug for AsyncRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncRetry")
            .field("attempts", &self.attempts)
            .field("first", &self.first)
            .field("longest", &self.longest)
            .field("factor", &self.factor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest_and_end_with_the_attempts() {
        let retry = AsyncRetry::exponential(5, Duration::from_millis(10), Duration::from_millis(35));
        let error = Error::unavailable("down");
        let delays = (1..=6).map(|attempts| retry.delay(attempts, &error).map(|delay| delay.as_millis()));
        let expected = [Some(10), Some(20), Some(35), Some(35), None, None];
        assert_eq!(Vec::from_iter(delays), expected);
        let endless = AsyncRetry::exponential(u32::MAX, Duration::MAX, Duration::MAX);
        assert_eq!(endless.delay(u32::MAX - 1, &error), Some(Duration::MAX));
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        let retry = AsyncRetry::fixed(3, Duration::from_millis(10));
        assert_eq!(retry.delay(1, &Error::invalid("no such user")), None);
        let always = retry.when(|_| true);
        let again = always.delay(1, &Error::invalid("no such user"));
        assert_eq!(again, Some(Duration::from_millis(10)));
        assert_eq!(AsyncRetry::never().delay(1, &Error::unavailable("down")), None);
    }
}
