//! Where tasks run, and how time passes for them.

use futures::future::BoxFuture;
use snapline_core::{Error, Result};
use snapline_dataflow::Sleeper;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// Runs futures. Everything that a job does runs on its executor.
pub trait Executor: Send + Sync + std::fmt::Debug + 'static {
    /// Runs a future that does not block.
    fn spawn(&self, future: BoxFuture<'static, ()>);

    /// Runs a future that may block its thread for a while, because a storage or a sink does.
    fn spawn_io(&self, future: BoxFuture<'static, ()>);

    /// A future that is ready after this time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// Lets operators wait on an executor.
#[derive(Debug)]
pub(crate) struct ExecutorSleeper(pub(crate) Arc<dyn Executor>);

impl Sleeper for ExecutorSleeper {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

/// Runs futures on a tokio runtime of its own.
///
/// Dropping it stops the runtime without waiting for what still runs.
#[derive(Debug)]
pub struct TokioExecutor {
    runtime: Option<tokio::runtime::Runtime>,
    handle: tokio::runtime::Handle,
}

impl TokioExecutor {
    /// A runtime with one worker for each core.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no threads.
    pub fn new() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::with_workers(cores)
    }

    /// A runtime with this many workers, at least one.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no threads.
    pub fn with_workers(workers: usize) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers.max(1))
            .thread_name("snapline-worker")
            .enable_all()
            .build()
            .map_err(|error| Error::unavailable("no threads for the runtime").because(error))?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

impl Executor for TokioExecutor {
    fn spawn(&self, future: BoxFuture<'static, ()>) {
        self.handle.spawn(future);
    }

    fn spawn_io(&self, future: BoxFuture<'static, ()>) {
        let handle = self.handle.clone();
        self.handle.spawn_blocking(move || handle.block_on(future));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let _context = self.handle.enter();
        Box::pin(tokio::time::sleep(duration))
    }
}

impl Drop for TokioExecutor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
