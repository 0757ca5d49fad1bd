//! Windows that merge and emit once, at their end: the fast way for sessions of event time.
//!
//! All open sessions of a key are one entry of its state, which a record finds in one access. When one of them ends stands
//! in an index in memory that is not told when a session becomes longer: it is looked at when it would have ended, and
//! again when it does. The index is made anew from the state after a restore.

mod open;

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::event_time::{EventTime, poll_caught_up};
use crate::operator::keyed_state::{KeyedState, no_hashes};
use crate::operator::located::Place;
use crate::operator::sliced::Ends;
use crate::operator::timers::Quantum;
use crate::operator::window::{no_timestamp, side_outputs};
use crate::outlets::{Outlets, SideOutputs};
use crate::output_tag::OutputTag;
use crate::window::Window;
use crate::window::assigner::WindowAssigner;
use crate::window::contents::Contents;
use crate::window::function::{WindowContext, WindowFunction};
use async_trait::async_trait;
use open::{Arrival, OpenSessions};
use snapline_core::{Batch, Clock, Data, Error, Key, Keyed, Result, StableHasher};
use snapline_state::{Slot, TableSpec, ValueState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// Windows that merge, one for each record.
pub(crate) struct SessionsOf<A, C, F, K, T, U> {
    pub(crate) assigner: A,
    pub(crate) contents: C,
    pub(crate) function: F,
    /// Where late records go, if not nowhere.
    pub(crate) late: Option<OutputTag<T>>,
    pub(crate) types: PhantomData<fn(K, T) -> U>,
}

#[async_trait]
impl<A, C, F, K, T, U> OperatorFactory for SessionsOf<A, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let mut tables: Vec<TableSpec> = Vec::new();
        let state = ValueState::register("sessions", &mut tables, context.max_parallelism);
        let mut link = SessionsLink {
            assigner: self.assigner.clone(),
            contents: self.contents.clone(),
            function: self.function.clone(),
            keyed: KeyedState::open(&context, tables).await?,
            state,
            ends: Ends::default(),
            assigned: Vec::new(),
            windows: Vec::new(),
            event_time: EventTime::restore(&context)?,
            clock: context.clock,
            counters: context.counters,
            limit: context.batch_records,
            emitted: Batch::new(),
            late: Batch::new(),
            late_tag: self.late.clone(),
            next: next.outlets::<U>()?,
        };
        link.find_ends()?;
        Ok(place.link::<Keyed<K, T>>(link))
    }

    fn side_outputs(&self) -> SideOutputs {
        side_outputs(F::MAY_SEND_ASIDE, self.late.as_ref())
    }
}

struct SessionsLink<A: WindowAssigner<T>, C: Contents<T, A::Window>, F, K, T, U> {
    assigner: A,
    contents: C,
    function: F,
    keyed: KeyedState,
    state: ValueState<K, OpenSessions<A::Window, C::Stored>>,
    /// The keys of which a session may end, by the time at which it would.
    ends: Ends<K>,
    /// The windows of one record, and those of a batch.
    assigned: Vec<A::Window>,
    windows: Vec<A::Window>,
    /// Watermarks go on when the sessions that have ended are emitted.
    event_time: EventTime,
    clock: Arc<dyn Clock>,
    counters: Arc<TaskCounters>,
    limit: usize,
    emitted: Batch<U>,
    late: Batch<T>,
    late_tag: Option<OutputTag<T>>,
    next: Outlets<U>,
}

/// So many keys are looked at at once.
const KEYS_AT_ONCE: u32 = 128;

impl<A, C, F, K, T, U> SessionsLink<A, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    /// Makes the index from the state.
    fn find_ends(&mut self) -> Result<()> {
        let (ends, mut hasher) = (&mut self.ends, StableHasher::new());
        self.state.table(self.keyed.backend())?.scan(&mut |key, open| {
            ends.add(open.due(), hasher.hash(key)?, key.clone());
            Ok(())
        })
    }

    /// Notes the window of each record.
    fn assign(&mut self, batch: &Batch<Keyed<K, T>>) -> Result<()> {
        self.windows.clear();
        let timestamps = batch.timestamps.as_deref().ok_or_else(no_timestamp)?;
        for (keyed, at) in batch.records.iter().zip(timestamps) {
            self.assigner.assign(&keyed.record, *at, &mut self.assigned)?;
            let window = self.assigned.pop().filter(|_| self.assigned.is_empty());
            self.windows.push(window.ok_or_else(not_one_window)?);
        }
        Ok(())
    }

    /// Adds the records of a batch to their sessions, and sets those aside whose session has ended.
    fn add(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let (contents, ends, late) = (&self.contents, &mut self.ends, &mut self.late);
        let (watermark, mut failure) = (self.event_time.watermark(), Ok(()));
        let arrivals = self.windows.drain(..).zip(batch.timestamps.iter().flatten());
        let entries = batch.records.drain(..).zip(arrivals).zip(hashes);
        let entries = entries.map(|((Keyed { key, record }, (window, at)), hash)| {
            let at = *at;
            (key.clone(), (key, *hash, Arrival { window, record, at }))
        });
        let mut open = |Arrival { window, record, at }: Arrival<A::Window, T>| {
            if window.max_timestamp() > watermark.0 {
                return Some((window, contents.first(record, Some(at))));
            }
            late.records.push(record);
            late.timestamps.get_or_insert_default().push(at);
            None
        };
        let mut table = self.state.table(self.keyed.backend())?;
        table.update_each(hashes, entries, |(key, hash, arrival), slot| match slot {
            Slot::Occupied(known) => match known.add(contents, arrival) {
                Ok(None) => {}
                Ok(Some(rest)) => {
                    if let Some((window, stored)) = open(rest)
                        && known.open(window, stored)
                    {
                        ends.add(known.due(), hash, key);
                    }
                }
                Err(error) => failure = Err(error),
            },
            Slot::Vacant(vacant) => {
                if let Some((window, stored)) = open(arrival) {
                    let first = OpenSessions::new(window, stored);
                    ends.add(first.due(), hash, key);
                    *vacant = Some(first);
                }
            }
        })?;
        let late = self.late.len() as u64;
        self.counters.late_records.fetch_add(late, Ordering::Relaxed);
        failure
    }

    /// Emits some of the sessions that have ended, and passes the watermark on when none are left.
    fn catch_up(&mut self) -> Result<()> {
        let (clock, watermark) = (self.clock.clone(), self.event_time.watermark());
        let (mut quantum, mut is_done) = (Quantum::new(&*clock), !self.event_time.is_held());
        while !is_done && quantum.has_room_for(KEYS_AT_ONCE) {
            match self.ends.take(watermark, KEYS_AT_ONCE as usize) {
                Some((at, keys)) => self.emit(at, keys)?,
                None => is_done = true,
            }
        }
        self.send()?;
        if is_done {
            self.event_time.pass_on(&mut self.next)?;
        }
        Ok(())
    }

    /// Emits the sessions of these keys that end here.
    fn emit(&mut self, at: i64, keys: Vec<(u64, K)>) -> Result<()> {
        let (contents, ends, function) = (&self.contents, &mut self.ends, &mut self.function);
        let (watermark, now) = (self.event_time.watermark(), self.clock.now());
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        let hashes: Vec<u64> = keys.iter().map(|(hash, _)| *hash).collect();
        let entries = keys.into_iter().map(|(hash, key)| (key.clone(), (hash, key)));
        let (mut gone, mut failure) = (Vec::new(), Ok(()));
        let mut table = self.state.table(self.keyed.backend())?;
        table.update_each(&hashes, entries, |(hash, key), slot| {
            let Slot::Occupied(open) = slot else { return };
            if open.due() != at || failure.is_err() {
                return;
            }
            if let Some((window, stored)) = open.take_ended(at) {
                let output = contents.emit_last(stored, &window);
                out.at(Some(window.max_timestamp()));
                failure = function.call(
                    &key,
                    &WindowContext::new(&window, watermark, now),
                    output,
                    &mut out,
                );
            }
            match open.look_again() {
                Some(due) => ends.add(due, hash, key),
                None => gone.push((hash, key)),
            }
        })?;
        gone.iter().try_for_each(|(hash, key)| table.remove(*hash, key))?;
        out.pause().and(failure)
    }

    /// Sends what was emitted, and the late records.
    fn send(&mut self) -> Result<()> {
        if !self.emitted.is_empty() {
            self.next.on_batch(&mut self.emitted)?;
            self.emitted.clear();
        }
        if let Some(tag) = &self.late_tag {
            self.next.sides.send_batch(tag, &mut self.late)?;
        }
        self.late.clear();
        self.next.sides.flush()
    }
}

#[cold]
fn not_one_window() -> Error {
    Error::invalid(
        "an assigner says that each record has one window, and has assigned none or several; let `has_one_window` return \
         false",
    )
}

impl<A, C, F, K, T, U> Link<Keyed<K, T>> for SessionsLink<A, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    A: WindowAssigner<T>,
    C: Contents<T, A::Window>,
    F: WindowFunction<K, A::Window, C::Output, U>,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        self.assign(batch)?;
        self.add(batch)?;
        batch.clear();
        self.send()
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        match signal {
            Signal::Watermark(watermark) => {
                self.event_time.on_watermark(*watermark);
                if !self.ends.has_ended(self.event_time.watermark()) {
                    self.event_time.pass_on(&mut self.next)?;
                }
                return Ok(());
            }
            Signal::Idle | Signal::Active if self.event_time.is_held() => {
                self.event_time.hold(signal);
                return Ok(());
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
}
