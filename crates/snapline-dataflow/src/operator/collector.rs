//! Takes the records that a user function emits.

use crate::link::Link;
use snapline_core::{Batch, Error, Result, Timestamp};

/// Takes the records that a user function emits and sends them on in batches.
#[derive(Debug)]
pub struct Collector<'a, U> {
    batch: &'a mut Batch<U>,
    next: Downstream<'a, U>,
    limit: usize,
    timestamp: Option<Timestamp>,
    failure: Option<Error>,
}

struct Downstream<'a, U>(&'a mut dyn Link<U>);

impl<U> std::fmt::Debug for Downstream<'_, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Downstream")
    }
}

impl<'a, U> Collector<'a, U> {
    pub(crate) fn new(batch: &'a mut Batch<U>, next: &'a mut dyn Link<U>, limit: usize) -> Self {
        Self {
            batch,
            next: Downstream(next),
            limit,
            timestamp: None,
            failure: None,
        }
    }

    /// Emits a record.
    #[inline]
    pub fn collect(&mut self, record: U) {
        self.batch.records.push(record);
        if let (Some(column), Some(timestamp)) = (&mut self.batch.timestamps, self.timestamp) {
            column.push(timestamp);
        }
        if self.batch.records.len() >= self.limit {
            self.send();
        }
    }

    /// The records that follow have this timestamp.
    #[inline]
    pub(crate) fn at(&mut self, timestamp: Option<Timestamp>) {
        self.timestamp = timestamp;
        if timestamp.is_some() != self.batch.timestamps.is_some() {
            self.change_columns();
        }
    }

    /// Begins or ends the column of timestamps, with a new batch.
    #[cold]
    fn change_columns(&mut self) {
        if !self.batch.is_empty() {
            self.send();
        }
        self.batch.timestamps = self.timestamp.map(|_| Vec::new());
    }

    /// Sends what is left.
    pub(crate) fn finish(mut self) -> Result<()> {
        if !self.batch.is_empty() {
            self.send();
        }
        self.failure.map_or(Ok(()), Err)
    }

    /// Lets what is left wait for more.
    pub(crate) fn pause(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }

    #[cold]
    fn send(&mut self) {
        if self.failure.is_none() {
            self.failure = self.next.0.on_batch(self.batch).err();
        }
        self.batch.clear();
        if self.timestamp.is_some() {
            self.batch.timestamps.get_or_insert_default();
        }
    }
}
