//! Requests that are on their way.

use super::pending::Place;
use crate::async_io::{AsyncFunction, AsyncRetry};
use crate::context::Sleeper;
use futures::future::{BoxFuture, Either, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use snapline_core::{Data, Result};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Makes requests, again when they fail, and waits for all of them at once.
pub(super) struct Requests<F, U> {
    function: Arc<F>,
    timeout: Duration,
    retry: AsyncRetry,
    sleeper: Arc<dyn Sleeper>,
    running: FuturesUnordered<BoxFuture<'static, (Place, Answer<U>)>>,
}

/// What has become of a request; `None` when its time is over.
pub(super) type Answer<U> = Option<Result<Vec<U>>>;

impl<F, U: Send + 'static> Requests<F, U> {
    pub(super) fn new(function: F, timeout: Duration, retry: AsyncRetry, sleeper: Arc<dyn Sleeper>) -> Self {
        Self {
            function: Arc::new(function),
            timeout,
            retry,
            sleeper,
            running: FuturesUnordered::new(),
        }
    }

    pub(super) fn function(&self) -> &F {
        &self.function
    }

    pub(super) fn ask<T: Data>(&mut self, place: Place, record: T)
    where
        F: AsyncFunction<T, Output = U>,
    {
        let (function, retry) = (self.function.clone(), self.retry.clone());
        let answer = attempts(function, record, retry, self.sleeper.clone()).boxed();
        let end = self.sleeper.sleep(self.timeout);
        let request = select(answer, end).map(move |first| match first {
            Either::Left((answer, _)) => (place, Some(answer)),
            Either::Right(_) => (place, None),
        });
        self.running.push(request.boxed());
    }

    /// The next request that has come to an end; pending while there is none, also when there are none at all.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<(Place, Answer<U>)> {
        match self.running.poll_next_unpin(cx) {
            Poll::Ready(Some(answer)) => Poll::Ready(answer),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

async fn attempts<T: Data, F: AsyncFunction<T>>(
    function: Arc<F>,
    record: T,
    retry: AsyncRetry,
    sleeper: Arc<dyn Sleeper>,
) -> Result<Vec<F::Output>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match function.invoke(record.clone()).await {
            Ok(results) => return Ok(results),
            Err(error) => error,
        };
        match retry.delay(attempts, &error) {
            Some(delay) => sleeper.sleep(delay).await,
            None => return Err(error.with("attempts", attempts)),
        }
    }
}
