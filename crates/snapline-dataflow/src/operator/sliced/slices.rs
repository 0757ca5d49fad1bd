//! The slices of one key.

mod past;

use crate::operator::once::OpenWindows;
use crate::window::contents::Contents;
use past::Past;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Result, Timestamp};

/// What is stored of the slices of a key, each under the time at which it begins, and when the next of its windows
/// ends. The newest slice, into which most records go, is where the key is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Slices<S> {
    due: i64,
    newest: Option<(i64, S)>,
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
            newest: Some((start, stored)),
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
            (Some((newest, stored)), _) if *newest == start => {
                contents.add(stored, record, Some(at));
                None
            }
            (_, Some(past)) => past.add(contents, start, record, at),
            (_, None) => Some(record),
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
        let earlier = match &mut self.newest {
            Some((newest, _)) if start < *newest => Some((start, stored)),
            newest => newest.replace((start, stored)),
        };
        match earlier {
            Some((start, stored)) => self.past.get_or_insert_default().insert(contents, start, stored),
            None => Ok(()),
        }
    }

    /// Where the oldest slice begins.
    pub(super) fn oldest(&self) -> Option<i64> {
        let oldest = self.past.as_ref().and_then(|past| past.oldest());
        oldest.or(self.newest.as_ref().map(|(start, _)| *start))
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
        let mut gathered: Option<S> = None;
        if let Some(past) = &mut self.past {
            past.gather(contents, span, &mut gathered)?;
            if past.oldest().is_none() {
                self.past = None;
            }
        }
        match &self.newest {
            Some((at, _)) if *at < span.kept_from => {
                if let Some((at, stored)) = self.newest.take()
                    && at >= span.start
                {
                    gather(contents, &mut gathered, stored)?;
                }
            }
            Some((at, stored)) if *at < span.end => gather(contents, &mut gathered, stored.clone())?,
            _ => {}
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
