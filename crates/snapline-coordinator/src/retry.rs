//! When to try again what the outside world did not answer.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// A wait that doubles with each try.
#[derive(Debug, Clone, Default)]
pub(crate) struct Retry {
    tries: u32,
    due: Option<Duration>,
}

impl Retry {
    /// The try has failed.
    pub(crate) fn on_failure(&mut self, now: Duration) {
        let wait = FIRST
            .saturating_mul(2_u32.saturating_pow(self.tries))
            .min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        self.due = Some(now.saturating_add(wait));
    }

    /// Whether it is time; asking takes the answer away until the next failure.
    pub(crate) fn take_due(&mut self, now: Duration) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.due
    }
}
