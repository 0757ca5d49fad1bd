//! A record comes into its windows.

use super::{Pane, WindowLink};
use crate::process::TimeDomain;
use crate::window::Window;
use crate::window::assigner::WindowAssigner;
use crate::window::contents::Contents;
use crate::window::function::WindowFunction;
use crate::window::trigger::{Change, TimerChange, Trigger, TriggerResult};
use snapline_core::{Data, Error, Key, Result, Timestamp};
use snapline_state::Slot;
use std::sync::atomic::Ordering;

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
    /// Takes a record into all of its windows that are not late.
    pub(super) fn on_element(
        &mut self,
        hash: u64,
        key: &K,
        record: T,
        timestamp: Option<Timestamp>,
    ) -> Result<()> {
        let time = match self.windowing.assigner.time() {
            TimeDomain::EventTime => timestamp.ok_or_else(no_timestamp)?,
            TimeDomain::ProcessingTime => self.moment.processing_time,
        };
        self.moment.timestamp = timestamp;
        let mut windows = std::mem::take(&mut self.assigned);
        self.windowing.assigner.assign(&record, time, &mut windows)?;
        windows.retain(|window| !self.is_late(window) || self.may_merge());
        let mut is_taken = false;
        let mut record = Some(record);
        while let Some(window) = windows.pop() {
            let Some(window) = self.merged(hash, key, window)? else {
                continue;
            };
            is_taken = true;
            let copy = if windows.is_empty() {
                record.take()
            } else {
                record.clone()
            };
            if let Some(copy) = copy {
                self.add(hash, key, window, copy, timestamp)?;
            }
        }
        self.assigned = windows;
        match record.filter(|_| !is_taken) {
            Some(record) => self.on_left_over(record, time),
            None => Ok(()),
        }
    }

    fn may_merge(&self) -> bool {
        self.windowing.assigner.is_merging()
    }

    /// A record was taken into no window.
    fn on_left_over(&mut self, record: T, time: Timestamp) -> Result<()> {
        let is_late = self.windowing.assigner.time() == TimeDomain::EventTime
            && time.plus_millis(self.windowing.lateness) <= self.moment.watermark.0;
        if !is_late {
            return Ok(());
        }
        self.counters.late_records.fetch_add(1, Ordering::Relaxed);
        self.late.records.push(record);
        if let Some(timestamp) = self.moment.timestamp {
            self.late.timestamps.get_or_insert_default().push(timestamp);
        }
        if self.late.len() < self.limit {
            Ok(())
        } else {
            self.send()
        }
    }

    fn add(
        &mut self,
        hash: u64,
        key: &K,
        window: A::Window,
        record: T,
        timestamp: Option<Timestamp>,
    ) -> Result<()> {
        let (contents, trigger) = (&self.windowing.contents, &self.windowing.trigger);
        let moment = &mut self.moment;
        let change = |slot: Slot<'_, Pane<C::Stored, G::State>>| {
            let (is_new, pane) = match slot {
                Slot::Occupied(pane) => (false, pane),
                Slot::Vacant(vacant) => {
                    let pane = Pane {
                        contents: None,
                        trigger: G::State::default(),
                    };
                    (true, vacant.insert(pane))
                }
            };
            let result = trigger.on_element(&record, &window, &mut pane.trigger, moment);
            match &mut pane.contents {
                Some(stored) => contents.add(stored, record, timestamp),
                none => *none = Some(contents.first(record, timestamp)),
            }
            (is_new, outcome(contents, &mut pane.contents, result, &window))
        };
        let backend = self.keyed.backend();
        let (is_new, output) = self.panes.modify(backend, hash, key, window.clone(), change)?;
        if is_new {
            self.add_cleanup(hash, key, &window)?;
        }
        self.change_timers(hash, key, &window)?;
        match output {
            Some(output) => self.emit(key, &window, output),
            None => Ok(()),
        }
    }

    /// The window as it is together with those that it merges with; `None` when it is late.
    fn merged(&mut self, hash: u64, key: &K, window: A::Window) -> Result<Option<A::Window>> {
        if !self.may_merge() {
            return Ok(Some(window));
        }
        let live = self.panes.namespaces(self.keyed.backend(), hash, key)?;
        let mut merged = Vec::new();
        let mut cover = window;
        for other in live {
            if let Some(both) = cover.merged_with(&other) {
                cover = both;
                merged.push(other);
            }
        }
        match merged.as_slice() {
            [] if self.is_late(&cover) => Ok(None),
            [] => Ok(Some(cover)),
            [only] if *only == cover => Ok(Some(cover)),
            _ => {
                self.merge(hash, key, &cover, merged)?;
                Ok(Some(cover))
            }
        }
    }

    /// Makes one window of several.
    fn merge(&mut self, hash: u64, key: &K, cover: &A::Window, merged: Vec<A::Window>) -> Result<()> {
        let mut pane = Pane {
            contents: None,
            trigger: G::State::default(),
        };
        let mut triggers = Vec::with_capacity(merged.len());
        for window in merged {
            let Some(old) = self.panes.take(self.keyed.backend(), hash, key, &window)? else {
                continue;
            };
            self.delete_timers(hash, key, &window)?;
            triggers.push(old.trigger);
            match (&mut pane.contents, old.contents) {
                (Some(stored), Some(other)) => self.windowing.contents.merge(stored, other)?,
                (none @ None, other) => *none = other,
                (Some(_), None) => {}
            }
        }
        let (trigger, moment) = (&self.windowing.trigger, &mut self.moment);
        trigger.on_merge(cover, &mut pane.trigger, triggers, moment);
        let backend = self.keyed.backend();
        let put = |slot: Slot<'_, Pane<C::Stored, G::State>>| match slot {
            Slot::Occupied(old) => *old = pane,
            Slot::Vacant(vacant) => *vacant = Some(pane),
        };
        self.panes.modify(backend, hash, key, cover.clone(), put)?;
        self.add_cleanup(hash, key, cover)?;
        self.change_timers(hash, key, cover)
    }

    /// Lets the state of a window go some time, unless that is never.
    fn add_cleanup(&mut self, hash: u64, key: &K, window: &A::Window) -> Result<()> {
        let at = self.cleanup_time(window);
        if at == Timestamp::MAX {
            return Ok(());
        }
        let timers = match self.windowing.assigner.time() {
            TimeDomain::EventTime => &mut self.event_timers,
            TimeDomain::ProcessingTime => &mut self.processing_timers,
        };
        timers.add(self.keyed.backend(), hash, key, window.clone(), at)?;
        Ok(())
    }

    /// Makes the changes that the trigger has asked for.
    pub(super) fn change_timers(&mut self, hash: u64, key: &K, window: &A::Window) -> Result<()> {
        if self.moment.timers.is_empty() {
            return Ok(());
        }
        let mut changes = std::mem::take(&mut self.moment.timers);
        changes.retain(|change| !self.is_of_cleanup(*change, window));
        let backend = self.keyed.backend();
        for TimerChange { kind, at, change } in changes.drain(..) {
            let timers = match kind {
                TimeDomain::EventTime => &mut self.event_timers,
                TimeDomain::ProcessingTime => &mut self.processing_timers,
            };
            match change {
                Change::Add => timers.add(backend, hash, key, window.clone(), at)?,
                Change::Delete => timers.delete(backend, hash, key, window, at)?,
            };
        }
        self.moment.timers = changes;
        Ok(())
    }

    /// Whether a change is of the timer that is there as long as the window is.
    fn is_of_cleanup(&self, TimerChange { kind, at, .. }: TimerChange, window: &A::Window) -> bool {
        kind == self.windowing.assigner.time() && at < Timestamp::MAX && at == self.cleanup_time(window)
    }

    /// The timers of a window go with it.
    pub(super) fn delete_timers(&mut self, hash: u64, key: &K, window: &A::Window) -> Result<()> {
        let backend = self.keyed.backend();
        for timers in [&mut self.event_timers, &mut self.processing_timers] {
            if timers.next_time().is_none() {
                continue;
            }
            for (at, of) in timers.of_key(backend, hash, key)? {
                if of == *window {
                    timers.delete(backend, hash, key, window, at)?;
                }
            }
        }
        Ok(())
    }
}

/// Does to the contents what the trigger wants, and returns what is to be emitted.
pub(super) fn outcome<T, W, C: Contents<T, W>>(
    contents: &C,
    stored: &mut Option<C::Stored>,
    result: TriggerResult,
    window: &W,
) -> Option<C::Output> {
    match result {
        TriggerResult::Continue => None,
        TriggerResult::Fire => stored.as_mut().map(|stored| contents.emit(stored, window)),
        TriggerResult::Purge => {
            *stored = None;
            None
        }
        TriggerResult::FireAndPurge => stored.take().map(|stored| contents.emit_last(stored, window)),
    }
}

#[cold]
pub(crate) fn no_timestamp() -> Error {
    Error::invalid(
        "a record without a timestamp came to windows of event time; give the stream timestamps with \
         .assign_timestamps_and_watermarks(...), or use windows of processing time",
    )
}
