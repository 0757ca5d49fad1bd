//! An operator that says where it has failed.

use crate::context::OperatorContext;
use crate::factory::ErasedLink;
use crate::link::{Link, Next, Signal};
use snapline_core::{Batch, Data, Error, OperatorUid, Result, SubtaskIndex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll};

/// A subtask of an operator, as its failures name it.
#[derive(Debug)]
pub(crate) struct Place {
    operator: OperatorUid,
    subtask: SubtaskIndex,
}

impl Place {
    /// That of the operator that is told this.
    pub(crate) fn of(context: &OperatorContext) -> Self {
        Self {
            operator: context.operator.clone(),
            subtask: context.subtask,
        }
    }

    /// The link of the operator at this place. What goes wrong there says so, and a panic becomes such an error, too.
    pub(crate) fn link<T: Data>(self, link: impl Link<T> + 'static) -> ErasedLink {
        ErasedLink::new::<T>(Box::new(Located {
            place: self,
            before: 0,
            link: Box::new(link),
        }))
    }

    /// Names the place, unless another one behind it has failed.
    pub(crate) fn name(&self, error: Error) -> Error {
        match error.context("operator") {
            Some(_) => error,
            None => error
                .with("operator", &self.operator)
                .with("subtask", self.subtask.0),
        }
    }
}

/// Does what may panic, and makes an error of that. Nothing that it has touched is used again: the task ends.
pub(crate) fn caught<R>(work: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Error::panicked(&*panic))
}

/// An operator together with its place.
struct Located<T> {
    place: Place,
    /// How many records it has had before those of now.
    before: u64,
    link: Next<T>,
}

impl<T: Data> Located<T> {
    /// Names the place and the record of a failure among so many; all of them if the operator does not know which.
    #[cold]
    fn at_record(&self, error: Error, records: u64) -> Error {
        if error.context("operator").is_some() {
            return error;
        }
        let error = self.place.name(error);
        match self.link.taken().or((records == 1).then_some(1)) {
            Some(taken) => error.with("record", self.before + taken as u64),
            None => error.with(
                "records",
                format_args!("{} to {}", self.before + 1, self.before + records),
            ),
        }
    }

    fn polled(&self, outcome: Result<Poll<Result<()>>>) -> Poll<Result<()>> {
        let outcome = outcome.unwrap_or_else(|error| Poll::Ready(Err(error)));
        outcome.map_err(|error| self.place.name(error))
    }
}

impl<T: Data> Link<T> for Located<T> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let records = batch.len() as u64;
        let outcome = caught(|| self.link.on_batch(batch)).flatten();
        outcome.map_err(|error| self.at_record(error, records))?;
        self.before += records;
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        let outcome = caught(|| self.link.on_signal(signal)).flatten();
        outcome.map_err(|error| self.place.name(error))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let outcome = caught(|| self.link.poll_ready(cx));
        self.polled(outcome)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let outcome = caught(|| self.link.poll_advance(cx));
        self.polled(outcome)
    }
}

/// How many records of its newest batch an operator has taken.
#[derive(Debug, Default)]
pub(crate) struct Taken(usize);

impl Taken {
    /// A batch has come.
    pub(crate) fn begin(&mut self) {
        self.0 = 0;
    }

    /// The next record is taken.
    #[inline]
    pub(crate) fn next(&mut self) {
        self.0 += 1;
    }

    /// Which record it was, if any: see [`Link::taken`].
    pub(crate) fn newest(&self) -> Option<usize> {
        (self.0 > 0).then_some(self.0)
    }
}
