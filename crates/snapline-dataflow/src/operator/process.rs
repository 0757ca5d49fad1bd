//! A function of the user takes each record and each timer, with the states of its key.

use crate::alarm::Alarm;
use crate::context::OperatorContext;
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::event_time::{EventTime, poll_caught_up};
use crate::operator::keyed_state::{KeyedState, no_hashes};
use crate::operator::located::{Place, Taken};
use crate::operator::timers::{KeyedTimers, Quantum};
use crate::outlets::{Outlets, SideOutputs};
use crate::process::{BroadcastSide, KeyedProcessFunction, ProcessContext, RuntimeContext, TimeDomain};
use crate::state::BroadcastMaps;
use async_trait::async_trait;
use snapline_core::{Batch, Clock, Data, Key, Keyed, Result, Timestamp, Watermark};
use snapline_state::EventClock;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Makes a function for each subtask and opens it.
pub(crate) struct Process<M, K, T> {
    make: M,
    timers: TakesTimers,
    broadcast: BroadcastSide,
    types: PhantomData<fn(K, T)>,
}

/// Whether the function can be called with a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TakesTimers {
    Yes,
    No,
}

impl<M, K, T> Process<M, K, T> {
    pub(crate) fn new(make: M) -> Self {
        Self {
            make,
            timers: TakesTimers::Yes,
            broadcast: BroadcastSide::No,
            types: PhantomData,
        }
    }

    /// The same for functions that take no timers, and so need no tables for them.
    pub(crate) fn without_timers(make: M) -> Self {
        Self {
            timers: TakesTimers::No,
            ..Self::new(make)
        }
    }

    /// The same for functions that are also told broadcast records.
    pub(super) fn with_broadcast_side(make: M) -> Self {
        Self {
            broadcast: BroadcastSide::Yes,
            ..Self::new(make)
        }
    }
}

/// A function that is a closure.
pub(crate) struct FromClosure<F, U> {
    closure: F,
    output: PhantomData<fn() -> U>,
}

impl<F, U> FromClosure<F, U> {
    pub(crate) fn new(closure: F) -> Self {
        Self {
            closure,
            output: PhantomData,
        }
    }
}

impl<K, T, U, F> KeyedProcessFunction<K, T> for FromClosure<F, U>
where
    K: Key,
    T: Data,
    U: Data,
    F: FnMut(T, &mut ProcessContext<'_, K>, &mut Collector<'_, U>) -> Result<()> + Send + 'static,
{
    type Output = U;

    #[inline]
    fn process_element(
        &mut self,
        record: T,
        context: &mut ProcessContext<'_, K>,
        out: &mut Collector<'_, U>,
    ) -> Result<()> {
        (self.closure)(record, context, out)
    }
}

#[async_trait]
impl<M, K, T, P> OperatorFactory for Process<M, K, T>
where
    K: Key,
    T: Data,
    P: KeyedProcessFunction<K, T>,
    M: Fn(&mut RuntimeContext) -> Result<P> + Send + Sync + 'static,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        Ok(place.link::<Keyed<K, T>>(self.open(context, next).await?))
    }

    fn side_outputs(&self) -> SideOutputs {
        SideOutputs::Any
    }
}

impl<M, K, T, P> Process<M, K, T>
where
    K: Key,
    T: Data,
    P: KeyedProcessFunction<K, T>,
    M: Fn(&mut RuntimeContext) -> Result<P> + Send + Sync + 'static,
{
    /// The function of one subtask, with its state.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub(super) async fn open(
        &self,
        context: OperatorContext,
        next: ErasedLink,
    ) -> Result<ProcessLink<K, T, P>> {
        let mut runtime = RuntimeContext::new(&context);
        let function = (self.make)(&mut runtime)?;
        let broadcast = runtime.take_broadcast(self.broadcast)?;
        let takes_timers = self.timers == TakesTimers::Yes;
        let mut timers = takes_timers.then(|| KeyedTimers::register(runtime.tables()));
        let event_clock = runtime.wanted_event_clock();
        let mut keyed = KeyedState::open(&context, runtime.into_tables()).await?;
        if let Some(timers) = &mut timers {
            timers.restore(keyed.backend())?;
        }
        Ok(ProcessLink {
            function,
            taken: Taken::default(),
            broadcast,
            keyed,
            timers,
            event_time: EventTime::restore(&context)?,
            event_clock,
            has_ended: false,
            clock: context.clock,
            limit: context.batch_records,
            emitted: Batch::with_capacity(context.batch_records),
            next: next.outlets::<P::Output>()?,
            records: PhantomData,
        })
    }
}

/// A function with the state of its keys, in front of the rest of its chain.
pub(super) struct ProcessLink<K, T, P: KeyedProcessFunction<K, T>>
where
    K: Key,
    T: Data,
{
    pub(super) function: P,
    pub(super) taken: Taken,
    pub(super) broadcast: BroadcastMaps,
    pub(super) keyed: KeyedState,
    /// `None` when the function takes none.
    pub(super) timers: Option<KeyedTimers<K, ()>>,
    pub(super) event_time: EventTime,
    /// For states of which something expires in event time.
    pub(super) event_clock: Option<Arc<EventClock>>,
    /// Whether no records come any more, and no timers of processing time.
    has_ended: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limit: usize,
    pub(super) emitted: Batch<P::Output>,
    pub(super) next: Outlets<P::Output>,
    records: PhantomData<fn(T)>,
}

impl<K: Key, T: Data, P: KeyedProcessFunction<K, T>> ProcessLink<K, T, P> {
    /// Event time has advanced: the timers that are due fire first, in several turns when they are many.
    fn on_watermark(&mut self, watermark: Watermark) -> Result<()> {
        self.event_time.on_watermark(watermark);
        self.pass_on_if_done()
    }

    /// Lets what is held back pass, if no timer is due before it.
    fn pass_on_if_done(&mut self) -> Result<()> {
        let until = self.event_time.watermark().0;
        let is_due = |timers: &KeyedTimers<K, ()>| timers.is_due(TimeDomain::EventTime, until);
        if self.timers.as_ref().is_some_and(is_due) {
            return Ok(());
        }
        if let Some(clock) = &self.event_clock {
            clock.on_watermark(self.event_time.watermark());
        }
        self.event_time.pass_on(&mut self.next)
    }

    /// Fires all timers of event time that are due, however many there are.
    pub(super) fn catch_up(&mut self) -> Result<()> {
        while self.event_time.is_held() {
            self.step()?;
        }
        Ok(())
    }

    /// Fires some of them.
    fn step(&mut self) -> Result<()> {
        self.fire(TimeDomain::EventTime, self.event_time.watermark().0)?;
        self.pass_on_if_done()
    }

    /// Some of the timers of processing time that are due fire, and the task is told of the next. Some of what has
    /// expired goes.
    fn on_processing_time(&mut self, alarm: &mut Alarm) -> Result<()> {
        if self.has_ended {
            return Ok(());
        }
        self.keyed.clean_up(alarm)?;
        if self.timers.is_none() {
            return Ok(());
        }
        self.fire(TimeDomain::ProcessingTime, alarm.now())?;
        alarm.listen();
        let next = |timers: &KeyedTimers<K, ()>| timers.next_time(TimeDomain::ProcessingTime);
        if let Some(next) = self.timers.as_ref().and_then(next) {
            alarm.wake_at(next);
        }
        Ok(())
    }

    /// Some of the timers that are due fire.
    fn fire(&mut self, domain: TimeDomain, until: Timestamp) -> Result<()> {
        let Some(timers) = &mut self.timers else {
            return Ok(());
        };
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        let mut quantum = Quantum::new(&*self.clock);
        while let Some(timer) = timers.take_due(self.keyed.backend(), domain, until, &mut quantum)? {
            let timestamp = (domain == TimeDomain::EventTime).then_some(timer.time);
            out.at(timestamp);
            if let Some(clock) = &self.event_clock {
                clock.on_timer(timestamp);
            }
            let mut context = ProcessContext {
                backend: self.keyed.backend(),
                hash: timer.hash,
                key: &timer.key,
                timestamp,
                clock: &*self.clock,
                watermark: self.event_time.watermark(),
                timers: Some(timers),
                broadcast: &self.broadcast,
            };
            self.function
                .on_timer(timer.time, domain, &mut context, &mut out)?;
        }
        out.finish()
    }
}

impl<K, T, P> Link<Keyed<K, T>> for ProcessLink<K, T, P>
where
    K: Key,
    T: Data,
    P: KeyedProcessFunction<K, T>,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        self.taken.begin();
        self.catch_up()?;
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        let mut timestamps = batch.timestamps.iter().flatten();
        for (Keyed { key, record }, hash) in batch.records.drain(..).zip(hashes) {
            self.taken.next();
            let timestamp = timestamps.next().copied();
            out.at(timestamp);
            if let Some(clock) = &self.event_clock {
                clock.on_record(timestamp);
            }
            let mut context = ProcessContext {
                backend: self.keyed.backend(),
                hash: *hash,
                key: &key,
                timestamp,
                clock: &*self.clock,
                watermark: self.event_time.watermark(),
                timers: self.timers.as_mut(),
                broadcast: &self.broadcast,
            };
            self.function.process_element(record, &mut context, &mut out)?;
        }
        out.finish()?;
        batch.clear();
        Ok(())
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) => return self.on_watermark(*watermark),
            Signal::Idle | Signal::Active if self.event_time.is_held() => {
                self.event_time.hold(signal);
                return Ok(());
            }
            Signal::ProcessingTime(alarm) => self.on_processing_time(alarm)?,
            Signal::Barrier(snapshot) => {
                let state = self.broadcast.frozen();
                self.event_time.freeze_with(state, &mut self.keyed, snapshot)?;
            }
            Signal::EndOfData => {
                self.catch_up()?;
                self.has_ended = true;
            }
            _ => {}
        }
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_caught_up(
            self,
            cx,
            |link| &link.event_time,
            Self::step,
            |link, cx| link.next.poll_ready(cx),
        )
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.keyed.poll_advance(cx, &mut self.next)
    }

    fn taken(&self) -> Option<usize> {
        self.taken.newest()
    }
}

#[cfg(test)]
mod tests;
