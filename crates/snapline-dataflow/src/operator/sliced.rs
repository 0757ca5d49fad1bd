//! Windows of a fixed size that emit once, at their end: the fast way for the usual ones.
//!
//! The time of a key is cut into slices of the step from one window to the next, and a record is added to one slice,
//! however many windows it is in. A window is put together of its slices when it ends (Li et al., "No pane, no gain",
//! 2005). Which key has a window that ends when stands in an index in memory, one place for each key, that is made
//! anew from the state after a restore.

mod ends;
mod slices;

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::{ErasedLink, OperatorFactory};
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::event_time::{EventTime, poll_caught_up};
use crate::operator::keyed_state::{KeyedState, no_hashes};
use crate::operator::located::Place;
use crate::operator::timers::Quantum;
use crate::operator::window::no_timestamp;
use crate::operator::window::side_outputs;
use crate::outlets::{Outlets, SideOutputs};
use crate::output_tag::OutputTag;
use crate::window::Window;
use crate::window::contents::Contents;
use crate::window::function::{WindowContext, WindowFunction};
use crate::window::slicing::Slicing;
use async_trait::async_trait;
pub(super) use ends::Ends;
use slices::{Slices, Span};
use snapline_core::{Batch, Clock, Data, Key, Keyed, Result, StableHasher, Timestamp, Watermark};
use snapline_state::{Slot, TableSpec, ValueState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// Windows of which each record adds to one slice.
pub(crate) struct SlicedOf<W, C, F, K, T, U> {
    pub(crate) slicing: Slicing<W>,
    pub(crate) contents: C,
    pub(crate) function: F,
    /// Where late records go, if not nowhere.
    pub(crate) late: Option<OutputTag<T>>,
    pub(crate) types: PhantomData<fn(K, T) -> U>,
}

#[async_trait]
impl<W, C, F, K, T, U> OperatorFactory for SlicedOf<W, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    W: Window,
    C: Contents<T, W>,
    F: WindowFunction<K, W, C::Output, U>,
{
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink> {
        let place = Place::of(&context);
        let mut tables: Vec<TableSpec> = Vec::new();
        let state = ValueState::register("slices", &mut tables, context.max_parallelism);
        let mut link = SlicedLink {
            slicing: self.slicing,
            contents: self.contents.clone(),
            function: self.function.clone(),
            keyed: KeyedState::open(&context, tables).await?,
            state,
            ends: Ends::default(),
            starts: Vec::new(),
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

struct SlicedLink<W, C: Contents<T, W>, F, K, T, U> {
    slicing: Slicing<W>,
    contents: C,
    function: F,
    keyed: KeyedState,
    state: ValueState<K, Slices<C::Stored>>,
    /// The keys of which a window ends, by the end of the window.
    ends: Ends<K>,
    /// Where the slices of the records of a batch begin.
    starts: Vec<i64>,
    /// Watermarks go on when the windows that have ended are emitted.
    event_time: EventTime,
    clock: Arc<dyn Clock>,
    counters: Arc<TaskCounters>,
    limit: usize,
    emitted: Batch<U>,
    late: Batch<T>,
    late_tag: Option<OutputTag<T>>,
    next: Outlets<U>,
}

/// So many windows are emitted at once.
const WINDOWS_AT_ONCE: u32 = 128;

impl<W, C, F, K, T, U> SlicedLink<W, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    W: Window,
    C: Contents<T, W>,
    F: WindowFunction<K, W, C::Output, U>,
{
    /// Makes the index from the state.
    fn find_ends(&mut self) -> Result<()> {
        let (ends, mut hasher) = (&mut self.ends, StableHasher::new());
        self.state.table(self.keyed.backend())?.scan(&mut |key, slices| {
            ends.add(slices.due(), hasher.hash(key)?, key.clone());
            Ok(())
        })
    }

    /// Sets late records aside and notes the slices of the others.
    fn set_late_aside(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        self.starts.clear();
        let timestamps = batch.timestamps.as_deref().ok_or_else(no_timestamp)?;
        let mut all_fit = true;
        let (mut start, mut end, mut fits) = (0, 0, false);
        for at in timestamps {
            // Neighbours are mostly in the same slice.
            if at.0 < start || at.0 >= end {
                start = self.slicing.slice(*at);
                end = self.slicing.slice_end(start);
                fits = self.fits(start);
            }
            all_fit &= fits;
            self.starts.push(start);
        }
        if all_fit {
            return Ok(());
        }
        let keep: Vec<bool> = self.starts.iter().map(|start| self.fits(*start)).collect();
        for (index, (keyed, keep)) in std::mem::take(&mut batch.records)
            .into_iter()
            .zip(&keep)
            .enumerate()
        {
            let at = timestamps[index];
            if *keep {
                batch.records.push(keyed);
            } else if at <= self.event_time.watermark().0 {
                self.counters.late_records.fetch_add(1, Ordering::Relaxed);
                self.late.records.push(keyed.record);
                self.late.timestamps.get_or_insert_default().push(at);
            }
        }
        retain(&mut self.starts, &keep);
        if let Some(hashes) = &mut batch.hashes {
            retain(hashes, &keep);
        }
        if let Some(timestamps) = &mut batch.timestamps {
            retain(timestamps, &keep);
        }
        Ok(())
    }

    /// Whether a slice is in a window that has not ended.
    fn fits(&self, start: i64) -> bool {
        let last = self.slicing.last_end(start);
        last.is_some_and(|end| end - 1 > self.event_time.watermark().0.0)
    }

    /// Adds the records of a batch to their slices.
    fn add(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        let hashes = batch.hashes.as_deref().ok_or_else(no_hashes)?;
        let (contents, slicing, ends) = (&self.contents, &self.slicing, &mut self.ends);
        let watermark = self.event_time.watermark();
        let timestamps = batch.timestamps.iter().flatten();
        let places = self.starts.iter().zip(hashes).zip(timestamps);
        let entries = batch.records.drain(..).zip(places).map(|(keyed, place)| {
            let Keyed { key, record } = keyed;
            (key.clone(), (key, record, place))
        });
        let mut failure = Ok(());
        self.state.table(self.keyed.backend())?.update_each(
            hashes,
            entries,
            |(key, record, ((start, hash), at)), slot| {
                let (start, at) = (*start, *at);
                match slot {
                    Slot::Occupied(slices) => {
                        if let Some(record) = slices.add(contents, start, record, at) {
                            let first = contents.first(record, Some(at));
                            if let Err(error) = slices.insert(contents, start, first) {
                                failure = Err(error);
                            }
                            let due = slicing.first_end(start, watermark);
                            if due < slices.due() {
                                slices.set_due(due);
                                ends.add(due, *hash, key);
                            }
                        }
                    }
                    Slot::Vacant(vacant) => {
                        let due = slicing.first_end(start, watermark);
                        *vacant = Some(Slices::new(due, start, contents.first(record, Some(at))));
                        ends.add(due, *hash, key);
                    }
                }
            },
        )?;
        failure
    }

    /// Emits some of the windows that have ended, and passes the watermark on when none are left.
    fn catch_up(&mut self) -> Result<()> {
        let (clock, watermark) = (self.clock.clone(), self.event_time.watermark());
        let (mut quantum, mut is_done) = (Quantum::new(&*clock), !self.event_time.is_held());
        while !is_done && quantum.has_room_for(WINDOWS_AT_ONCE) {
            match self.ends.take(watermark, WINDOWS_AT_ONCE as usize) {
                Some((end, keys)) => self.emit(end, keys)?,
                None => is_done = true,
            }
        }
        self.send()?;
        if is_done {
            self.event_time.pass_on(&mut self.next)?;
        }
        Ok(())
    }

    /// Emits the windows of these keys that end here.
    fn emit(&mut self, end: i64, keys: Vec<(u64, K)>) -> Result<()> {
        let (contents, slicing, ends, function) =
            (&self.contents, &self.slicing, &mut self.ends, &mut self.function);
        let window = slicing.window(end);
        let span = Span {
            start: slicing.start_of(end),
            end,
            kept_from: slicing.kept_from(end),
        };
        let context = WindowContext::new(&window, self.event_time.watermark(), self.clock.now());
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        out.at(Some(window.max_timestamp()));
        let hashes: Vec<u64> = keys.iter().map(|(hash, _)| *hash).collect();
        let entries = keys.into_iter().map(|(hash, key)| (key.clone(), (hash, key)));
        let (mut gone, mut failure) = (Vec::new(), Ok(()));
        let mut table = self.state.table(self.keyed.backend())?;
        table.update_each(&hashes, entries, |(hash, key), slot| {
            let Slot::Occupied(slices) = slot else { return };
            if slices.due() != end || failure.is_err() {
                return;
            }
            failure = slices
                .window(contents, span, &window)
                .and_then(|output| match output {
                    Some(output) => function.call(&key, &context, output, &mut out),
                    None => Ok(()),
                });
            match slices.oldest() {
                Some(oldest) => {
                    let due = slicing.first_end(oldest, Watermark(Timestamp(end - 1)));
                    slices.set_due(due);
                    ends.add(due, hash, key);
                }
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

fn retain<V>(column: &mut Vec<V>, keep: &[bool]) {
    let mut verdicts = keep.iter();
    column.retain(|_| verdicts.next().is_none_or(|keep| *keep));
}

impl<W, C, F, K, T, U> Link<Keyed<K, T>> for SlicedLink<W, C, F, K, T, U>
where
    K: Key,
    T: Data,
    U: Data,
    W: Window,
    C: Contents<T, W>,
    F: WindowFunction<K, W, C::Output, U>,
{
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        self.set_late_aside(batch)?;
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
