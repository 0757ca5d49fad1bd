//! The half of a reader that is in the task: it makes records of rows.

use super::fetch::{Fetch, Fetched};
use super::query::key_of;
use super::{Inlet, PostgresSplit, Read};
use futures::StreamExt;
use futures::channel::mpsc;
use snapline_connector::{Call, ReaderStatus, SourceReader};
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;
use tokio_postgres::Row;

/// How many pages wait for the reader.
const AHEAD: usize = 1;

pub(super) struct PostgresReader<T> {
    inlet: Arc<Inlet>,
    read: Read<T>,
    reading: Option<Reading>,
    waiting: VecDeque<PostgresSplit>,
}

/// A split that is read now.
struct Reading {
    split: PostgresSplit,
    /// The last row that was handed out since the split was begun.
    last: Option<Row>,
    rows: IntoIter<Row>,
    pages: mpsc::Receiver<Result<Fetched>>,
    /// Ends with this value.
    _fetch: Call<()>,
}

impl<T> PostgresReader<T> {
    pub(super) fn new(inlet: Arc<Inlet>, read: Read<T>) -> Self {
        Self {
            inlet,
            read,
            reading: None,
            waiting: VecDeque::new(),
        }
    }

    fn begin(&self, split: PostgresSplit) -> Result<Reading> {
        let (sender, pages) = mpsc::channel(AHEAD);
        let fetch = Fetch::new(self.inlet.clone());
        let fetched = split.clone();
        let fetch = self.inlet.events.start()?.call(async move {
            fetch.run(fetched, sender).await;
            Ok(())
        });
        Ok(Reading {
            split,
            last: None,
            rows: Vec::new().into_iter(),
            pages,
            _fetch: fetch,
        })
    }
}

impl Reading {
    /// The split as it is now.
    fn rest(&self) -> PostgresSplit {
        let after = self.last.as_ref().map(key_of);
        PostgresSplit {
            after: after.or_else(|| self.split.after.clone()),
            until: self.split.until.clone(),
        }
    }

    /// Appends up to this many records of the page. Whether there were any.
    fn hand_out<T>(
        &mut self,
        inlet: &Inlet,
        read: &Read<T>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Result<bool> {
        let before = batch.len();
        for row in self.rows.by_ref().take(limit) {
            let record = read(&row).map_err(|error| {
                let refused =
                    Error::invalid("a row cannot be read as a record; mend the row, or what reads it");
                inlet.query.name(refused).with("row", key_of(&row)).because(error)
            })?;
            batch.records.push(record);
            self.last = Some(row);
        }
        Ok(batch.len() > before)
    }
}

impl<T: Send> SourceReader<T, PostgresSplit> for PostgresReader<T> {
    fn add_splits(&mut self, splits: Vec<PostgresSplit>) {
        self.waiting.extend(splits);
    }

    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>> {
        loop {
            let Some(reading) = &mut self.reading else {
                let Some(split) = self.waiting.pop_front() else {
                    return Poll::Ready(Ok(ReaderStatus::EndOfData));
                };
                self.reading = Some(self.begin(split)?);
                continue;
            };
            if reading.hand_out(&self.inlet, &self.read, batch, limit)? {
                return Poll::Ready(Ok(ReaderStatus::More));
            }
            match ready!(reading.pages.poll_next_unpin(cx)) {
                Some(fetched) => match fetched? {
                    Fetched::Rows(rows) => reading.rows = rows.into_iter(),
                    Fetched::End => self.reading = None,
                },
                None => return Poll::Ready(Err(Error::cancelled("rows are not fetched any more"))),
            }
        }
    }

    fn snapshot(&mut self, _: CheckpointId) -> Result<Vec<PostgresSplit>> {
        let current = self.reading.iter().map(Reading::rest);
        Ok(current.chain(self.waiting.iter().cloned()).collect())
    }
}
