//! Where the results of windows go, and their late records.

use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use snapline_core::{Batch, Data, Result};
use std::marker::PhantomData;
use std::task::{Context, Poll};

/// What becomes of late records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LateRecords {
    Counted,
    Emitted,
}

/// A result, or a late record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Data, U: Data")]
pub(crate) enum OrLate<T, U> {
    Result(U),
    Late(T),
}

/// Takes the results of windows, and their late records.
pub(crate) trait Outlet<T, U>: Link<U> {
    /// The link for results.
    fn results(&mut self) -> &mut dyn Link<U>;

    /// Takes late records.
    fn late(&mut self, records: &mut Batch<T>) -> Result<()>;
}

/// The outlet in front of a link: of results when late records are only counted, of [`OrLate`] otherwise.
pub(crate) fn outlet<T: Data, U: Data>(late: LateRecords, next: ErasedLink) -> Result<Box<dyn Outlet<T, U>>> {
    Ok(match late {
        LateRecords::Counted => Box::new(OnlyResults(next.typed::<U>()?)),
        LateRecords::Emitted => Box::new(WithLate {
            next: next.typed::<OrLate<T, U>>()?,
            sent: Batch::new(),
        }),
    })
}

struct OnlyResults<U>(Next<U>);

struct WithLate<T, U> {
    next: Next<OrLate<T, U>>,
    sent: Batch<OrLate<T, U>>,
}

impl<T: Data, U: Data> Outlet<T, U> for OnlyResults<U> {
    fn results(&mut self) -> &mut dyn Link<U> {
        &mut *self.0
    }

    fn late(&mut self, _: &mut Batch<T>) -> Result<()> {
        Ok(())
    }
}

impl<T: Data, U: Data> Outlet<T, U> for WithLate<T, U> {
    fn results(&mut self) -> &mut dyn Link<U> {
        self
    }

    fn late(&mut self, records: &mut Batch<T>) -> Result<()> {
        self.send(records, OrLate::Late)
    }
}

impl<T: Data, U: Data> WithLate<T, U> {
    fn send<R>(&mut self, batch: &mut Batch<R>, wrap: impl Fn(R) -> OrLate<T, U>) -> Result<()> {
        self.sent.records.extend(batch.records.drain(..).map(wrap));
        self.sent.timestamps = batch.timestamps.take();
        self.next.on_batch(&mut self.sent)
    }
}

impl<U: Data> Link<U> for OnlyResults<U> {
    fn on_batch(&mut self, batch: &mut Batch<U>) -> Result<()> {
        self.0.on_batch(batch)
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        self.0.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_ready(cx)
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.0.poll_advance(cx)
    }
}

impl<T: Data, U: Data> Link<U> for WithLate<T, U> {
    fn on_batch(&mut self, batch: &mut Batch<U>) -> Result<()> {
        self.send(batch, OrLate::Result)
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

/// Lets the records of one kind through, as what they are.
pub(crate) struct Part<F, R, P> {
    part: F,
    types: PhantomData<fn(R) -> P>,
}

impl<F, R, P> Part<F, R, P> {
    pub(crate) fn new(part: F) -> Self {
        let types = PhantomData;
        Self { part, types }
    }
}

#[async_trait]
impl<R: Data, P: Data, F> OperatorFactory for Part<F, R, P>
where
    F: Fn(R) -> Option<P> + Clone + Send + Sync + 'static,
{
    async fn link(&self, _context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let link = PartLink {
            part: self.part.clone(),
            sent: Batch::new(),
            next: next.typed::<P>()?,
        };
        Ok(ErasedLink::new::<R>(Box::new(link)))
    }
}

struct PartLink<F, P> {
    part: F,
    sent: Batch<P>,
    next: Next<P>,
}

impl<R: Data, P: Data, F: Fn(R) -> Option<P> + Send> Link<R> for PartLink<F, P> {
    fn on_batch(&mut self, batch: &mut Batch<R>) -> Result<()> {
        self.sent.timestamps = batch.timestamps.as_ref().map(|_| Vec::new());
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records.drain(..) {
            let timestamp = timestamps.next();
            let Some(part) = (self.part)(record) else { continue };
            self.sent.records.push(part);
            if let Some(column) = &mut self.sent.timestamps {
                column.extend(timestamp);
            }
        }
        batch.clear();
        if self.sent.is_empty() {
            return Ok(());
        }
        self.next.on_batch(&mut self.sent)
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
