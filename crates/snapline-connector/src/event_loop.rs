//! A thread that talks to a server, so that a job may run on any executor or none.

use futures::FutureExt;
use snapline_core::{Error, Result};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// For the names of hosts, which are looked up by calls that wait.
const LOOKUPS: usize = 2;

/// A thread with tokio's network and timers, for connectors whose client needs them.
///
/// What runs on it should only wait and pass bytes on: there is one thread for all readers, writers and committers of a
/// connector. It ends when the last clone is dropped and the last task is done.
///
/// # Examples
/// ```
/// use snapline_connector::EventLoop;
///
/// let events = EventLoop::start("snapline-example")?;
/// let answer = futures::executor::block_on(events.call(async { Ok(42) }))?;
/// assert_eq!(answer, 42);
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EventLoop {
    handle: Handle,
    alive: mpsc::Sender<Infallible>,
}

impl EventLoop {
    /// Starts a thread of this name.
    ///
    /// # Errors
    /// `Unavailable` when the system has no more threads or files.
    pub fn start(name: &str) -> Result<Self> {
        let cannot =
            |error| Error::unavailable("cannot start the thread that talks to a server").because(error);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(LOOKUPS)
            .build()
            .map_err(cannot)?;
        let handle = runtime.handle().clone();
        let (alive, mut ended) = mpsc::channel(1);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(async { ended.recv().await }))
            .map_err(cannot)?;
        Ok(Self { handle, alive })
    }

    /// Runs a future there. It is stopped when the call is dropped.
    pub fn call<T, F>(&self, task: F) -> Call<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        Call(self.handle.spawn(self.keep_alive(task)))
    }

    /// Runs a future there to its end, whether somebody waits for it or not.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(self.keep_alive(task));
    }

    fn keep_alive<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        let alive = self.alive.clone();
        async move {
            let outcome = task.await;
            drop(alive);
            outcome
        }
    }
}

/// What a future on an [`EventLoop`] comes to.
#[derive(Debug)]
#[must_use = "the future is stopped when its call is dropped"]
pub struct Call<T>(JoinHandle<Result<T>>);

impl<T> Future for Call<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = std::task::ready!(self.0.poll_unpin(cx));
        Poll::Ready(outcome.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => Err(Error::panicked(&*panic)),
            Err(_) => Err(Error::cancelled("the thread that talks to a server has ended")),
        }))
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use snapline_core::ErrorKind;
    use std::sync::mpsc::channel;

    #[test]
    fn a_future_runs_on_the_thread_of_the_loop() {
        let events = EventLoop::start("events").unwrap();
        let name = events.call(async { Ok(thread::current().name().map(str::to_owned)) });
        assert_eq!(block_on(name).unwrap().as_deref(), Some("events"));
    }

    #[test]
    fn a_panic_is_an_error_of_its_call_alone() {
        let events = EventLoop::start("events").unwrap();
        let error = block_on(events.call::<(), _>(async { panic!("at the disco") })).unwrap_err();
        assert_eq!(
            (error.kind(), error.context("message")),
            (ErrorKind::Internal, Some("at the disco"))
        );
        assert_eq!(block_on(events.call(async { Ok(1) })).unwrap(), 1);
    }

    #[test]
    fn a_dropped_call_stops_and_a_spawned_future_comes_to_its_end() {
        struct Tell(std::sync::mpsc::Sender<&'static str>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _ = self.0.send("dropped");
            }
        }
        let (sender, told) = channel();
        let events = EventLoop::start("events").unwrap();
        let tell = Tell(sender.clone());
        let waiting = events.call::<(), _>(async move {
            let _tell = tell;
            std::future::pending().await
        });
        drop(waiting);
        assert_eq!(told.recv().unwrap(), "dropped");
        events.spawn(async move { sender.send("done").unwrap() });
        drop(events);
        assert_eq!(told.recv().unwrap(), "done");
    }
}
