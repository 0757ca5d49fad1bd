//! Takes the records that a user function emits.

use crate::link::Link;
use crate::outlets::{Outlets, Sides};
use crate::output_tag::OutputTag;
use snapline_core::{Batch, Data, Error, Result, Timestamp};

/// Takes the records that a user function emits and sends them on in batches.
#[derive(Debug)]
pub struct Collector<'a, U> {
    batch: &'a mut Batch<U>,
    next: Downstream<'a, U>,
    /// `None` for operators without side outputs.
    sides: Option<&'a mut Sides>,
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
            sides: None,
            limit,
            timestamp: None,
            failure: None,
        }
    }

    /// The same for an operator with side outputs.
    pub(crate) fn with_sides(batch: &'a mut Batch<U>, outlets: &'a mut Outlets<U>, limit: usize) -> Self {
        Self {
            sides: Some(&mut outlets.sides),
            ..Self::new(batch, &mut *outlets.results, limit)
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

    /// Sends a record to a side output, which [`DataStream::side_output`](crate::DataStream::side_output) makes a stream.
    /// It has the timestamp that a result would have. When nobody has asked for the side output it is dropped.
    ///
    /// Between results and what goes aside there is no order. A record finds its side output by the name of the tag: that
    /// costs a comparison for each side output of the operator.
    ///
    /// ```
    /// # use snapline_dataflow::{Collector, DataStream, OutputTag};
    /// /// Numbers, and the lines that are none.
    /// fn numbers(lines: &DataStream<String>) -> (DataStream<u64>, DataStream<String>) {
    ///     let wrong = OutputTag::new("wrong");
    ///     let numbers = {
    ///         let wrong = wrong.clone();
    ///         lines.flat_map(move |line: String, out: &mut Collector<'_, u64>| match line.parse() {
    ///             Ok(number) => out.collect(number),
    ///             Err(_) => out.side_output(&wrong, line),
    ///         })
    ///     };
    ///     let wrong = numbers.side_output(&wrong);
    ///     (numbers, wrong)
    /// }
    /// ```
    pub fn side_output<S: Data>(&mut self, tag: &OutputTag<S>, record: S) {
        let Some(sides) = &mut self.sides else { return };
        let sent = sides.send(tag, record, self.timestamp, self.limit);
        if let Err(error) = sent {
            self.failure.get_or_insert(error);
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
        self.failure.map_or(Ok(()), Err)?;
        self.sides.map_or(Ok(()), Sides::flush)
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
