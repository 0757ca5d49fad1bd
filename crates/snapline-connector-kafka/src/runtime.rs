//! Where the client runs: its sockets and timers are Tokio's, whoever waits for the answers.

use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use snapline_core::{Error, Result};
use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// A task that ends when nobody is interested in it any more.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a future on the runtime of the caller, or on one of this crate where the caller has none.
///
/// # Errors
/// `Unavailable` when the system gives no thread.
pub(crate) fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Result<Task<T>> {
    Ok(Task(handle()?.spawn(future)))
}

/// Waits for a future that needs a runtime, from wherever.
///
/// # Errors
/// That of the future; `Unavailable` when the system gives no thread.
pub(crate) async fn run<T: Send + 'static>(
    future: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let mut task = spawn(future)?;
    match (&mut task.0).await {
        Ok(result) => result,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => Err(Error::panicked(&*panic)),
            Err(_) => Err(Error::cancelled("the runtime of the client of kafka was stopped")),
        },
    }
}

/// How many requests are under way at a time.
const AT_A_TIME: usize = 16;

/// Waits for all, or for the first that fails.
///
/// # Errors
/// Its.
pub(crate) async fn some_at_a_time<T>(calls: Vec<BoxFuture<'_, Result<T>>>) -> Result<Vec<T>> {
    stream::iter(calls).buffered(AT_A_TIME).try_collect().await
}

fn handle() -> Result<Handle> {
    Handle::try_current().or_else(|_| own().map(|runtime| runtime.handle().clone()))
}

fn own() -> Result<&'static Runtime> {
    static OWN: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = OWN.get() {
        return Ok(runtime);
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("snapline-kafka")
        .enable_all()
        .build()
        .map_err(|error| Error::unavailable("no thread for the client of kafka").because(error))?;
    Ok(OWN.get_or_init(|| runtime))
}
