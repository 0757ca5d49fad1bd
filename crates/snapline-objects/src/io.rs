//! The thread that talks to the store, so that the caller may use any executor or none.

use futures::FutureExt;
use object_store::{Error as StoreError, Result as StoreResult};
use snapline_core::{Error, Result};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// For directories and for names of hosts. Each thread costs memory of its own in most allocators.
const FILE_THREADS: usize = 4;

/// A handle to a thread with an event loop for network and timers.
///
/// The thread ends when the last handle is dropped and the last task is done.
#[derive(Debug, Clone)]
pub struct Io {
    handle: Handle,
    alive: mpsc::Sender<Infallible>,
}

impl Io {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Unavailable` when the system gives none.
    pub fn start() -> Result<Self> {
        let cannot = |error| Error::unavailable("cannot start the thread of the object store").because(error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(FILE_THREADS)
            .build()
            .map_err(cannot)?;
        let handle = runtime.handle().clone();
        let (alive, mut ended) = mpsc::channel(1);
        thread::Builder::new()
            .name("snapline-object".to_owned())
            .spawn(move || runtime.block_on(async { ended.recv().await }))
            .map_err(cannot)?;
        Ok(Self { handle, alive })
    }

    /// Starts a task, which is stopped when the call is dropped.
    pub fn call<T, F>(&self, task: F) -> Call<T>
    where
        T: Send + 'static,
        F: Future<Output = StoreResult<T>> + Send + 'static,
    {
        Call(self.spawn(task))
    }

    /// Starts a task that runs to its end, also when nobody waits for it any more.
    pub fn spawn<T, F>(&self, task: F) -> JoinHandle<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let alive = self.alive.clone();
        self.handle.spawn(async move {
            let outcome = task.await;
            drop(alive);
            outcome
        })
    }
}

/// A task that somebody waits for.
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct Call<T>(JoinHandle<StoreResult<T>>);

impl<T> Call<T> {
    /// Whether waiting for it takes no time.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Stops the task and waits until it does nothing any more.
    pub async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl<T> Future for Call<T> {
    type Output = StoreResult<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.0.poll_unpin(cx));
        Poll::Ready(outcome.unwrap_or_else(|source| Err(StoreError::JoinError { source })))
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
