//! Records computed from their position.

use crate::range::{Range, RangeEnumerator, RangeReader, RangeSplit};
use crate::source::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::{Data, Result};
use std::sync::Arc;

/// Computes each record from its number.
///
/// With an end, each reader has a contiguous part of the numbers; without, they take turns.
///
/// Exactly once, provided that the function depends on nothing but the number: records that were in
/// flight at a crash are computed again.
///
/// # Examples
/// ```
/// let users = snapline_connector::GeneratorSource::new(1_000, |n| (n % 7, 1_u64));
/// let endless = snapline_connector::GeneratorSource::unbounded(|n| n * n);
/// ```
pub struct GeneratorSource<F> {
    count: Option<u64>,
    record: Arc<F>,
}

impl<F> GeneratorSource<F> {
    /// The records of the numbers from 0 to before `count`.
    pub fn new<T>(count: u64, record: F) -> Self
    where
        F: Fn(u64) -> T,
    {
        Self {
            count: Some(count),
            record: Arc::new(record),
        }
    }

    /// The records of all numbers from 0 on.
    pub fn unbounded<T>(record: F) -> Self
    where
        F: Fn(u64) -> T,
    {
        Self {
            count: None,
            record: Arc::new(record),
        }
    }
}

impl<T: Data, F: Fn(u64) -> T + Send + Sync + 'static> Source for GeneratorSource<F> {
    type Item = T;
    type Split = RangeSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<RangeSplit>>> {
        let range = Range {
            first: 0,
            count: self.count,
            content: 0,
        };
        Ok(Box::new(RangeEnumerator(move || Ok(range))))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, RangeSplit>>> {
        let record = Arc::clone(&self.record);
        Ok(Box::new(RangeReader::new(move |number| record(number))))
    }
}

impl<F> std::fmt::Debug for GeneratorSource<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GeneratorSource")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
