//! The slices of a key but the newest, of which any window is put together in a few steps, however many it has.
//!
//! A few are simply put together each time, because they stand in a row. Many are a queue in two stacks (Tangwongsan, Hirzel
//! and Schneider, "Low-latency sliding-window aggregation", 2017). Where
//! the oldest slices leave, what stands under the time of a slice is what it and all later ones of its stack have together.
//! Where new ones come, slices are by themselves, with a running total of those that a window has ended behind. When
//! the first stack is empty, the slices of the total become it.

use super::{Span, gather};
use crate::window::contents::Contents;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Result, Timestamp};

/// So many are a few: at 60, two stacks cost a third more than putting them together, in time and in memory.
const FEW: usize = 128;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Past<S> {
    /// Each with all later ones that are here, the oldest last.
    leaving: Vec<(i64, S)>,
    /// By themselves and in order, all later than those.
    coming: Vec<(i64, S)>,
    /// What the first so many of `coming` have together.
    total: Option<S>,
    in_total: usize,
}

impl<S> Default for Past<S> {
    fn default() -> Self {
        Self {
            leaving: Vec::new(),
            coming: Vec::new(),
            total: None,
            in_total: 0,
        }
    }
}

impl<S: Data> Past<S> {
    /// As [`Slices::add`](super::Slices::add).
    pub(super) fn add<T: Data, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        record: T,
        at: Timestamp,
    ) -> Option<T> {
        if let Ok(index) = self.leaving.binary_search_by(|(other, _)| start.cmp(other)) {
            // It and all that have it.
            for (_, stored) in &mut self.leaving[index..] {
                contents.add(stored, record.clone(), Some(at));
            }
            return None;
        }
        let Ok(index) = self.coming.binary_search_by_key(&start, |(other, _)| *other) else {
            return Some(record);
        };
        if let Some(total) = self.total.as_mut().filter(|_| index < self.in_total) {
            contents.add(total, record.clone(), Some(at));
        }
        contents.add(&mut self.coming[index].1, record, Some(at));
        None
    }

    /// As [`Slices::insert`](super::Slices::insert).
    pub(super) fn insert<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        stored: S,
    ) -> Result<()> {
        let is_leaving = self.leaving.first().is_some_and(|(newest, _)| start < *newest);
        if is_leaving {
            let index = self.leaving.partition_point(|(other, _)| *other > start);
            for (_, older) in &mut self.leaving[index..] {
                contents.merge(older, stored.clone())?;
            }
            // There is a later one.
            let mut with_later = self.leaving[index - 1].1.clone();
            contents.merge(&mut with_later, stored)?;
            self.leaving.insert(index, (start, with_later));
            return Ok(());
        }
        let index = self.coming.partition_point(|(other, _)| *other < start);
        if let Some(total) = self.total.as_mut().filter(|_| index < self.in_total) {
            contents.merge(total, stored.clone())?;
            self.in_total += 1;
        }
        self.coming.insert(index, (start, stored));
        Ok(())
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        let oldest = self.leaving.last().or(self.coming.first());
        oldest.map(|(start, _)| *start)
    }

    /// Adds what a window has of these slices. Those that are in no later window go.
    pub(super) fn gather<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        span: Span,
        gathered: &mut Option<S>,
    ) -> Result<()> {
        if span.kept_from >= span.end || self.are_few() {
            return self.gather_each(contents, span, gathered);
        }
        self.drop_before(contents, span.start)?;
        while let Some((_, stored)) = self.coming.get(self.in_total).filter(|(at, _)| *at < span.end) {
            gather(contents, &mut self.total, stored.clone())?;
            self.in_total += 1;
        }
        let parts = self
            .leaving
            .last()
            .map(|(_, stored)| stored)
            .into_iter()
            .chain(&self.total);
        parts
            .into_iter()
            .try_for_each(|part| gather(contents, gathered, part.clone()))?;
        self.drop_before(contents, span.kept_from)
    }

    fn are_few(&self) -> bool {
        self.leaving.is_empty() && self.in_total == 0 && self.coming.len() <= FEW
    }

    /// The same one by one. Slices that are in no later window are moved.
    fn gather_each<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        span: Span,
        gathered: &mut Option<S>,
    ) -> Result<()> {
        let count = self.coming.partition_point(|(at, _)| *at < span.kept_from);
        for (at, stored) in self.coming.drain(..count) {
            if (span.start..span.end).contains(&at) {
                gather(contents, gathered, stored)?;
            }
        }
        let kept = self.coming.iter().take_while(|(at, _)| *at < span.end);
        kept.map(|(_, stored)| stored.clone())
            .try_for_each(|stored| gather(contents, gathered, stored))
    }

    /// Lets slices go that begin before a time.
    fn drop_before<T, W, C: Contents<T, W, Stored = S>>(&mut self, contents: &C, time: i64) -> Result<()> {
        while self.oldest().is_some_and(|oldest| oldest < time) {
            if self.leaving.is_empty() {
                self.turn(contents)?;
            }
            self.leaving.pop();
        }
        Ok(())
    }

    /// Those of the total become those that leave, or else the first of the others.
    fn turn<T, W, C: Contents<T, W, Stored = S>>(&mut self, contents: &C) -> Result<()> {
        let mut later: Option<S> = None;
        for (start, mut stored) in self.coming.drain(..self.in_total.max(1)).rev() {
            if let Some(later) = later {
                contents.merge(&mut stored, later)?;
            }
            later = Some(stored.clone());
            self.leaving.push((start, stored));
        }
        self.total = None;
        self.in_total = 0;
        Ok(())
    }
}
