//! Which of its records a window lets go of.

use super::alignment::length;
use serde::{Deserialize, Serialize};
use snapline_core::Timestamp;
use std::time::Duration;

/// A record in a window, with its timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a record and its time are all there is")]
pub struct Timed<T> {
    /// The record.
    pub record: T,
    /// Its timestamp, if it has one.
    pub timestamp: Option<Timestamp>,
}

/// Removes records from a window when its contents are emitted, before or after that. A window with an evictor keeps
/// all its records, in the order in which they have come, also for functions that need only a sum.
///
/// ```
/// use snapline_dataflow::{Evictor, Timed};
///
/// /// Numbers below zero do not count.
/// struct Positive;
///
/// impl<W> Evictor<i64, W> for Positive {
///     fn evict_before(&self, elements: &mut Vec<Timed<i64>>, _: &W) {
///         elements.retain(|element| element.record >= 0);
///     }
/// }
/// ```
pub trait Evictor<T, W>: Send + Sync + 'static {
    /// Removes records that are not to be emitted.
    fn evict_before(&self, elements: &mut Vec<Timed<T>>, window: &W) {
        let _ = (elements, window);
    }

    /// Removes records that were emitted.
    fn evict_after(&self, elements: &mut Vec<Timed<T>>, window: &W) {
        let _ = (elements, window);
    }
}

/// When records are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

/// Keeps the newest records.
#[derive(Debug, Clone, Copy)]
pub struct CountEvictor {
    count: usize,
    when: When,
}

impl CountEvictor {
    /// Keeps the newest `count` records, and removes the others before the contents are emitted.
    pub fn of(count: usize) -> Self {
        let when = When::Before;
        Self { count, when }
    }

    /// Removes the others after the contents were emitted.
    #[must_use]
    pub fn after(self) -> Self {
        let when = When::After;
        Self { when, ..self }
    }

    fn evict<T>(&self, elements: &mut Vec<Timed<T>>) {
        elements.drain(..elements.len().saturating_sub(self.count));
    }
}

impl<T: Send + Sync + 'static, W> Evictor<T, W> for CountEvictor {
    fn evict_before(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        if self.when == When::Before {
            self.evict(elements);
        }
    }

    fn evict_after(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        if self.when == When::After {
            self.evict(elements);
        }
    }
}

/// Keeps the records that are not much earlier than the latest. Records without timestamps all stay.
#[derive(Debug, Clone, Copy)]
pub struct TimeEvictor {
    millis: u64,
    when: When,
}

impl TimeEvictor {
    /// Keeps the records that are earlier than the latest by no more than `period`, in whole milliseconds, and
    /// removes the others before the contents are emitted.
    pub fn of(period: Duration) -> Self {
        let (millis, when) = (length(period).unsigned_abs(), When::Before);
        Self { millis, when }
    }

    /// Removes the others after the contents were emitted.
    #[must_use]
    pub fn after(self) -> Self {
        let when = When::After;
        Self { when, ..self }
    }

    fn evict<T>(&self, elements: &mut Vec<Timed<T>>) {
        let Some(latest) = elements.iter().filter_map(|element| element.timestamp).max() else {
            return;
        };
        let earliest = latest.minus_millis(self.millis);
        elements.retain(|element| element.timestamp.is_none_or(|at| at > earliest));
    }
}

impl<T: Send + Sync + 'static, W> Evictor<T, W> for TimeEvictor {
    fn evict_before(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        if self.when == When::Before {
            self.evict(elements);
        }
    }

    fn evict_after(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        if self.when == When::After {
            self.evict(elements);
        }
    }
}

/// Keeps the records that do not differ much from the newest.
#[derive(Debug, Clone, Copy)]
pub struct DeltaEvictor<F> {
    threshold: f64,
    delta: F,
    when: When,
}

impl<F> DeltaEvictor<F> {
    /// Keeps the records for which `delta`, from them to the newest, is less than `threshold`, and removes the
    /// others before the contents are emitted.
    pub fn of<T>(threshold: f64, delta: F) -> Self
    where
        F: Fn(&T, &T) -> f64,
    {
        Self {
            threshold,
            delta,
            when: When::Before,
        }
    }

    /// Removes the others after the contents were emitted.
    #[must_use]
    pub fn after(self) -> Self {
        let when = When::After;
        Self { when, ..self }
    }

    fn evict<T>(&self, elements: &mut Vec<Timed<T>>)
    where
        F: Fn(&T, &T) -> f64,
    {
        let Some(newest) = elements.pop() else { return };
        elements.retain(|element| (self.delta)(&element.record, &newest.record) < self.threshold);
        elements.push(newest);
    }
}

impl<T: Send + Sync + 'static, W, F> Evictor<T, W> for DeltaEvictor<F>
where
    F: Fn(&T, &T) -> f64 + Send + Sync + 'static,
{
    fn evict_before(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        if self.when == When::Before {
            self.evict(elements);
        }
    }

    fn evict_after(&self, elements: &mut Vec<Timed<T>>, _: &W) {
        if self.when == When::After {
            self.evict(elements);
        }
    }
}
