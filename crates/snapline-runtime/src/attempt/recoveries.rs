//! Recoveries of sinks, which must not outlive their attempt.

use snapline_core::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// Lets the sinks of a region recover as long as the attempt lasts.
///
/// A region is rebuilt beside the attempt, and that may take long. If it let a sink recover after the next
/// attempt has begun, the sink would take back what that one has prepared, or even committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Recoveries {
    running: Arc<Mutex<()>>,
    is_over: Arc<AtomicBool>,
}

impl Recoveries {
    /// Does this unless the attempt is over.
    ///
    /// # Errors
    /// `Cancelled` when it is; otherwise that of the recovery.
    pub(super) async fn run<T>(&self, recovery: impl Future<Output = Result<T>>) -> Result<T> {
        let _running = self.running.lock().await;
        match self.is_over.load(Ordering::Relaxed) {
            true => Err(Error::cancelled("the attempt is over")),
            false => recovery.await,
        }
    }

    /// Lets no other begin, and is ready when none is running any more.
    pub(super) async fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.running.lock().await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::channel::oneshot;
    use futures::executor::block_on;
    use snapline_core::ErrorKind;

    #[test]
    fn none_begins_when_the_attempt_is_over() {
        let recoveries = Recoveries::default();
        block_on(recoveries.run(async { Ok(()) })).unwrap();
        block_on(recoveries.end());
        let late = block_on(recoveries.run::<()>(async { panic!("it is over") }));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Cancelled);
    }

    #[test]
    fn the_end_waits_for_the_one_that_is_running_and_for_none_that_waits() {
        let recoveries = Recoveries::default();
        let (go_on, gate) = oneshot::channel::<()>();
        let mut running =
            Box::pin(recoveries.run(async { gate.await.map_err(|_| Error::cancelled("gone")) }));
        assert!((&mut running).now_or_never().is_none());
        let mut waiting = Box::pin(recoveries.run::<()>(async { panic!("it is over") }));
        assert!((&mut waiting).now_or_never().is_none());
        let mut end = Box::pin(recoveries.end());
        assert!((&mut end).now_or_never().is_none());
        go_on.send(()).unwrap();
        block_on(running).unwrap();
        assert_eq!(block_on(waiting).unwrap_err().kind(), ErrorKind::Cancelled);
        block_on(end);
    }
}
