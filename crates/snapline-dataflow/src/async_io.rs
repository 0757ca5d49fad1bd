//! Asking the outside world about records, without waiting for each answer.

mod function;
mod retry;

pub use function::AsyncFunction;
pub(crate) use function::FromAsync;
pub use retry::AsyncRetry;

use snapline_core::{Error, Result};
use std::time::Duration;

/// How an operator asks: how many requests at a time, how long each may take, in which order its results go on, and
/// what becomes of requests that fail.
///
/// ```
/// use snapline_dataflow::{AsyncIo, AsyncRetry};
/// use std::time::Duration;
///
/// let lookups = AsyncIo::unordered(Duration::from_secs(5))
///     .capacity(200)
///     .retry(AsyncRetry::exponential(4, Duration::from_millis(50), Duration::from_secs(1)));
/// ```
#[derive(Debug, Clone)]
pub struct AsyncIo {
    pub(crate) order: ResultOrder,
    pub(crate) capacity: usize,
    pub(crate) timeout: Duration,
    pub(crate) retry: AsyncRetry,
}

/// In which order results go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResultOrder {
    /// As the records came.
    OfRecords,
    /// As they become known, but none passes a watermark.
    OfAnswers,
}

/// How many requests are on their way at the most, unless said otherwise.
const CAPACITY: usize = 100;

impl AsyncIo {
    /// Results go on in the order of the records: a slow answer keeps back those behind it.
    ///
    /// A request is given `timeout`, with all its retries.
    pub fn ordered(timeout: Duration) -> Self {
        Self::new(ResultOrder::OfRecords, timeout)
    }

    /// Results go on as they become known. Only watermarks are not passed: what came before a watermark goes on
    /// before it, and what came behind it, behind it.
    ///
    /// A request is given `timeout`, with all its retries.
    pub fn unordered(timeout: Duration) -> Self {
        Self::new(ResultOrder::OfAnswers, timeout)
    }

    fn new(order: ResultOrder, timeout: Duration) -> Self {
        Self {
            order,
            capacity: CAPACITY,
            timeout,
            retry: AsyncRetry::never(),
        }
    }

    /// So many records, 100 unless said otherwise, are in a subtask with a request that is not answered, or with an
    /// answer that waits for its turn, before it takes no more: whoever sends them has to wait.
    #[must_use]
    pub fn capacity(mut self, requests: usize) -> Self {
        self.capacity = requests;
        self
    }

    /// What becomes of requests that fail; unless said otherwise, the job restarts.
    #[must_use]
    pub fn retry(mut self, retry: AsyncRetry) -> Self {
        self.retry = retry;
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.capacity == 0 {
            return Err(Error::invalid(
                "an asynchronous operator with room for no request never asks; set a capacity of at least 1",
            ));
        }
        if self.timeout.is_zero() {
            return Err(Error::invalid(
                "a request that may take no time is never answered; set a timeout above 0",
            ));
        }
        self.retry.check()
    }
}
