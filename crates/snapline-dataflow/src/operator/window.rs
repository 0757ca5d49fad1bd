//! Windows of a keyed stream, with any assigner, trigger and contents.
//!
//! The windows of a key are the namespaces of its state, timers in the same backend say when something is due.
//! Nothing else has to survive a failure, and everything is where its key is.

mod due;
mod element;

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::event_time::{EventTime, poll_caught_up};
use crate::operator::keyed_state::{KeyedState, no_hashes};
use crate::operator::located::{Place, Taken};
use crate::outlets::{Outlets, SideOutputs};
use crate::output_tag::OutputTag;
use crate::process::TimeDomain;
use crate::window::Window;
use crate::window::assigner::WindowAssigner;
use crate::window::contents::Contents;
use crate::window::function::{SendsAside, WindowFunction};
use crate::window::trigger::{Trigger, TriggerContext};
use async_trait::async_trait;
pub(crate) use element::no_timestamp;
use serde::{Deserialize, Serialize};
use snapline_core::{Batch, Clock, Data, Key, Keyed, Result, Timestamp};
use snapline_state::{NamespacedState, TableSpec, TimerState};
use std::any::TypeId;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// What a window operator is made of.
#[derive(Clone)]
pub(crate) struct Windowing<A, G, C, F, T> {
    pub(crate) assigner: A,
    pub(crate) trigger: G,
    pub(crate) contents: C,
    pub(crate) function: F,
    /// For how long after its end a window takes records, in milliseconds.
    pub(crate) lateness: u64,
    /// Where late records go, if not nowhere.
    pub(crate) late: Option<OutputTag<T>>,
}

/// A window operator over records `T` with keys `K` that emits `U`.
pub(crate) struct WindowOf<A, G, C, F, K, T, U> {
    windowing: Windowing<A, G, C, F, T>,
    types: PhantomData<fn(K, T) -> U>,
}

impl<A, G, C, F, K, T, U> WindowOf<A, G, C, F, K, T, U> {
    pub(crate) fn new(windowing: Windowing<A, G, C, F, T>) -> Self {
        let types = PhantomData;
        Self { windowing, types }
    }
}

#[async_trait]
impl<A, G, C, F, K, T, U> OperatorFactory for WindowOf<A, G, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    G: Trigger<T, A::Window>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let (mut tables, max): (Vec<TableSpec>, _) = (Vec::new(), context.max_parallelism);
        let panes = NamespacedState::register("windows", &mut tables, max);
        let mut event_timers = TimerState::register("event-timers", &mut tables, max);
        let mut processing_timers = TimerState::register("processing-timers", &mut tables, max);
        let event_time = EventTime::restore(&context)?;
        let mut keyed = KeyedState::open(&context, tables).await?;
        event_timers.restore(keyed.backend())?;
        processing_timers.restore(keyed.backend())?;
        let link = WindowLink::<A, G, C, F, K, T, U> {
            windowing: self.windowing.clone(),
            keyed,
            taken: Taken::default(),
            panes,
            event_timers,
            processing_timers,
            moment: TriggerContext::at(event_time.watermark()),
            assigned: Vec::new(),
            late: Batch::new(),
            event_time,
            clock: context.clock,
            counters: context.counters,
            limit: context.batch_records,
            emitted: Batch::new(),
            next: next.outlets::<U>()?,
        };
        Ok(place.link::<Keyed<K, T>>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        side_outputs(F::MAY_SEND_ASIDE, self.windowing.late.as_ref())
    }
}

/// Those of windows: whichever their function sends to, or that of late records.
pub(super) fn side_outputs<T: 'static>(function: SendsAside, late: Option<&OutputTag<T>>) -> SideOutputs {
    match (function, late) {
        (SendsAside::Yes, _) => SideOutputs::Any,
        (SendsAside::No, Some(tag)) => SideOutputs::One(tag.name().to_owned(), TypeId::of::<T>()),
        (SendsAside::No, None) => SideOutputs::None,
    }
}

/// What is stored of a window of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pane<S, G> {
    /// `None` when the trigger has dropped them.
    contents: Option<S>,
    trigger: G,
}

struct WindowLink<A, G, C, F, K, T, U>
where
    A: WindowAssigner<T>,
    G: Trigger<T, A::Window>,
    C: Contents<T, A::Window>,
{
    windowing: Windowing<A, G, C, F, T>,
    keyed: KeyedState,
    taken: Taken,
    panes: NamespacedState<K, A::Window, Pane<C::Stored, G::State>>,
    event_timers: TimerState<K, A::Window>,
    processing_timers: TimerState<K, A::Window>,
    /// The moment that triggers see, with the watermark of now.
    moment: TriggerContext,
    assigned: Vec<A::Window>,
    late: Batch<T>,
    /// Watermarks go on when all that is due has fired.
    event_time: EventTime,
    clock: Arc<dyn Clock>,
    counters: Arc<TaskCounters>,
    limit: usize,
    emitted: Batch<U>,
    next: Outlets<U>,
}

impl<A, G, C, F, K, T, U> WindowLink<A, G, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    G: Trigger<T, A::Window>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    /// Fires some of what a watermark has brought about, and passes it on when nothing is left.
    fn catch_up(&mut self) -> Result<()> {
        if self.event_time.is_held() && self.fire_event_time(self.event_time.watermark())? {
            self.event_time.pass_on(&mut self.next)?;
        }
        Ok(())
    }

    /// Until when there is state of a window.
    fn cleanup_time(&self, window: &A::Window) -> Timestamp {
        match self.windowing.assigner.time() {
            TimeDomain::EventTime => window.max_timestamp().plus_millis(self.windowing.lateness),
            TimeDomain::ProcessingTime => window.max_timestamp(),
        }
    }

    /// Whether a window takes no records any more.
    fn is_late(&self, window: &A::Window) -> bool {
        self.windowing.assigner.time() == TimeDomain::EventTime
            && self.cleanup_time(window) <= self.moment.watermark.0
    }
}

impl<A, G, C, F, K, T, U> Link<Keyed<K, T>> for WindowLink<A, G, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    G: Trigger<T, A::Window>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        self.taken.begin();
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        self.moment.processing_time = self.clock.now();
        let mut timestamps = batch.timestamps.iter().flatten();
        for (Keyed { key, record }, hash) in batch.records.drain(..).zip(hashes) {
            self.taken.next();
            self.on_element(*hash, &key, record, timestamps.next().copied())?;
        }
        batch.clear();
        self.send()
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) => {
                self.event_time.on_watermark(*watermark);
                self.moment.watermark = self.event_time.watermark();
                let next = self.event_timers.next_time();
                if next.is_none_or(|next| next > self.moment.watermark.0) {
                    self.event_time.pass_on(&mut self.next)?;
                }
                return Ok(());
            }
            Signal::Idle | Signal::Active if self.event_time.is_held() => {
                self.event_time.hold(signal);
                return Ok(());
            }
            Signal::ProcessingTime(alarm) => {
                self.fire_processing_time(alarm.now())?;
                alarm.listen();
                if let Some(next) = self.processing_timers.next_time() {
                    alarm.wake_at(next);
                }
            }
            Signal::EndOfData => {
                while self.event_time.is_held() {
                    self.catch_up()?;
                }
            }
            Signal::Barrier(snapshot) => self.event_time.freeze(&mut self.keyed, snapshot)?,
            _ => {}
        }
        self.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_caught_up(
            self,
            cx,
            |link| &link.event_time,
            Self::catch_up,
            |link, cx| link.next.poll_ready(cx),
        )
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.keyed.backend().poll_advance(cx))?;
        self.next.poll_advance(cx)
    }

    fn taken(&self) -> Option<usize> {
        self.taken.newest()
    }
}
