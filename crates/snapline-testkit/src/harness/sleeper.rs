//! Waiting by a clock that a test moves on.

use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_core::Clock;
use snapline_dataflow::Sleeper;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Lets operators sleep until the clock was moved on.
#[derive(Debug)]
pub(super) struct ClockSleeper {
    clock: Arc<dyn Clock>,
    asleep: Arc<Mutex<Vec<Waker>>>,
}

impl ClockSleeper {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            asleep: Arc::default(),
        }
    }

    /// Lets all who sleep look at the clock.
    pub(super) fn wake_all(&self) {
        let asleep = std::mem::take(&mut *lock(&self.asleep));
        asleep.into_iter().for_each(Waker::wake);
    }
}

impl Sleeper for ClockSleeper {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (clock, asleep) = (self.clock.clone(), self.asleep.clone());
        let end = clock.monotonic().saturating_add(duration);
        poll_fn(move |cx| {
            if clock.monotonic() >= end {
                return Poll::Ready(());
            }
            lock(&asleep).push(cx.waker().clone());
            Poll::Pending
        })
        .boxed()
    }
}

fn lock(asleep: &Mutex<Vec<Waker>>) -> MutexGuard<'_, Vec<Waker>> {
    asleep.lock().unwrap_or_else(PoisonError::into_inner)
}
