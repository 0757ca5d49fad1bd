//! Wakes tasks at a time that is exact to what the system can do.
//!
//! The timers of an executor are whole milliseconds, which would be most of what is measured.

use snapline_core::{Clock, Error, Result, SystemClock};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

/// How often the thread looks whether anybody needs it.
const PATIENCE: Duration = Duration::from_millis(100);

/// A thread that wakes tasks.
pub(super) struct Alarm {
    clock: SystemClock,
    asleep: Mutex<Vec<(Duration, Waker)>>,
    changed: Condvar,
}

impl Alarm {
    /// An alarm whose thread ends when nobody needs it any more.
    pub(super) fn start() -> Result<Arc<Self>> {
        let alarm = Arc::new(Self {
            clock: SystemClock::new(),
            asleep: Mutex::default(),
            changed: Condvar::new(),
        });
        let weak = Arc::downgrade(&alarm);
        std::thread::Builder::new()
            .name("alarm".to_owned())
            .spawn(move || keep(&weak))
            .map_err(|error| Error::unavailable("no thread for an alarm").because(error))?;
        Ok(alarm)
    }

    /// The time that it goes by.
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Wakes a task at this time.
    pub(super) fn wake_at(&self, time: Duration, waker: &Waker) {
        let mut asleep = self.lock();
        let is_sooner = asleep.iter().all(|(other, _)| time < *other);
        asleep.retain(|(_, other)| !other.will_wake(waker));
        asleep.push((time, waker.clone()));
        drop(asleep);
        if is_sooner {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Duration, Waker)>> {
        self.asleep.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(alarm: &Weak<Alarm>) {
    while let Some(alarm) = alarm.upgrade() {
        let mut asleep = alarm.lock();
        let now = alarm.now();
        let due = asleep.extract_if(.., |(time, _)| *time <= now);
        due.for_each(|(_, waker)| waker.wake());
        let next = asleep.iter().map(|(time, _)| *time).min();
        let patience = next.map_or(PATIENCE, |time| time.saturating_sub(now));
        drop(alarm.changed.wait_timeout(asleep, patience));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use std::future::poll_fn;
    use std::task::Poll;

    #[test]
    fn a_task_is_woken_when_its_time_has_come() {
        let alarm = Alarm::start().unwrap();
        for time in [Duration::ZERO, alarm.now() + Duration::from_millis(2)] {
            block_on(poll_fn(|cx| {
                if alarm.now() >= time {
                    return Poll::Ready(());
                }
                alarm.wake_at(time, cx.waker());
                Poll::Pending
            }));
            assert!(alarm.now() >= time);
        }
    }
}
