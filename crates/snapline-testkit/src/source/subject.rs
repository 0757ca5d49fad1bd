//! The source that is checked, and what is known of it.

use super::reading::{encoded, stored};
use futures::executor::block_on;
use snapline_connector::{DiscoveryContext, Source};
use snapline_core::Result;
use std::fmt;
use std::sync::Arc;

type Make<S> = Arc<dyn Fn() -> S + Send + Sync>;
type Acknowledged<S> = Arc<dyn Fn(&S) -> u64 + Send + Sync>;

/// A source that is to be checked: how to make it, and the records that are in it.
///
/// A job that restarts in the same process goes on with the same source; cases that need another process make another
/// one.
#[derive(Clone)]
pub struct Subject<S: Source> {
    make: Make<S>,
    records: Vec<S::Item>,
    changed: Vec<Make<S>>,
    acknowledged: Option<Acknowledged<S>>,
    is_volatile: bool,
}

impl<S: Source> Subject<S> {
    /// A source that has exactly these records, in any order, whenever it is made. A few are enough, in several splits where
    /// it can have several. What the closure owns, such as a temporary folder, lives as long as the subject.
    pub fn new(
        make: impl Fn() -> S + Send + Sync + 'static,
        records: impl IntoIterator<Item = S::Item>,
    ) -> Self {
        Self {
            make: Arc::new(make),
            records: records.into_iter().collect(),
            changed: Vec::new(),
            acknowledged: None,
            is_volatile: false,
        }
    }

    /// Makes a source that must not go on from a checkpoint of this one. May be called several times.
    #[must_use]
    pub fn refusing(mut self, changed: impl Fn() -> S + Send + Sync + 'static) -> Self {
        self.changed.push(Arc::new(changed));
        self
    }

    /// Says how many records the source has acknowledged upstream, so that they cannot be read again.
    #[must_use]
    pub fn acknowledged_by(self, acknowledged: impl Fn(&S) -> u64 + Send + Sync + 'static) -> Self {
        Self {
            acknowledged: Some(Arc::new(acknowledged)),
            ..self
        }
    }

    /// Says that the records end with the process, so that another one cannot go on with them.
    #[must_use]
    pub fn volatile(self) -> Self {
        Self {
            is_volatile: true,
            ..self
        }
    }

    pub(super) fn source(&self) -> S {
        (self.make)()
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = S> {
        self.changed.iter().map(|make| make())
    }

    pub(super) fn acknowledged(&self, source: &S) -> Option<u64> {
        self.acknowledged.as_ref().map(|count| count(source))
    }

    pub(super) fn is_volatile(&self) -> bool {
        self.is_volatile
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn last(&self) -> Option<S::Item> {
        self.records.last().cloned()
    }

    /// Checks that these are all records of the source, in any order.
    pub(super) fn assert_all(&self, found: &[S::Item], when: impl fmt::Display)
    where
        S::Item: fmt::Debug,
    {
        let sorted = |records: &[S::Item]| {
            let mut all: Vec<_> = records.iter().map(encoded).collect();
            all.sort();
            all
        };
        assert!(
            sorted(found) == sorted(&self.records),
            "{when}: read {found:?} where the source has {:?}",
            self.records
        );
    }
}

/// Finds the splits of a source for a job that starts at the beginning.
pub(super) fn discover<S: Source>(source: &S, parallelism: u32) -> Vec<S::Split> {
    let mut enumerator = source.enumerator().unwrap();
    let splits = block_on(enumerator.discover(&DiscoveryContext { parallelism })).unwrap();
    stored(&splits)
}

/// Asks a source whether it can go on with these splits of a checkpoint.
pub(super) fn verify<S: Source>(source: &S, splits: &[S::Split]) -> Result<()> {
    block_on(source.enumerator()?.verify(splits))
}

impl<S: Source> fmt::Debug for Subject<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("source", &std::any::type_name::<S>())
            .field("records", &self.records.len())
            .finish_non_exhaustive()
    }
}
