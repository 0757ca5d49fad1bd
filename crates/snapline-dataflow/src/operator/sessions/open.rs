//! The sessions of one key that have not ended.

use crate::operator::once::OpenWindows;
use crate::window::Window;
use crate::window::contents::Contents;
use serde::{Deserialize, Serialize};
use snapline_core::{Data, Result, Timestamp};

/// The open sessions of a key with what is stored of each, and when to look at them again: when the first ends, or
/// before. The newest session, into which most records go, is where the key is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OpenSessions<W, S> {
    due: i64,
    newest: Option<(W, S)>,
    /// The others, in order. No two belong together.
    older: Vec<(W, S)>,
}

/// A record with its window and its timestamp.
pub(super) struct Arrival<W, T> {
    pub(super) window: W,
    pub(super) record: T,
    pub(super) at: Timestamp,
}

/// Where a window ends: when a watermark is at the last time before, it has ended.
pub(super) fn end<W: Window>(window: &W) -> i64 {
    window.max_timestamp().0.saturating_add(1)
}

impl<W: Window, S: Data> OpenWindows for OpenSessions<W, S> {
    const STATE: &'static str = "sessions";

    #[inline]
    fn due(&self) -> i64 {
        self.due
    }
}

impl<W: Window, S> OpenSessions<W, S> {
    pub(super) fn new(window: W, stored: S) -> Self {
        Self {
            due: end(&window),
            newest: Some((window, stored)),
            older: Vec::new(),
        }
    }

    /// Adds a record to the session that its window belongs to, which may make one of several. The record comes back when
    /// there is none.
    ///
    /// # Errors
    /// As [`Contents::merge`].
    #[inline]
    pub(super) fn add<T, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        arrival: Arrival<W, T>,
    ) -> Result<Option<Arrival<W, T>>> {
        if self.older.is_empty() {
            let Some((newest, stored)) = &mut self.newest else {
                return Ok(Some(arrival));
            };
            let Some(cover) = newest.merged_with(&arrival.window) else {
                return Ok(Some(arrival));
            };
            *newest = cover;
            contents.add(stored, arrival.record, Some(arrival.at));
            return Ok(None);
        }
        self.merge(contents, arrival)
    }

    /// The same when there are several sessions.
    fn merge<T, C: Contents<T, W, Stored = S>>(
        &mut self,
        contents: &C,
        arrival: Arrival<W, T>,
    ) -> Result<Option<Arrival<W, T>>> {
        self.older.extend(self.newest.take());
        let mut cover = arrival.window.clone();
        let mut merged: Option<S> = None;
        let mut apart = Vec::with_capacity(self.older.len() + 1);
        for (window, stored) in self.older.drain(..) {
            match (cover.merged_with(&window), &mut merged) {
                (None, _) => apart.push((window, stored)),
                (Some(both), Some(merged)) => {
                    cover = both;
                    contents.merge(merged, stored)?;
                }
                (Some(both), none) => {
                    cover = both;
                    *none = Some(stored);
                }
            }
        }
        self.older = apart;
        let rest = match merged {
            Some(mut merged) => {
                contents.add(&mut merged, arrival.record, Some(arrival.at));
                self.place(cover, merged);
                None
            }
            None => Some(arrival),
        };
        self.newest = self.newest.take().or_else(|| self.older.pop());
        Ok(rest)
    }

    /// Adds a session that belongs to no other. Returns when to look at them, if that is earlier because of it.
    pub(super) fn open(&mut self, window: W, stored: S) -> Option<i64> {
        let end = end(&window);
        self.older.extend(self.newest.take());
        self.place(window, stored);
        self.newest = self.older.pop();
        let is_earlier = end < self.due;
        self.due = self.due.min(end);
        is_earlier.then_some(end)
    }

    fn place(&mut self, window: W, stored: S) {
        let at = self.older.partition_point(|(other, _)| *other < window);
        self.older.insert(at, (window, stored));
    }

    /// Takes the session that ends here, if one does.
    pub(super) fn take_ended(&mut self, at: i64) -> Option<(W, S)> {
        let ended = |(window, _): &(W, S)| end(window) <= at;
        if let Some(found) = self.older.iter().position(ended) {
            return Some(self.older.remove(found));
        }
        let ended = self.newest.take_if(|newest| ended(newest))?;
        self.newest = self.older.pop();
        Some(ended)
    }

    /// When the first of them ends, which is when to look at them again; `None` when there are none.
    pub(super) fn look_again(&mut self) -> Option<i64> {
        let ends = self
            .older
            .iter()
            .chain(&self.newest)
            .map(|(window, _)| end(window));
        self.due = ends.min()?;
        Some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::TimeWindow;
    use crate::window::contents::Reduced;

    type Open = OpenSessions<TimeWindow, u64>;

    fn window(start: i64, end: i64) -> TimeWindow {
        TimeWindow::new(Timestamp(start), Timestamp(end))
    }

    fn told(open: &Open) -> String {
        let all = open.older.iter().chain(&open.newest);
        let tell = |(window, sum): &(TimeWindow, u64)| format!("{}-{}={sum}", window.start(), window.end());
        all.map(tell).collect::<Vec<_>>().join(" ")
    }

    /// Adds records of value 1 with these windows.
    fn opened(windows: &[(i64, i64)]) -> Open {
        let sums = Reduced(|sum: &mut u64, more: u64| *sum += more);
        let (first, rest) = windows.split_first().unwrap();
        let mut open = Open::new(window(first.0, first.1), 1);
        for (start, end) in rest {
            let arrival = Arrival {
                window: window(*start, *end),
                record: 1,
                at: Timestamp(*start),
            };
            if let Some(rest) = open.add(&sums, arrival).unwrap() {
                open.open(rest.window, rest.record);
            }
        }
        open
    }

    #[test]
    fn windows_that_touch_are_one_session_and_others_stay_in_order() {
        let cases: [(&[(i64, i64)], &str); 6] = [
            (&[(0, 5), (3, 8)], "0-8=2"),
            (&[(0, 5), (5, 9)], "0-9=2"),
            (&[(0, 5), (6, 9)], "0-5=1 6-9=1"),
            (&[(20, 25), (0, 5), (10, 15)], "0-5=1 10-15=1 20-25=1"),
            (&[(0, 5), (10, 15), (5, 10)], "0-15=3"),
            (&[(0, 5), (10, 15), (20, 25), (12, 17)], "0-5=1 10-17=2 20-25=1"),
        ];
        for (windows, expected) in cases {
            assert_eq!(told(&opened(windows)), expected, "{windows:?}");
        }
    }

    #[test]
    fn sessions_are_taken_when_they_end_and_looked_at_when_the_next_does() {
        let mut open = opened(&[(10, 15), (0, 5), (20, 25)]);
        assert_eq!(open.due(), 5);
        assert_eq!(open.take_ended(5), Some((window(0, 5), 1)));
        assert_eq!((open.take_ended(5), open.look_again()), (None, Some(15)));
        assert_eq!(open.take_ended(15), Some((window(10, 15), 1)));
        assert_eq!(open.take_ended(25), Some((window(20, 25), 1)));
        assert_eq!(open.look_again(), None);
    }

    #[test]
    fn a_session_that_has_become_longer_is_looked_at_and_left() {
        let mut open = opened(&[(0, 5), (4, 9)]);
        assert_eq!((open.due(), open.take_ended(5)), (5, None));
        assert_eq!(open.look_again(), Some(9));
    }
}
