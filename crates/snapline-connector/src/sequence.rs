//! Numbers in order.

use crate::range::{Range, RangeEnumerator, RangeReader, RangeSplit};
use crate::source::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::Result;

/// The numbers of a range, each reader a contiguous part of it.
///
/// Exactly once: positions are exact, and numbers that were in flight at a crash are counted again.
/// Resuming with another range is refused.
#[derive(Debug, Clone)]
pub struct SequenceSource {
    range: std::ops::Range<u64>,
}

impl SequenceSource {
    /// The numbers from `range.start` to before `range.end`.
    pub fn new(range: std::ops::Range<u64>) -> Self {
        Self { range }
    }
}

impl Source for SequenceSource {
    type Item = u64;
    type Split = RangeSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<RangeSplit>>> {
        let range = Range {
            first: self.range.start,
            count: Some(self.range.end.saturating_sub(self.range.start)),
            content: 0,
        };
        Ok(Box::new(RangeEnumerator(move || Ok(range))))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<u64, RangeSplit>>> {
        Ok(Box::new(RangeReader::new(|number| number)))
    }
}
