//! The half of a writer that is in the task: it makes rows of records.

use super::prepare::Preparing;
use super::{Delivery, PostgresPart, Waiting};
use crate::encode::Encode;
use crate::outlet::MESSAGE;
use crate::owner::Owner;
use crate::row::Rows;
use crate::table::Column;
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_connector::{Outbox, SinkWriter, WriterContext, outbox};
use snapline_core::{Batch, CheckpointId, Result};
use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) struct PostgresWriter<T> {
    encode: Encode<T>,
    columns: Arc<[Column]>,
    rows: Rows,
    outbox: Outbox<PostgresPart>,
    /// Names the part of the staging table that the rows are written to, when they are.
    part: Option<Part>,
}

/// The parts of one writer have numbers.
struct Part {
    writer: String,
    number: u64,
    name: String,
}

impl<T> PostgresWriter<T> {
    pub(super) fn start(delivery: &Arc<Delivery>, encode: Encode<T>, context: WriterContext) -> Result<Self> {
        let columns = delivery.outlet.columns()?;
        let (outbox, orders) = outbox();
        let part = match delivery.waiting {
            Waiting::Prepared => None,
            Waiting::Staged => Some(Part::first(format!("{}.{}", context.attempt, context.subtask))),
        };
        let owner = Owner::new(&context.job, &context.operator);
        let preparing = Preparing::new(delivery.clone(), owner, &context);
        delivery.outlet.events()?.spawn(preparing.run(orders));
        Ok(Self {
            encode,
            columns,
            rows: Rows::default(),
            outbox,
            part,
        })
    }

    fn send(&mut self) -> Result<()> {
        match self.rows.len() {
            0 => Ok(()),
            _ => self.outbox.write(self.rows.take()),
        }
    }
}

impl<T> SinkWriter<T, PostgresPart> for PostgresWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let part = self.part.as_ref().map(|part| part.name.as_str());
        (self.encode)(&batch.records, &self.columns, part, &mut self.rows)?;
        batch.clear();
        match self.rows.len() >= MESSAGE {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.outbox.poll_ready(cx)
    }

    fn flush(&mut self) -> Result<()> {
        self.send()
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<PostgresPart>>>> {
        self.send()?;
        let staged = self.part.as_mut().map(Part::next);
        let prepared = self.outbox.prepare(checkpoint)?;
        let named = prepared.map(|prepared| {
            let part = prepared?.map(|part| PostgresPart { staged, ..part });
            Ok(part.into_iter().collect())
        });
        Ok(named.boxed())
    }
}

impl Part {
    fn first(writer: String) -> Self {
        Self {
            name: format!("{writer}.0"),
            writer,
            number: 0,
        }
    }

    /// Goes on to the next part, and names the last one.
    fn next(&mut self) -> String {
        self.number += 1;
        let next = format!("{}.{}", self.writer, self.number);
        std::mem::replace(&mut self.name, next)
    }
}
