//! The thread that talks to the file system, so that no executor waits for a disk.

use futures::channel::oneshot;
use snapline_core::{Error, Result};
use std::sync::mpsc;
use std::thread;

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A handle to a thread that owns an `S` and does one job after the other.
///
/// The thread ends when the last handle is dropped. Each caller has one job at a time, so the queue
/// is as long as there are callers.
#[derive(Debug)]
pub(crate) struct Worker<S> {
    jobs: mpsc::Sender<Job<S>>,
}

impl<S> Clone for Worker<S> {
    fn clone(&self) -> Self {
        Self {
            jobs: self.jobs.clone(),
        }
    }
}

/// Tells a job whether somebody still waits for its outcome.
pub(crate) struct Caller<'a>(&'a dyn Fn() -> bool);

impl Caller<'_> {
    /// Whether the call was given up, so that it must not take effect.
    pub(crate) fn is_gone(&self) -> bool {
        (self.0)()
    }
}

impl<S: Send + 'static> Worker<S> {
    /// Starts the thread.
    pub(crate) fn start(mut state: S) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job<S>>();
        thread::Builder::new()
            .name("snapline-storage".to_owned())
            .spawn(move || {
                for job in queue {
                    job(&mut state);
                }
            })
            .map_err(|error| Error::unavailable("cannot start the thread of the storage").because(error))?;
        Ok(Self { jobs })
    }

    /// Does a job on the thread. A job whose caller is gone is not begun.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut S, Caller<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            if sender.is_canceled() {
                return;
            }
            let outcome = job(state, Caller(&|| sender.is_canceled()));
            let _ = sender.send(outcome);
        });
        self.jobs.send(job).map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }
}

fn ended() -> Error {
    Error::internal("the thread of the storage has panicked")
}
