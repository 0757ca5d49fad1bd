//! The slices of a key that have ended, of which any window is put together in a few steps, however many it has.
//!
//! They are a queue in two stacks (Tangwongsan, Hirzel and Schneider, "Low-latency sliding-window aggregation", 2017) that stand
//! in one row, so that a window touches it only where the oldest slice leaves and where a new one comes. Where slices leave,
//! what stands under the time of a slice is what it and all later ones of its stack have together. Where new ones come, slices
//! are by themselves, with a running total of those that a window has ended behind. When the first stack is
//! empty, the slices of the total become it.
//!
//! A few are simply put together each time.

use super::{Span, gather};
use crate::window::contents::Contents;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Result, Timestamp};
use snapline_prefetch::prefetch;
use std::collections::VecDeque;

/// So many are a few.
const FEW: usize = 8;
/// The same where what is stored of a slice may be large: two stacks keep most records several times.
const FEW_THAT_GROW: usize = 128;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Past<S> {
    /// In order, the oldest first.
    slices: VecDeque<(i64, S)>,
    /// So many of them stand with all later ones of those.
    leaving: usize,
    /// What the next so many have together.
    in_total: usize,
    total: Option<S>,
}

impl<S> Default for Past<S> {
    fn default() -> Self {
        Self {
            slices: VecDeque::new(),
            leaving: 0,
            in_total: 0,
            total: None,
        }
    }
}

impl<S: Data> Past<S> {
    /// Starts to fetch what the next window touches.
    #[inline]
    pub(super) fn fetch(&self) {
        let ends = self.slices.front().into_iter().chain(self.slices.back());
        ends.for_each(|slice| prefetch(slice, || slice.0));
        prefetch(&self.total, || self.total.is_some());
    }

    /// As [`Slices::add`](super::Slices::add).
    pub(super) fn add<T: Data, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        record: T,
        at: Timestamp,
    ) -> Option<T> {
        let Ok(index) = self.slices.binary_search_by_key(&start, |(other, _)| *other) else {
            return Some(record);
        };
        if index < self.leaving {
            // All up to it have it.
            for (_, stored) in self.slices.range_mut(..=index) {
                contents.add(stored, record.clone(), Some(at));
            }
            return None;
        }
        if let Some(total) = self
            .total
            .as_mut()
            .filter(|_| index < self.leaving + self.in_total)
        {
            contents.add(total, record.clone(), Some(at));
        }
        contents.add(&mut self.slices[index].1, record, Some(at));
        None
    }

    /// As [`Slices::insert`](super::Slices::insert).
    pub(super) fn insert<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        mut stored: S,
    ) -> Result<()> {
        if self.slices.back().is_none_or(|(last, _)| *last < start) {
            self.slices.push_back((start, stored));
            return Ok(());
        }
        let index = self.slices.partition_point(|(other, _)| *other < start);
        if index < self.leaving {
            for (_, older) in self.slices.range_mut(..index) {
                contents.merge(older, stored.clone())?;
            }
            contents.merge(&mut stored, self.slices[index].1.clone())?;
            self.leaving += 1;
        } else if let Some(total) = self
            .total
            .as_mut()
            .filter(|_| index < self.leaving + self.in_total)
        {
            contents.merge(total, stored.clone())?;
            self.in_total += 1;
        }
        self.slices.insert(index, (start, stored));
        Ok(())
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.slices.front().map(|(start, _)| *start)
    }

    /// Adds what a window has of these slices. Those that are in no later window go.
    pub(super) fn gather<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        span: Span,
        gathered: &mut Option<S>,
    ) -> Result<()> {
        if span.kept_from >= span.end || self.are_few(contents) {
            return self.gather_each(contents, span, gathered);
        }
        self.drop_before(contents, span.start)?;
        while let Some((at, stored)) = self.slices.get(self.leaving + self.in_total)
            && *at < span.end
        {
            gather(contents, &mut self.total, stored.clone())?;
            self.in_total += 1;
        }
        let first = self.slices.front().filter(|_| self.leaving > 0);
        let parts = first.map(|(_, stored)| stored).into_iter().chain(&self.total);
        parts
            .into_iter()
            .try_for_each(|part| gather(contents, gathered, part.clone()))?;
        self.drop_before(contents, span.kept_from)
    }

    fn are_few<T, W, C: Contents<T, W, Stored = S>>(&self, contents: &C) -> bool {
        let few = if contents.grows() { FEW_THAT_GROW } else { FEW };
        self.leaving == 0 && self.in_total == 0 && self.slices.len() <= few
    }

    /// The same one by one. Slices that are in no later window are moved.
    fn gather_each<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        span: Span,
        gathered: &mut Option<S>,
    ) -> Result<()> {
        while let Some((at, stored)) = self.slices.pop_front_if(|(at, _)| *at < span.kept_from) {
            if (span.start..span.end).contains(&at) {
                gather(contents, gathered, stored)?;
            }
        }
        let kept = self.slices.iter().take_while(|(at, _)| *at < span.end);
        kept.map(|(_, stored)| stored.clone())
            .try_for_each(|stored| gather(contents, gathered, stored))
    }

    /// Lets slices go that begin before a time.
    fn drop_before<T, W, C: Contents<T, W, Stored = S>>(&mut self, contents: &C, time: i64) -> Result<()> {
        while self.oldest().is_some_and(|oldest| oldest < time) {
            if self.leaving == 0 {
                self.turn(contents)?;
            }
            self.slices.pop_front();
            self.leaving -= 1;
        }
        Ok(())
    }

    /// Those of the total become those that leave, or else the first of the others.
    fn turn<T, W, C: Contents<T, W, Stored = S>>(&mut self, contents: &C) -> Result<()> {
        let turned = self.in_total.max(1);
        let mut later: Option<S> = None;
        for (_, stored) in self.slices.range_mut(..turned).rev() {
            if let Some(later) = later {
                contents.merge(stored, later)?;
            }
            later = Some(stored.clone());
        }
        self.leaving = turned;
        self.in_total = 0;
        self.total = None;
        Ok(())
    }
}
