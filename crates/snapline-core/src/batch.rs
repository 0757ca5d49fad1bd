//! Records travel in batches, stored by column.

use crate::data::Data;
use crate::encoding::{decode, encode_into};
use crate::error::{Error, Result};
use crate::time::Timestamp;
use std::any::Any;

/// A run of records of one type with optional columns beside them.
///
/// A column that is present is as long as `records`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// The records, in stream order.
    pub records: Vec<T>,
    /// The event time of each record.
    pub timestamps: Option<Vec<Timestamp>>,
    /// The stable hash of each record's key, on keyed streams.
    pub hashes: Option<Vec<u64>>,
}

impl<T> Batch<T> {
    /// An empty batch without columns.
    pub fn new() -> Self {
        Self::from(Vec::new())
    }

    /// An empty batch with room for this many records.
    pub fn with_capacity(records: usize) -> Self {
        Self::from(Vec::with_capacity(records))
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Takes the records from position `at` on, with the columns beside them, as a batch of their own.
    ///
    /// # Panics
    /// When there are fewer records than `at`.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        Self {
            records: self.records.split_off(at),
            timestamps: self.timestamps.as_mut().map(|column| column.split_off(at)),
            hashes: self.hashes.as_mut().map(|column| column.split_off(at)),
        }
    }

    /// Removes the records and empties the columns, keeping the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        if let Some(timestamps) = &mut self.timestamps {
            timestamps.clear();
        }
        if let Some(hashes) = &mut self.hashes {
            hashes.clear();
        }
    }
}

impl<T: Data> Batch<T> {
    /// The batch that [`AnyBatch::encode_into`] has encoded.
    ///
    /// # Errors
    /// `Corrupted` when the bytes are anything else, or a column is not as long as the records.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let (records, timestamps, hashes): Columns<T> = decode(bytes)?;
        let fits = |length: Option<usize>| length.is_none_or(|length| length == records.len());
        if fits(timestamps.as_ref().map(Vec::len)) && fits(hashes.as_ref().map(Vec::len)) {
            return Ok(Self {
                records,
                timestamps,
                hashes,
            });
        }
        Err(Error::corrupted(
            "a column of an encoded batch is not as long as its records",
        ))
    }
}

type Columns<T> = (Vec<T>, Option<Vec<Timestamp>>, Option<Vec<u64>>);

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<Vec<T>> for Batch<T> {
    fn from(records: Vec<T>) -> Self {
        Self {
            records,
            timestamps: None,
            hashes: None,
        }
    }
}

/// A batch whose record type is known only to the two operators at the ends of a channel.
pub trait AnyBatch: Send {
    /// How many records there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory of the columns themselves in bytes, without what records own elsewhere.
    fn size(&self) -> usize;

    /// Appends the encoded records and columns, for a snapshot that contains what is in flight.
    /// [`Batch::decode`] reads them again.
    ///
    /// # Errors
    /// `Invalid` when a record cannot be encoded.
    fn encode_into(&self, out: &mut Vec<u8>) -> Result<()>;

    /// The batch as `Any`, to find its record type again.
    fn as_any_mut(&mut self) -> &mut dyn Any;

    /// The box as `Any`, to find its record type again and keep it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

/// A batch on its way between two tasks.
pub type BoxedBatch = Box<dyn AnyBatch>;

impl<T: Data> AnyBatch for Batch<T> {
    fn len(&self) -> usize {
        self.records.len()
    }

    fn size(&self) -> usize {
        let columns = usize::from(self.timestamps.is_some()) + usize::from(self.hashes.is_some());
        self.records.len() * (size_of::<T>() + 8 * columns)
    }

    fn encode_into(&self, out: &mut Vec<u8>) -> Result<()> {
        encode_into(&(&self.records, &self.timestamps, &self.hashes), out)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }
}

impl std::fmt::Debug for dyn AnyBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch({} records)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boxed_batch_finds_its_type_again() {
        let mut boxed: BoxedBatch = Box::new(Batch::from(vec![1_u64, 2]));
        assert_eq!((boxed.len(), boxed.size()), (2, 16));
        assert!(boxed.as_any_mut().downcast_mut::<Batch<String>>().is_none());
        let batch = boxed.as_any_mut().downcast_mut::<Batch<u64>>().unwrap();
        batch.hashes = Some(vec![5, 6]);
        batch.clear();
        assert_eq!(
            batch,
            &Batch {
                records: vec![],
                timestamps: None,
                hashes: Some(vec![])
            }
        );
    }

    #[test]
    fn the_columns_are_split_with_the_records() {
        let batch = |range: std::ops::Range<u64>| Batch {
            records: range.clone().collect(),
            timestamps: Some(range.clone().map(|record| Timestamp(record as i64)).collect()),
            hashes: Some(range.map(|record| record * 7).collect()),
        };
        let mut first = batch(0..5);
        assert_eq!(first.split_off(2), batch(2..5));
        assert_eq!(first, batch(0..2));
    }

    #[test]
    fn an_encoded_batch_is_read_again_and_damage_is_an_error() {
        let batch = Batch {
            records: vec!["a".to_owned(), "bc".to_owned()],
            timestamps: Some(vec![Timestamp(-1), Timestamp(7)]),
            hashes: Some(vec![5, u64::MAX]),
        };
        let mut bytes = Vec::new();
        batch.encode_into(&mut bytes).unwrap();
        assert_eq!(Batch::<String>::decode(&bytes).unwrap(), batch);
        for length in 0..bytes.len() {
            assert!(Batch::<String>::decode(&bytes[..length]).is_err(), "{length}");
        }
        let short = (vec![1_u64], Some(Vec::<Timestamp>::new()), None::<Vec<u64>>);
        let mut bytes = Vec::new();
        encode_into(&short, &mut bytes).unwrap();
        assert!(Batch::<u64>::decode(&bytes).is_err());
    }
}
