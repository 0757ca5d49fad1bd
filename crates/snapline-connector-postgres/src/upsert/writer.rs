//! The half of a writer that is in the task.

use super::Target;
use super::apply::Applying;
use crate::encode::Encode;
use crate::outlet::{MESSAGE, Outlet};
use crate::owner::Owner;
use crate::row::Rows;
use crate::table::Column;
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_connector::{Outbox, SinkWriter, WriterContext, outbox};
use snapline_core::{Batch, CheckpointId, Result};
use std::sync::Arc;
use std::task::{Context, Poll};

pub(super) struct UpsertWriter<T> {
    encode: Encode<T>,
    columns: Arc<[Column]>,
    rows: Rows,
    outbox: Outbox<()>,
}

impl<T> UpsertWriter<T> {
    pub(super) fn start(
        outlet: &Arc<Outlet>,
        target: &Arc<Target>,
        encode: Encode<T>,
        context: &WriterContext,
    ) -> Result<Self> {
        let columns = outlet.columns()?;
        let (outbox, orders) = outbox();
        let owner = Owner::new(&context.job, &context.operator);
        let applying = Applying::new(outlet.clone(), target, owner, context);
        outlet.events()?.spawn(applying.run(orders));
        Ok(Self {
            encode,
            columns,
            rows: Rows::default(),
            outbox,
        })
    }

    fn send(&mut self) -> Result<()> {
        match self.rows.len() {
            0 => Ok(()),
            _ => self.outbox.write(self.rows.take()),
        }
    }
}

impl<T> SinkWriter<T, ()> for UpsertWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        (self.encode)(&batch.records, &self.columns, None, &mut self.rows)?;
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

    /// The checkpoint counts when all rows before it are in the table.
    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<()>>>> {
        self.send()?;
        let applied = self.outbox.prepare(checkpoint)?;
        Ok(applied.map(|applied| applied.map(|_| Vec::new())).boxed())
    }
}
