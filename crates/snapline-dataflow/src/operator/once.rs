//! The frame of windows that emit once, at their end: the sliced ones and sessions.
//!
//! A key has one entry of state, whatever windows it is in, so that a record finds them in one access. When the next of them
//! ends stands in an index in memory, one place for each key, that is made anew from the state after a restore.

mod ends;

use crate::context::{OperatorContext, TaskCounters};
use crate::factory::ErasedLink;
use crate::link::{Link, Signal};
use crate::operator::collector::Collector;
use crate::operator::event_time::{EventTime, poll_caught_up};
use crate::operator::keyed_state::KeyedState;
use crate::operator::timers::Quantum;
use crate::outlets::Outlets;
use crate::output_tag::OutputTag;
use ends::Ends;
use snapline_core::{Batch, Clock, Data, Key, Keyed, Result, StableHasher, Timestamp, Watermark};
use snapline_state::{Slot, TableMut, TableSpec, ValueState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

/// The open windows of a key.
pub(super) trait OpenWindows: Data {
    /// The name of their state.
    const STATE: &'static str;

    /// When to look at them: when the first of them ends, or before.
    fn due(&self) -> i64;
}

/// How records get into windows, and what comes of those that have ended.
pub(super) trait EmitsOnce<K, T, U>: Send + 'static {
    /// What is kept for a key.
    type Open: OpenWindows;

    /// Adds the records of a batch to the windows of their keys, and sets those aside that are late. What the batch has
    /// besides may stay.
    fn add(
        &mut self,
        batch: &mut Batch<Keyed<K, T>>,
        frame: &mut OnceFrame<K, Self::Open, T, U>,
    ) -> Result<()>;

    /// Emits the windows of these keys that end here.
    fn emit(
        &mut self,
        end: i64,
        keys: Vec<(u64, K)>,
        frame: &mut OnceFrame<K, Self::Open, T, U>,
    ) -> Result<()>;
}

/// What is around the windows of an operator.
pub(super) struct OnceFrame<K, S, T, U> {
    keyed: KeyedState,
    state: ValueState<K, S>,
    /// The keys of which a window may end, by the time at which it would.
    ends: Ends<K>,
    /// Watermarks go on when the windows that have ended are emitted.
    event_time: EventTime,
    clock: Arc<dyn Clock>,
    counters: Arc<TaskCounters>,
    limit: usize,
    emitted: Batch<U>,
    pub(super) late: Late<T>,
    late_tag: Option<OutputTag<T>>,
    next: Outlets<U>,
}

/// Records whose windows have ended.
pub(super) struct Late<T>(Batch<T>);

impl<T> Late<T> {
    pub(super) fn push(&mut self, record: T, at: Timestamp) {
        self.0.records.push(record);
        self.0.timestamps.get_or_insert_default().push(at);
    }
}

/// Windows that emit once, in front of the rest of their chain.
pub(super) struct OnceLink<E: EmitsOnce<K, T, U>, K, T, U> {
    windows: E,
    frame: OnceFrame<K, E::Open, T, U>,
}

impl<E: EmitsOnce<K, T, U>, K: Key, T: Data, U: Data> OnceLink<E, K, T, U> {
    /// The windows of one subtask, with their state.
    ///
    /// # Errors
    /// What keeps them from starting.
    pub(super) async fn open(
        windows: E,
        late_tag: Option<OutputTag<T>>,
        context: OperatorContext,
        next: ErasedLink,
    ) -> Result<Self> {
        let mut tables: Vec<TableSpec> = Vec::new();
        let state = ValueState::register(E::Open::STATE, &mut tables, context.max_parallelism);
        let mut frame = OnceFrame {
            keyed: KeyedState::open(&context, tables).await?,
            state,
            ends: Ends::default(),
            event_time: EventTime::restore(&context)?,
            clock: context.clock,
            counters: context.counters,
            limit: context.batch_records,
            emitted: Batch::new(),
            late: Late(Batch::new()),
            late_tag,
            next: next.outlets::<U>()?,
        };
        frame.find_ends()?;
        Ok(Self { windows, frame })
    }

    /// Emits some of the windows that have ended, and passes the watermark on when none are left.
    fn catch_up(&mut self) -> Result<()> {
        let (clock, watermark) = (self.frame.clock.clone(), self.frame.watermark());
        let (mut quantum, mut is_done) = (Quantum::new(&*clock), !self.frame.event_time.is_held());
        while !is_done && quantum.has_room_for(KEYS_AT_ONCE) {
            match self.frame.ends.take(watermark, KEYS_AT_ONCE as usize) {
                Some((end, keys)) => self.windows.emit(end, keys, &mut self.frame)?,
                None => is_done = true,
            }
        }
        self.frame.send()?;
        if is_done {
            self.frame.pass_on()?;
        }
        Ok(())
    }
}

/// So many keys are looked at at once.
const KEYS_AT_ONCE: u32 = 128;

impl<K: Key, S: OpenWindows, T: Data, U: Data> OnceFrame<K, S, T, U> {
    /// Makes the index from the state.
    fn find_ends(&mut self) -> Result<()> {
        let (ends, mut hasher) = (&mut self.ends, StableHasher::new());
        self.state.table(self.keyed.backend())?.scan(&mut |key, open| {
            ends.add(open.due(), hasher.hash(key)?, key.clone());
            Ok(())
        })
    }

    pub(super) fn watermark(&self) -> Watermark {
        self.event_time.watermark()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What records are added to: the entries of all keys, the index, and where late records go.
    ///
    /// # Errors
    /// As [`ValueState::table`].
    pub(super) fn parts(&mut self) -> Result<(TableMut<'_, K, S>, &mut Ends<K>, &mut Late<T>)> {
        let table = self.state.table(self.keyed.backend())?;
        Ok((table, &mut self.ends, &mut self.late))
    }

    /// Looks at the entries of these keys, of which the windows will be emitted next.
    ///
    /// # Errors
    /// As [`ValueState::table`].
    pub(super) fn look_ahead(&mut self, keys: &[(u64, K)], look: impl FnMut(&S)) -> Result<()> {
        let hashes: Vec<u64> = keys.iter().map(|(hash, _)| *hash).collect();
        let table = self.state.table(self.keyed.backend())?;
        table.look_ahead(&hashes, keys.iter().map(|(_, key)| key), look);
        Ok(())
    }

    /// Hands the entries of these keys that are due to a function that emits what has ended, and says when to look again
    /// or that nothing is left.
    ///
    /// # Errors
    /// The first of the function, or those of the backend.
    pub(super) fn emit_due(
        &mut self,
        at: i64,
        keys: Vec<(u64, K)>,
        mut emit: impl FnMut(&K, &mut S, &mut Collector<'_, U>) -> Result<Option<i64>>,
    ) -> Result<()> {
        let ends = &mut self.ends;
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
            match emit(&key, open, &mut out) {
                Ok(Some(due)) => ends.add(due, hash, key),
                Ok(None) => gone.push((hash, key)),
                Err(error) => failure = Err(error),
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
        let late = &mut self.late.0;
        self.counters
            .late_records
            .fetch_add(late.len() as u64, Ordering::Relaxed);
        if let Some(tag) = &self.late_tag {
            self.next.sides.send_batch(tag, late)?;
        }
        late.clear();
        self.next.sides.flush()
    }

    fn pass_on(&mut self) -> Result<()> {
        self.event_time.pass_on(&mut self.next)
    }
}

impl<E: EmitsOnce<K, T, U>, K: Key, T: Data, U: Data> Link<Keyed<K, T>> for OnceLink<E, K, T, U> {
    fn on_batch(&mut self, batch: &mut Batch<Keyed<K, T>>) -> Result<()> {
        self.windows.add(batch, &mut self.frame)?;
        batch.clear();
        self.frame.send()
    }

    fn on_signal(&mut self, signal: &mut Signal<'_>) -> Result<()> {
        let frame = &mut self.frame;
        match signal {
            Signal::Watermark(watermark) => {
                frame.event_time.on_watermark(*watermark);
                if !frame.ends.has_ended(frame.watermark()) {
                    frame.pass_on()?;
                }
                return Ok(());
            }
            Signal::Idle | Signal::Active if frame.event_time.is_held() => {
                frame.event_time.hold(signal);
                return Ok(());
            }
            Signal::EndOfData => {
                while self.frame.event_time.is_held() {
                    self.catch_up()?;
                }
            }
            Signal::Barrier(snapshot) => frame.event_time.freeze(&mut frame.keyed, snapshot)?,
            _ => {}
        }
        self.frame.next.on_signal(signal)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        poll_caught_up(
            self,
            cx,
            |link| &link.frame.event_time,
            Self::catch_up,
            |link, cx| link.frame.next.poll_ready(cx),
        )
    }

    fn poll_advance(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.frame.keyed.backend().poll_advance(cx))?;
        self.frame.next.poll_advance(cx)
    }
}
