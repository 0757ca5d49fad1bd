//! The beginning of a task: what the runtime drives.

use crate::link::{Next, Signal};
use snapline_connector::ReaderStatus;
use snapline_core::{Batch, BoxedBatch, Data, Error, Result};
use snapline_state::OperatorState;
use std::task::{Context, Poll};

/// A chain that gets its records from other tasks.
pub trait TaskHead: Send {
    /// Takes the records of a batch and leaves it empty.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn on_batch(&mut self, batch: &mut BoxedBatch) -> Result<()>;

    /// See [`crate::Link::on_signal`].
    ///
    /// # Errors
    /// As there.
    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()>;

    /// See [`crate::Link::poll_ready`].
    ///
    /// # Errors
    /// As there.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// See [`crate::Link::poll_advance`].
    ///
    /// # Errors
    /// As there.
    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// A chain that begins with a source.
pub trait SourceHead: Send {
    /// Reads one batch and sends it down the chain. `Pending` when there is none for now.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Result<ReaderStatus>>;

    /// Takes splits that were found while the job runs, as [`crate::SourceFactory::discover_more`] has dealt them out.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn add_splits(&mut self, state: &OperatorState) -> Result<()>;

    /// See [`crate::Link::on_signal`].
    ///
    /// # Errors
    /// As there.
    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()>;

    /// See [`crate::Link::poll_ready`].
    ///
    /// # Errors
    /// As there.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// See [`crate::Link::poll_advance`].
    ///
    /// # Errors
    /// As there.
    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// Finds the record type of the batches that arrive.
pub(crate) struct InputHead<T> {
    link: Next<T>,
}

impl<T: Data> InputHead<T> {
    pub(crate) fn new(link: Next<T>) -> Self {
        Self { link }
    }
}

impl<T: Data> TaskHead for InputHead<T> {
    fn on_batch(&mut self, batch: &mut BoxedBatch) -> Result<()> {
        match batch.as_any_mut().downcast_mut::<Batch<T>>() {
            Some(batch) => self.link.on_batch(batch),
            None => Err(Error::internal(
                "a batch of another record type arrived on a channel",
            )),
        }
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.link.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.link.poll_advance(cx)
    }
}
