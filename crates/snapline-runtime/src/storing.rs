//! How many snapshots a job stores at once.

use futures::{FutureExt, TryFutureExt};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many, and so many tasks are built at once: each may block a thread while it waits for its storage, and every thread
/// keeps memory of its own.
pub(crate) const AT_ONCE: usize = 16;

/// Lets the tasks of a job store their snapshots in turns, in the order in which they ask.
#[derive(Debug, Clone)]
pub(crate) struct Storing(Arc<Semaphore>);

/// Until it is dropped, one fewer may store.
#[derive(Debug)]
pub(crate) struct Turn(
    #[expect(dead_code, reason = "it counts as long as it is there")] OwnedSemaphorePermit,
);

impl Default for Storing {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Storing {
    /// A turn, if nobody has to be waited for.
    pub(crate) fn turn(&self) -> Option<Turn> {
        self.0.clone().try_acquire_owned().ok().map(Turn)
    }

    /// The next turn; `None`, which does not happen, when there are none any more.
    pub(crate) fn next_turn(&self) -> impl Future<Output = Option<Turn>> + use<> {
        self.0.clone().acquire_owned().map_ok(Turn).map(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_late_waits_for_its_turn() {
        let storing = Storing::default();
        let mut turns: Vec<_> = (0..AT_ONCE).map(|_| storing.turn().unwrap()).collect();
        assert!(storing.turn().is_none());
        let (mut first, mut second) = (Box::pin(storing.next_turn()), Box::pin(storing.next_turn()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        turns.pop();
        assert!(storing.turn().is_none(), "those who wait come first");
        assert!(second.as_mut().now_or_never().is_none());
        assert!(first.as_mut().now_or_never().flatten().is_some());
        assert!(second.now_or_never().flatten().is_some());
    }
}
