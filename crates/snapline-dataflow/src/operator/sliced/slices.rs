//! The slices of one key.

mod past;

use crate::operator::once::OpenWindows;
use crate::window::contents::Contents;
use past::Past;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Result, Timestamp};

/// What is stored of the slices of a key, each under the time at which it begins, and when the next of its windows
/// ends. The newest slice, into which most records go, is where the key is, until a window with it has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Slices<S> {
    due: i64,
    /// Where the newest slice begins, whether it is here or not: no other begins later.
    last: i64,
    newest: Option<S>,
    /// The others. Windows that do not overlap have hardly ever any.
    past: Option<Box<Past<S>>>,
}

/// From when until when a window is, and from when on slices are in later windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) kept_from: i64,
}

impl<S: Data> OpenWindows for Slices<S> {
    const STATE: &'static str = "slices";

    #[inline]
    fn due(&self) -> i64 {
        self.due
    }
}

impl<S: Data> Slices<S> {
    pub(super) fn new(due: i64, start: i64, stored: S) -> Self {
        Self {
            due,
            last: start,
            newest: Some(stored),
            past: None,
        }
    }

    pub(super) fn set_due(&mut self, due: i64) {
        self.due = due;
    }

    /// Adds a record to the slice that begins at `start`. The record comes back when there is none.
    #[inline]
    pub(super) fn add<T: Data, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        record: T,
        at: Timestamp,
    ) -> Option<T> {
        match (&mut self.newest, &mut self.past) {
            (Some(stored), _) if start == self.last => {
                contents.add(stored, record, Some(at));
                None
            }
            (_, Some(past)) if start <= self.last => past.add(contents, start, record, at),
            _ => Some(record),
        }
    }

    /// Adds a slice that is not there yet.
    ///
    /// # Errors
    /// As [`Contents::merge`].
    pub(super) fn insert<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        stored: S,
    ) -> Result<()> {
        if start < self.last {
            return self.insert_past(contents, start, stored);
        }
        let last = std::mem::replace(&mut self.last, start);
        match self.newest.replace(stored) {
            Some(newest) => self.insert_past(contents, last, newest),
            None => Ok(()),
        }
    }

    fn insert_past<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        start: i64,
        stored: S,
    ) -> Result<()> {
        let past = self.past.get_or_insert_default();
        past.insert(contents, start, stored)
    }

    /// Starts to fetch what the next window needs besides.
    #[inline]
    pub(super) fn fetch(&self) {
        self.past.iter().for_each(|past| past.fetch());
    }

    /// Where the oldest slice begins.
    pub(super) fn oldest(&self) -> Option<i64> {
        let oldest = self.past.as_ref().and_then(|past| past.oldest());
        oldest.or(self.newest.as_ref().map(|_| self.last))
    }

    /// What the slices of a window have together. Those that are in no later window go.
    ///
    /// # Errors
    /// As [`Contents::merge`].
    pub(super) fn window<T, W, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        span: Span,
        window: &W,
    ) -> Result<Option<C::Output>> {
        if (span.kept_from..span.end).contains(&self.last)
            && let Some(stored) = self.newest.take()
        {
            self.insert_past(contents, self.last, stored)?;
        }
        let mut gathered: Option<S> = None;
        if let Some(past) = &mut self.past {
            past.gather(contents, span, &mut gathered)?;
            if past.oldest().is_none() {
                self.past = None;
            }
        }
        if self.last < span.kept_from
            && let Some(stored) = self.newest.take()
            && (span.start..span.end).contains(&self.last)
        {
            gather(contents, &mut gathered, stored)?;
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

#[cfg(test)]
mod tests;
