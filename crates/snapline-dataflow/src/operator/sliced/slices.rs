//! The slices of one key.

use crate::window::contents::Contents;
use serde::{Deserialize, Serialize};
use snapline_core::Result;

/// What is stored of the slices of a key, each under the time at which it begins, and when the next of its windows
/// ends. The newest slice, into which most records go, is where the key is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Slices<S> {
    due: i64,
    newest: Option<(i64, S)>,
    /// The others, in order.
    older: Vec<(i64, S)>,
}

impl<S> Slices<S> {
    pub(super) fn new(due: i64, start: i64, stored: S) -> Self {
        Self {
            due,
            newest: Some((start, stored)),
            older: Vec::new(),
        }
    }

    /// When the next window ends.
    #[inline]
    pub(super) fn due(&self) -> i64 {
        self.due
    }

    pub(super) fn set_due(&mut self, due: i64) {
        self.due = due;
    }

    /// The slice that begins at this time.
    #[inline]
    pub(super) fn get(&mut self, start: i64) -> Option<&mut S> {
        match &mut self.newest {
            Some((newest, stored)) if *newest == start => Some(stored),
            _ => {
                let at = self
                    .older
                    .binary_search_by_key(&start, |(start, _)| *start)
                    .ok()?;
                Some(&mut self.older[at].1)
            }
        }
    }

    /// Adds a slice that is not there yet.
    pub(super) fn insert(&mut self, start: i64, stored: S) {
        match &mut self.newest {
            Some((newest, _)) if start < *newest => {
                let at = self.older.partition_point(|(other, _)| *other < start);
                self.older.insert(at, (start, stored));
            }
            newest => self.older.extend(newest.replace((start, stored))),
        }
    }

    /// Where the oldest slice begins.
    pub(super) fn oldest(&self) -> Option<i64> {
        let oldest = self.older.first().or(self.newest.as_ref());
        oldest.map(|(start, _)| *start)
    }

    /// What the slices from `start` to before `end` have together. Those before `kept_from` go.
    pub(super) fn window<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        end: i64,
        kept_from: i64,
        window: &W,
    ) -> Result<Option<C::Output>>
    where
        S: Clone,
    {
        let mut gathered: Option<S> = None;
        let count = self.older.partition_point(|(other, _)| *other < kept_from);
        for (at, stored) in self.older.drain(..count) {
            if at >= start {
                gather(contents, &mut gathered, stored)?;
            }
        }
        for (_, stored) in self.older.iter().take_while(|(at, _)| *at < end) {
            gather(contents, &mut gathered, stored.clone())?;
        }
        match &self.newest {
            Some((at, _)) if *at < kept_from => {
                if let Some((at, stored)) = self.newest.take()
                    && at >= start
                {
                    gather(contents, &mut gathered, stored)?;
                }
            }
            Some((at, stored)) if *at < end => gather(contents, &mut gathered, stored.clone())?,
            _ => {}
        }
        if self.newest.is_none() {
            self.newest = self.older.pop();
        }
        Ok(gathered.map(|gathered| contents.emit_last(gathered, window)))
    }
}

fn gather<T, W, C: Contents<T, W>>(
    contents: &C,
    gathered: &mut Option<C::Stored>,
    stored: C::Stored,
) -> Result<()> {
    match gathered {
        Some(gathered) => contents.merge(gathered, stored),
        none => {
            *none = Some(stored);
            Ok(())
        }
    }
}
