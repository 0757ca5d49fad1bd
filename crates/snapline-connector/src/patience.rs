//! How long a connector waits for a server that is not there.

use snapline_core::{Error, ErrorKind, Result};
use std::time::Duration;

/// Between two attempts to reach a server: the shortest and the longest pause.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// How long to go on when a server is not there or does not answer: 30 seconds unless told. Waits on an event loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(Duration);

impl Patience {
    /// A connection that does not come about is given up after this long.
    pub const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

    /// Waits for this long.
    pub const fn of(limit: Duration) -> Self {
        Self(limit)
    }

    /// How long it waits.
    pub const fn limit(self) -> Duration {
        self.0
    }

    /// Does this again while it is `Unavailable`, until patience ends; `again` is told of each failure before.
    ///
    /// # Errors
    /// The last failure.
    pub async fn retry<T, F>(self, mut call: impl FnMut() -> F, mut again: impl FnMut(&Error)) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let [mut pause, longest] = PAUSES;
        let mut waited = Duration::ZERO;
        loop {
            match call().await {
                Err(error) if error.kind() == ErrorKind::Unavailable && waited < self.0 => {
                    again(&error);
                    tokio::time::sleep(pause).await;
                    waited += pause;
                    pause = longest.min(pause * 2);
                }
                outcome => return outcome,
            }
        }
    }

    /// Gives a call up when patience ends, and the time for a connection: then `None`.
    pub async fn bounded<T>(self, call: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.0 + Self::CONNECTS_WITHIN, call)
            .await
            .ok()
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}
