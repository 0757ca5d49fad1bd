//! Where the results of an operator go, and what it sends beside them.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use crate::output::poll_all;
use crate::output_tag::OutputTag;
use async_trait::async_trait;
use snapline_core::{Batch, Data, Error, Result, Timestamp};
use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

/// The links behind an operator: that of its results, and one for each side output that somebody asked for.
pub(crate) struct Outlets<U> {
    pub(crate) results: Next<U>,
    pub(crate) sides: Sides,
}

/// The side outputs of an operator. What goes to one that nobody asked for is dropped.
#[derive(Default)]
pub(crate) struct Sides(Vec<Box<dyn Side>>);

impl<U> Outlets<U> {
    pub(crate) fn new(results: Next<U>, sides: Vec<Box<dyn Side>>) -> Self {
        Self {
            results,
            sides: Sides(sides),
        }
    }
}

impl Sides {
    /// Sends a record to a side output.
    ///
    /// # Errors
    /// `Invalid` when who asked for it expects records of another type; those of the links behind.
    pub(crate) fn send<S: Data>(
        &mut self,
        tag: &OutputTag<S>,
        record: S,
        timestamp: Option<Timestamp>,
        limit: usize,
    ) -> Result<()> {
        match self.of(tag)? {
            Some(side) => side.push(record, timestamp, limit),
            None => Ok(()),
        }
    }

    /// Sends a batch to a side output, and leaves it empty.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn send_batch<S: Data>(&mut self, tag: &OutputTag<S>, batch: &mut Batch<S>) -> Result<()> {
        if let Some(side) = self.of(tag)? {
            side.next.on_batch(batch)?;
        }
        batch.clear();
        Ok(())
    }

    /// Sends what waits to be sent with more.
    ///
    /// # Errors
    /// Those of the links behind.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|side| side.flush())
    }

    fn of<S: Data>(&mut self, tag: &OutputTag<S>) -> Result<Option<&mut SideLink<S>>> {
        let is_it = |side: &&mut Box<dyn Side>| side.name() == tag.name();
        let Some(side) = self.0.iter_mut().find(is_it) else {
            return Ok(None);
        };
        let typed = side.as_any_mut().downcast_mut();
        typed.map(Some).ok_or_else(|| another_type(tag.name()))
    }
}

#[cold]
fn another_type(tag: &str) -> Error {
    Error::invalid(
        "a side output has records of another type than .side_output(...) asks for; use one tag for both",
    )
    .with("tag", tag)
}

impl fmt::Debug for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|side| side.name()))
            .finish()
    }
}

/// The link of a side output, whatever its records are.
pub(crate) trait Side: Send {
    fn name(&self) -> &str;

    fn as_any_mut(&mut self) -> &mut dyn Any;

    fn flush(&mut self) -> Result<()>;

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

struct SideLink<S> {
    name: String,
    batch: Batch<S>,
    next: Next<S>,
}

impl<S: Data> SideLink<S> {
    fn push(&mut self, record: S, timestamp: Option<Timestamp>, limit: usize) -> Result<()> {
        if timestamp.is_some() != self.batch.timestamps.is_some() {
            self.flush()?;
            self.batch.timestamps = timestamp.map(|_| Vec::new());
        }
        self.batch.records.push(record);
        if let Some(column) = &mut self.batch.timestamps {
            column.extend(timestamp);
        }
        match self.batch.len() >= limit {
            true => self.flush(),
            false => Ok(()),
        }
    }
}

impl<S: Data> Side for SideLink<S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let sent = self.next.on_batch(&mut self.batch);
        self.batch = Batch::new();
        sent
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_advance(cx)
    }
}

impl<U> Link<U> for Outlets<U> {
    fn on_batch(&mut self, batch: &mut Batch<U>) -> Result<()> {
        self.results.on_batch(batch)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.sides.flush()?;
        self.results.on_signal(signal)?;
        self.sides
            .0
            .iter_mut()
            .try_for_each(|side| side.on_signal(signal))
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let results = self.results.poll_ready(cx)?;
        let sides = poll_all(&mut self.sides.0, |side| side.poll_ready(cx))?;
        ready!(results);
        sides.map(Ok)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let results = self.results.poll_advance(cx)?;
        let sides = poll_all(&mut self.sides.0, |side| side.poll_advance(cx))?;
        ready!(results);
        sides.map(Ok)
    }
}

/// The beginning of a side output: the operator in front of it sends there what is not its result.
pub(crate) struct SideOutput<S> {
    name: String,
    records: PhantomData<fn() -> S>,
}

impl<S> SideOutput<S> {
    pub(crate) fn new(tag: &OutputTag<S>) -> Self {
        Self {
            name: tag.name().to_owned(),
            records: PhantomData,
        }
    }
}

#[async_trait]
impl<S: Data> OperatorFactory for SideOutput<S> {
    async fn link(&self, _context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        Ok(ErasedLink::side(Box::new(SideLink::<S> {
            name: self.name.clone(),
            batch: Batch::new(),
            next: next.typed::<S>()?,
        })))
    }
}

/// Which side outputs an operator may have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SideOutputs {
    /// None.
    None,
    /// One, by its name and the type of its records.
    One(String, TypeId),
    /// Whichever a function of the user sends to.
    Any,
}

impl SideOutputs {
    /// Whether one of this name and type may be among them.
    pub fn may_have(&self, name: &str, records: TypeId) -> bool {
        match self {
            Self::None => false,
            Self::One(one, of_one) => one == name && *of_one == records,
            Self::Any => true,
        }
    }
}

/// A link that takes what nobody asked for.
pub(crate) struct Nowhere;

impl<U> Link<U> for Nowhere {
    fn on_batch(&mut self, batch: &mut Batch<U>) -> Result<()> {
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, _: &mut Signal<'_>) -> Result<()> {
        Ok(())
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_advance(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
