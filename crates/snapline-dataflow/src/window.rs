//! Windows: finite parts of a keyed stream that are computed by themselves.
//!
//! A [`WindowAssigner`] says in which windows a record is, a [`Trigger`] when the contents of a window are
//! emitted, an [`Evictor`](evictor::Evictor) what of them. After Akidau et al., "The Dataflow Model", 2015.

pub(crate) mod alignment;
pub(crate) mod assigner;
pub(crate) mod contents;
pub(crate) mod evictor;
pub(crate) mod function;
pub(crate) mod global;
pub(crate) mod session;
pub(crate) mod slicing;
pub(crate) mod sliding;
pub(crate) mod trigger;
pub(crate) mod tumbling;

use serde::{Deserialize, Serialize};
use snapline_core::{Key, Timestamp};
use std::fmt::Debug;

/// A finite part of a stream.
///
/// A window is a namespace of the state of its key, so it is stored and ordered like one.
pub trait Window: Key + Ord + Sync + Debug {
    /// The latest timestamp that belongs to the window. Its results have this timestamp.
    fn max_timestamp(&self) -> Timestamp;

    /// The window that has both, when the two belong together. Asked only by assigners whose windows
    /// [merge](crate::WindowAssigner::is_merging).
    fn merged_with(&self, other: &Self) -> Option<Self> {
        let _ = other;
        None
    }
}

/// A window from one point in time to before another.
///
/// ```
/// use snapline_core::Timestamp;
/// use snapline_dataflow::{TimeWindow, Window};
///
/// let window = TimeWindow::new(Timestamp(0), Timestamp(5_000));
/// assert_eq!(window.max_timestamp(), Timestamp(4_999));
/// let touching = TimeWindow::new(Timestamp(5_000), Timestamp(7_000));
/// assert_eq!(window.merged_with(&touching), Some(TimeWindow::new(Timestamp(0), Timestamp(7_000))));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimeWindow {
    start: Timestamp,
    end: Timestamp,
}

impl TimeWindow {
    /// The time from `start` to before `end`; an end before the start counts as the start.
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self {
            start,
            end: end.max(start),
        }
    }

    /// The first point in time that belongs to the window.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The first point in time that does not belong to the window any more.
    pub fn end(&self) -> Timestamp {
        self.end
    }
}

impl Window for TimeWindow {
    fn max_timestamp(&self) -> Timestamp {
        self.end.minus_millis(1)
    }

    /// Windows that overlap or touch each other belong together.
    fn merged_with(&self, other: &Self) -> Option<Self> {
        (self.start <= other.end && other.start <= self.end).then(|| Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        })
    }
}

/// The one window with everything, which never ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GlobalWindow;

impl Window for GlobalWindow {
    fn max_timestamp(&self) -> Timestamp {
        Timestamp::MAX
    }
}
