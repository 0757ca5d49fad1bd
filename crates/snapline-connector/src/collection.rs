//! Records that the program already has.

use crate::range::{Range, RangeEnumerator, RangeReader, RangeSplit};
use crate::source::{ReaderContext, Source, SourceReader, SplitEnumerator};
use snapline_core::{Data, Result, encode_into, stable_hash_bytes};
use std::sync::Arc;

/// The records of a `Vec`, each reader a contiguous part of it.
///
/// Exactly once: positions are exact, and records that were in flight at a crash are taken from the
/// collection again. Resuming with other records is refused: a checkpoint keeps a hash of them all.
#[derive(Debug)]
pub struct CollectionSource<T> {
    records: Arc<Vec<T>>,
}

impl<T> CollectionSource<T> {
    /// These records, in this order.
    pub fn new(records: impl IntoIterator<Item = T>) -> Self {
        Self {
            records: Arc::new(records.into_iter().collect()),
        }
    }
}

impl<T: Data + Sync> Source for CollectionSource<T> {
    type Item = T;
    type Split = RangeSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<RangeSplit>>> {
        let records = Arc::clone(&self.records);
        Ok(Box::new(RangeEnumerator(move || range_of(&records))))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, RangeSplit>>> {
        let records = Arc::clone(&self.records);
        let record = move |index: u64| records[index as usize].clone();
        Ok(Box::new(RangeReader::new(record)))
    }
}

fn range_of<T: Data>(records: &Vec<T>) -> Result<Range> {
    let mut encoded = Vec::new();
    encode_into(records, &mut encoded)?;
    Ok(Range {
        first: 0,
        count: Some(records.len() as u64),
        content: stable_hash_bytes(&encoded),
    })
}
