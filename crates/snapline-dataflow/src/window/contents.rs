//! What is stored of a window, and what of it is emitted.

use super::evictor::{Evictor, Timed};
use snapline_core::{Data, Result, Timestamp};
use snapline_state::AggregateFunction;
use std::sync::Arc;

/// How the records of a window are gathered.
pub(crate) trait Contents<T, W>: Clone + Send + Sync + 'static {
    /// What is stored.
    type Stored: Data;
    /// What the function of the window is given.
    type Output;

    /// What is stored of a first record.
    fn first(&self, record: T, timestamp: Option<Timestamp>) -> Self::Stored;

    /// Adds a record.
    fn add(&self, stored: &mut Self::Stored, record: T, timestamp: Option<Timestamp>);

    /// Adds what another window has stored.
    ///
    /// # Errors
    /// `Unsupported` when the function of the user does not merge.
    fn merge(&self, stored: &mut Self::Stored, other: Self::Stored) -> Result<()>;

    /// What is emitted; the window goes on.
    fn emit(&self, stored: &mut Self::Stored, window: &W) -> Self::Output;

    /// What is emitted last.
    fn emit_last(&self, mut stored: Self::Stored, window: &W) -> Self::Output {
        self.emit(&mut stored, window)
    }

    /// Whether it makes no difference in which order parts of a window are [merged](Self::merge).
    fn is_divisible(&self) -> bool {
        false
    }

    /// Whether what is stored takes more and more room with the records, so that parts of a window should not be kept
    /// more than once.
    fn grows(&self) -> bool {
        true
    }

    /// Says whether windows can be [merged](Self::merge).
    ///
    /// # Errors
    /// As there.
    fn check_merge(&self) -> Result<()> {
        Ok(())
    }
}

/// One record into which the others are combined.
#[derive(Clone)]
pub(crate) struct Reduced<F>(pub(crate) F);

impl<T, W, F> Contents<T, W> for Reduced<F>
where
    T: Data,
    F: Fn(&mut T, T) + Clone + Send + Sync + 'static,
{
    type Stored = T;
    type Output = T;

    fn first(&self, record: T, _: Option<Timestamp>) -> T {
        record
    }

    fn add(&self, stored: &mut T, record: T, _: Option<Timestamp>) {
        (self.0)(stored, record);
    }

    fn merge(&self, stored: &mut T, other: T) -> Result<()> {
        (self.0)(stored, other);
        Ok(())
    }

    fn is_divisible(&self) -> bool {
        true
    }

    fn grows(&self) -> bool {
        false
    }

    fn emit(&self, stored: &mut T, _: &W) -> T {
        stored.clone()
    }

    fn emit_last(&self, stored: T, _: &W) -> T {
        stored
    }
}

/// An accumulator.
#[derive(Clone)]
pub(crate) struct Aggregated<A>(pub(crate) A);

impl<W, A> Contents<A::Input, W> for Aggregated<A>
where
    A: AggregateFunction + Clone + Send + Sync + 'static,
{
    type Stored = A::Accumulator;
    type Output = A::Output;

    fn first(&self, record: A::Input, _: Option<Timestamp>) -> A::Accumulator {
        let mut accumulator = self.0.create_accumulator();
        self.0.add(&mut accumulator, record);
        accumulator
    }

    fn add(&self, stored: &mut A::Accumulator, record: A::Input, _: Option<Timestamp>) {
        self.0.add(stored, record);
    }

    fn merge(&self, stored: &mut A::Accumulator, other: A::Accumulator) -> Result<()> {
        self.0.merge(stored, other)
    }

    fn emit(&self, stored: &mut A::Accumulator, _: &W) -> A::Output {
        self.0.result(stored)
    }

    fn is_divisible(&self) -> bool {
        Contents::<A::Input, W>::check_merge(self).is_ok()
    }

    /// What has nothing to let go of is all in one place.
    fn grows(&self) -> bool {
        std::mem::needs_drop::<A::Accumulator>()
    }

    fn check_merge(&self) -> Result<()> {
        let mut empty = self.0.create_accumulator();
        self.0.merge(&mut empty, self.0.create_accumulator())
    }
}

/// All records.
#[derive(Clone)]
pub(crate) struct Elements;

impl<T: Data, W> Contents<T, W> for Elements {
    type Stored = Vec<T>;
    type Output = Vec<T>;

    fn first(&self, record: T, _: Option<Timestamp>) -> Vec<T> {
        vec![record]
    }

    fn add(&self, stored: &mut Vec<T>, record: T, _: Option<Timestamp>) {
        stored.push(record);
    }

    fn merge(&self, stored: &mut Vec<T>, mut other: Vec<T>) -> Result<()> {
        stored.append(&mut other);
        Ok(())
    }

    fn emit(&self, stored: &mut Vec<T>, _: &W) -> Vec<T> {
        stored.clone()
    }

    fn emit_last(&self, stored: Vec<T>, _: &W) -> Vec<T> {
        stored
    }
}

/// All records with their times, of which an evictor removes some and the others are gathered when they are emitted.
pub(crate) struct Evicted<T, W, C> {
    pub(crate) evictor: Arc<dyn Evictor<T, W>>,
    pub(crate) contents: C,
}

impl<T, W, C: Clone> Clone for Evicted<T, W, C> {
    fn clone(&self) -> Self {
        Self {
            evictor: self.evictor.clone(),
            contents: self.contents.clone(),
        }
    }
}

impl<T: Data, W: 'static, C: Contents<T, W>> Contents<T, W> for Evicted<T, W, C> {
    type Stored = Vec<Timed<T>>;
    type Output = Option<C::Output>;

    fn first(&self, record: T, timestamp: Option<Timestamp>) -> Vec<Timed<T>> {
        vec![Timed { record, timestamp }]
    }

    fn add(&self, stored: &mut Vec<Timed<T>>, record: T, timestamp: Option<Timestamp>) {
        stored.push(Timed { record, timestamp });
    }

    fn merge(&self, stored: &mut Vec<Timed<T>>, mut other: Vec<Timed<T>>) -> Result<()> {
        stored.append(&mut other);
        Ok(())
    }

    /// Nothing when the evictor leaves nothing.
    fn emit(&self, stored: &mut Vec<Timed<T>>, window: &W) -> Option<C::Output> {
        self.evictor.evict_before(stored, window);
        let mut gathered: Option<C::Stored> = None;
        for Timed { record, timestamp } in stored.iter().cloned() {
            match &mut gathered {
                Some(gathered) => self.contents.add(gathered, record, timestamp),
                None => gathered = Some(self.contents.first(record, timestamp)),
            }
        }
        self.evictor.evict_after(stored, window);
        gathered.map(|gathered| self.contents.emit_last(gathered, window))
    }
}
