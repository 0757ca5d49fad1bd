//! Time that passes only when it is told to.

use snapline_core::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What the clock on the wall shows when a simulation begins.
const START: Timestamp = Timestamp(1_000_000_000_000);

/// How often a step may look at the clock.
const MOST_LOOKS: u32 = 100_000;

/// The virtual time of one simulated world, and who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Time(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Microseconds since the start.
    now: u64,
    /// Whoever waits, by deadline and order.
    waiting: BTreeMap<(u64, u64), Waker>,
    next: u64,
    /// How often somebody has looked at the clock since time has last passed.
    looks: u32,
}

impl Time {
    /// Microseconds since the start.
    pub(crate) fn micros(&self) -> u64 {
        self.lock().now
    }

    /// Lets time pass and wakes whoever waited for it.
    pub(crate) fn pass(&self, micros: u64) {
        let mut state = self.lock();
        state.looks = 0;
        state.now += micros;
        let due = state.due();
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Jumps to the next moment for which somebody waits; false when nobody does.
    pub(crate) fn jump(&self) -> bool {
        let mut state = self.lock();
        let Some(((next, _), _)) = state.waiting.first_key_value() else {
            return false;
        };
        state.now = state.now.max(*next);
        let due = state.due();
        drop(state);
        due.into_iter().for_each(Waker::wake);
        true
    }

    /// Wakes after a time, once.
    pub(crate) fn wake_after(&self, micros: u64, waker: Waker) {
        let mut state = self.lock();
        let deadline = state.now.saturating_add(micros);
        state.wait(deadline, waker);
    }

    /// Ready after a time.
    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sleep_micros(micros)
    }

    pub(crate) fn sleep_micros(self: &Arc<Self>, micros: u64) -> Sleep {
        Sleep {
            time: self.clone(),
            deadline: self.micros().saturating_add(micros),
            waiting: None,
        }
    }

    /// Forgets whoever waits: their process is dead.
    pub(crate) fn forget_all(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        drop(waiting);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, deadline: u64, waker: Waker) -> (u64, u64) {
        let key = (deadline, self.next);
        self.next += 1;
        self.waiting.insert(key, waker);
        key
    }

    fn due(&mut self) -> Vec<Waker> {
        let first = self.waiting.first_key_value();
        if first.is_none_or(|((deadline, _), _)| *deadline > self.now) {
            return Vec::new();
        }
        let later = self.waiting.split_off(&(self.now + 1, 0));
        std::mem::replace(&mut self.waiting, later)
            .into_values()
            .collect()
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Timestamp(START.0 + (self.micros() / 1000) as i64)
    }

    /// # Panics
    /// When it is looked at again and again within one step: whoever waits in a loop for time to pass
    /// waits for ever.
    fn monotonic(&self) -> Duration {
        let mut state = self.lock();
        state.looks += 1;
        let (looks, now) = (state.looks, state.now);
        drop(state);
        assert!(
            looks < MOST_LOOKS,
            "a task looks at the clock in a loop and never gives way to others"
        );
        Duration::from_micros(now)
    }
}

/// Ready after a time.
#[derive(Debug)]
pub(crate) struct Sleep {
    time: Arc<Time>,
    deadline: u64,
    waiting: Option<(u64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let time = self.time.clone();
        let mut state = time.lock();
        if let Some(key) = self.waiting.take() {
            state.waiting.remove(&key);
        }
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
        self.waiting = Some(state.wait(self.deadline, cx.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.waiting {
            let waker = self.time.lock().waiting.remove(&key);
            drop(waker);
        }
    }
}
