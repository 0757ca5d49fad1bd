//! How operators of one chain hand records to each other.

use crate::alarm::Alarm;
use crate::snapshot::TaskSnapshot;
use snapline_core::{Batch, CheckpointId, Result, Watermark};
use std::task::{Context, Poll};

/// An operator together with everything chained behind it.
///
/// The records go down the chain in batches, one virtual call per operator and batch; everything
/// else goes down as a [`Signal`]. All calls are synchronous and come from one task.
///
/// # Contract
/// * `on_batch` takes all records and leaves the batch empty, keeping its memory for the caller.
/// * A signal that an operator does not know it passes on.
pub trait Link<T>: Send {
    /// Takes the records of a batch.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()>;

    /// Takes what is not a record.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()>;

    /// Ready when everything behind can take another batch. The data do not end, after the last watermark, before it
    /// is ready: so an operator that waits for something outside does so here.
    ///
    /// # Errors
    /// The job restarts from the last checkpoint.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Does a little of the work that a snapshot has left behind; `Ready` when nothing is left.
    ///
    /// # Errors
    /// The running snapshot has failed.
    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Which record of the newest batch was taken last, counted from 1: that at which the operator has failed, if it has.
    /// `None` when it does not know.
    fn taken(&self) -> Option<usize> {
        None
    }
}

/// The next link of a chain.
pub type Next<T> = Box<dyn Link<T>>;

/// What travels down a chain besides records.
#[derive(Debug)]
#[non_exhaustive]
pub enum Signal<'a> {
    /// Freeze your state into the snapshot, then pass the barrier on, before any other record.
    Barrier(&'a mut TaskSnapshot),
    /// The task gave this checkpoint up.
    CancelCheckpoint(CheckpointId),
    /// The checkpoint is complete. Stays inside the task.
    CheckpointComplete(CheckpointId),
    /// Event time has advanced: whoever is not at the end of a task passes it on behind the results that it
    /// has brought about. Watermarks only grow; [`Watermark::MAX`] comes once, before the end of the data.
    Watermark(Watermark),
    /// There is nothing to come for now, so that event time does not wait for this stream.
    Idle,
    /// There is something to come again.
    Active,
    /// Time has passed: do what is due, and say when to be told again. Stays inside the task. Who says
    /// nothing is not told any more.
    ProcessingTime(&'a mut Alarm),
    /// There is nothing to do for the moment: pass on what you keep back only for the sake of speed.
    Flush,
    /// No more records will come; barriers still may.
    EndOfData,
    /// Nothing will come any more.
    EndOfInput,
}

/// What a stream says of its event time, between its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "whoever keeps it back has to know all")]
pub enum TimeSignal {
    /// See [`Signal::Watermark`].
    Watermark(Watermark),
    /// See [`Signal::Idle`].
    Idle,
    /// See [`Signal::Active`].
    Active,
}

impl TimeSignal {
    /// What a signal says of event time, if it does.
    pub(crate) fn of(signal: &Signal<'_>) -> Option<Self> {
        match signal {
            Signal::Watermark(watermark) => Some(Self::Watermark(*watermark)),
            Signal::Idle => Some(Self::Idle),
            Signal::Active => Some(Self::Active),
            _ => None,
        }
    }
}

impl From<TimeSignal> for Signal<'_> {
    fn from(time: TimeSignal) -> Self {
        match time {
            TimeSignal::Watermark(watermark) => Self::Watermark(watermark),
            TimeSignal::Idle => Self::Idle,
            TimeSignal::Active => Self::Active,
        }
    }
}
