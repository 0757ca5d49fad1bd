//! What is due in windows fires.

use super::element::outcome;
use super::{Pane, WindowLink};
use crate::link::Link;
use crate::operator::collector::Collector;
use crate::operator::timers::Quantum;
use crate::process::TimeDomain;
use crate::window::Window;
use crate::window::assigner::WindowAssigner;
use crate::window::contents::Contents;
use crate::window::function::{WindowContext, WindowFunction};
use crate::window::trigger::Trigger;
use snapline_core::{Data, Key, Result, Timestamp, Watermark};
use snapline_state::{Slot, Timer};

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
    /// Fires some of the timers up to a watermark. Returns whether none are left.
    pub(super) fn fire_event_time(&mut self, watermark: Watermark) -> Result<bool> {
        self.moment.timestamp = None;
        if self
            .event_timers
            .next_time()
            .is_some_and(|next| next <= watermark.0)
        {
            self.moment.processing_time = self.clock.now();
        }
        let clock = self.clock.clone();
        let (mut quantum, mut is_done) = (Quantum::new(&*clock), false);
        while quantum.has_room() {
            match self.event_timers.take_due(self.keyed.backend(), watermark.0)? {
                Some(timer) => self.fire(timer, TimeDomain::EventTime)?,
                None => {
                    is_done = true;
                    break;
                }
            }
        }
        self.send()?;
        Ok(is_done)
    }

    /// Fires some of the timers up to a time of the clock.
    pub(super) fn fire_processing_time(&mut self, now: Timestamp) -> Result<()> {
        self.moment.timestamp = None;
        self.moment.processing_time = now;
        let clock = self.clock.clone();
        let mut quantum = Quantum::new(&*clock);
        while quantum.has_room()
            && let Some(timer) = self.processing_timers.take_due(self.keyed.backend(), now)?
        {
            self.fire(timer, TimeDomain::ProcessingTime)?;
        }
        self.send()
    }

    fn fire(&mut self, timer: Timer<K, A::Window>, time: TimeDomain) -> Result<()> {
        let Timer {
            time: at,
            hash,
            key,
            namespace: window,
            ..
        } = timer;
        let is_last = time == self.windowing.assigner.time() && at == self.cleanup_time(&window);
        let output = match is_last {
            true => self.fire_last(at, hash, &key, &window, time)?,
            false => self.fire_pane(at, hash, &key, &window, time)?,
        };
        match output {
            Some(output) => self.emit(&key, &window, output),
            None => Ok(()),
        }
    }

    /// Fires a window that goes on.
    fn fire_pane(
        &mut self,
        at: Timestamp,
        hash: u64,
        key: &K,
        window: &A::Window,
        time: TimeDomain,
    ) -> Result<Option<C::Output>> {
        let (windowing, moment) = (&self.windowing, &mut self.moment);
        let change = |slot: Slot<'_, Pane<C::Stored, G::State>>| match slot {
            Slot::Vacant(_) => None,
            Slot::Occupied(pane) => {
                let (trigger, state) = (&windowing.trigger, &mut pane.trigger);
                let result = match time {
                    TimeDomain::EventTime => trigger.on_event_time(at, window, state, moment),
                    TimeDomain::ProcessingTime => trigger.on_processing_time(at, window, state, moment),
                };
                outcome(&windowing.contents, &mut pane.contents, result, window)
            }
        };
        let backend = self.keyed.backend();
        let output = self.panes.modify(backend, hash, key, window.clone(), change)?;
        self.change_timers(hash, key, window)?;
        Ok(output)
    }

    /// Fires a window if its trigger still wants to, and lets its state go.
    fn fire_last(
        &mut self,
        at: Timestamp,
        hash: u64,
        key: &K,
        window: &A::Window,
        time: TimeDomain,
    ) -> Result<Option<C::Output>> {
        let Some(mut pane) = self.panes.take(self.keyed.backend(), hash, key, window)? else {
            return Ok(None);
        };
        let (trigger, moment) = (&self.windowing.trigger, &mut self.moment);
        let result = match time {
            TimeDomain::EventTime => trigger.on_event_time(at, window, &mut pane.trigger, moment),
            TimeDomain::ProcessingTime => trigger.on_processing_time(at, window, &mut pane.trigger, moment),
        };
        self.moment.timers.clear();
        self.delete_timers(hash, key, window)?;
        let stored = pane.contents.filter(|_| result.is_fire());
        Ok(stored.map(|stored| self.windowing.contents.emit_last(stored, window)))
    }

    /// Hands what a window has to its function.
    pub(super) fn emit(&mut self, key: &K, window: &A::Window, output: C::Output) -> Result<()> {
        let mut out = Collector::with_sides(&mut self.emitted, &mut self.next, self.limit);
        out.at(Some(window.max_timestamp()));
        let context = WindowContext::new(window, self.moment.watermark, self.moment.processing_time);
        self.windowing.function.call(key, &context, output, &mut out)?;
        out.pause()
    }

    /// Sends what was emitted, and the late records.
    pub(super) fn send(&mut self) -> Result<()> {
        if !self.emitted.is_empty() {
            self.next.on_batch(&mut self.emitted)?;
            self.emitted.clear();
        }
        if let Some(tag) = &self.windowing.late {
            self.next.sides.send_batch(tag, &mut self.late)?;
        }
        self.late.clear();
        self.next.sides.flush()
    }
}
