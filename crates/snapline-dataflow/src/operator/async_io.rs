//! A function of the user asks the outside world about each record, and the results go on when they are known.

mod pending;
mod requests;
mod stored;

use crate::async_io::{AsyncFunction, AsyncIo};
use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Next, Signal, TimeSignal};
use crate::operator::collector::Collector;
use crate::operator::located;
use crate::snapshot::{OperatorSnapshot, TaskSnapshot};
use async_trait::async_trait;
use pending::{Pending, Place, Released, Taken};
use requests::{Answer, Requests};
use snapline_core::{Batch, Data, Error, OperatorUid, Result, Watermark};
use std::marker::PhantomData;
use std::task::{Context, Poll, ready};

/// Gives each subtask a function that asks.
pub(crate) struct Asynchronous<F, T> {
    settings: AsyncIo,
    function: F,
    records: PhantomData<fn(T)>,
}

impl<F, T> Asynchronous<F, T> {
    pub(crate) fn new(settings: AsyncIo, function: F) -> Self {
        Self {
            settings,
            function,
            records: PhantomData,
        }
    }
}

#[async_trait]
impl<T: Data, F: AsyncFunction<T> + Clone> OperatorFactory for Asynchronous<F, T> {
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = located::Place::of(&context);
        let AsyncIo {
            order,
            capacity,
            timeout,
            retry,
        } = self.settings.clone();
        let mut pending = Pending::new(order);
        stored::restore(&context, &mut pending)?;
        let link = AsyncLink {
            pending,
            requests: Requests::new(self.function.clone(), timeout, retry, context.sleeper),
            capacity,
            is_ending: false,
            operator: context.operator,
            limit: context.batch_records,
            emitted: Batch::with_capacity(context.batch_records),
            next: next.typed::<F::Output>()?,
        };
        Ok(place.link::<T>(link))
    }
}

struct AsyncLink<T: Data, F: AsyncFunction<T>> {
    pending: Pending<T, F::Output>,
    requests: Requests<F, F::Output>,
    capacity: usize,
    /// Whether event time is at its end, behind which no record comes.
    is_ending: bool,
    operator: OperatorUid,
    limit: usize,
    emitted: Batch<F::Output>,
    next: Next<F::Output>,
}

impl<T: Data, F: AsyncFunction<T>> AsyncLink<T, F> {
    /// Makes requests for records that wait, as many as there is room for.
    fn ask(&mut self) {
        while self.pending.asked() < self.capacity {
            let Some((place, taken)) = self.pending.ask() else {
                return;
            };
            self.requests.ask(place, taken.record.clone());
        }
    }

    /// Notes all answers that have come, and makes sure that the task is woken by the next one.
    fn hear(&mut self, cx: &mut Context<'_>) -> Result<()> {
        while let Poll::Ready((place, answer)) = self.requests.poll_answer(cx) {
            let results = self.results(place, answer)?;
            self.pending.answer(place, results);
        }
        Ok(())
    }

    fn results(&self, place: Place, answer: Answer<F::Output>) -> Result<Vec<F::Output>> {
        let taken = self.pending.taken(place);
        let taken = taken.ok_or_else(|| Error::internal("a request was answered twice"))?;
        match answer {
            Some(results) => results,
            None => self.requests.function().timeout(taken.record.clone()),
        }
    }

    /// Sends on what may go, up to the next mark. Says whether there was anything.
    fn send_on(&mut self) -> Result<bool> {
        let mut has_sent = false;
        let mut out = Collector::new(&mut self.emitted, &mut *self.next, self.limit);
        let mark = loop {
            match self.pending.release() {
                Some(Released::Results(results, timestamp)) => {
                    has_sent = true;
                    out.at(timestamp);
                    results.into_iter().for_each(|result| out.collect(result));
                }
                Some(Released::Mark(mark)) => break Some(mark),
                None => break None,
            }
        };
        out.finish()?;
        let Some(mark) = mark else {
            return Ok(has_sent);
        };
        self.next.on_signal(&mut mark.into())?;
        Ok(true)
    }

    fn freeze(&self, snapshot: &mut TaskSnapshot) -> Result<()> {
        let frozen = OperatorSnapshot::of(&self.operator).with_state(stored::freeze(&self.pending)?);
        snapshot.operators.push(match self.pending.is_empty() {
            true => frozen,
            false => frozen.with_unfinished_work(),
        });
        Ok(())
    }

    /// Whether it has to wait before more may come: for room, and at the end for all results.
    fn has_to_wait(&self) -> bool {
        self.pending.has_unasked() || (self.is_ending && !self.pending.is_empty())
    }
}

impl<T: Data, F: AsyncFunction<T>> Link<T> for AsyncLink<T, F> {
    fn on_batch(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let mut timestamps = batch.timestamps.iter().flatten();
        for record in batch.records.drain(..) {
            let timestamp = timestamps.next().copied();
            self.pending.push(Taken { record, timestamp });
        }
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        if let Some(mark) = TimeSignal::of(signal) {
            self.is_ending |= mark == TimeSignal::Watermark(Watermark::MAX);
            self.pending.mark(mark);
            return Ok(());
        }
        match signal {
            Signal::Barrier(snapshot) => self.freeze(snapshot)?,
            Signal::EndOfData if !self.pending.is_empty() => {
                return Err(Error::internal("the data end before all requests are answered"));
            }
            _ => {}
        }
        self.next.on_signal(signal)
    }

    /// Requests are made and answers heard here. What they bring about is not kept back for more to come.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut has_sent = false;
        loop {
            ready!(self.next.poll_ready(cx))?;
            self.ask();
            self.hear(cx)?;
            if !self.send_on()? {
                break;
            }
            has_sent = true;
        }
        if has_sent {
            self.next.on_signal(&mut Signal::Flush)?;
            ready!(self.next.poll_ready(cx))?;
        }
        match self.has_to_wait() {
            true => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.next.poll_advance(cx)
    }
}
