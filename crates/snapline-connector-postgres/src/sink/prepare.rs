//! The half of a writer that is on the event loop: it copies rows into transactions and prepares them.

use super::{Delivery, PostgresPart, Waiting};
use crate::failure::failed;
use crate::ledger::{Ledger, Token};
use crate::owner::Owner;
use crate::row::{beginning, end};
use crate::table::literal;
use bytes::Bytes;
use futures::SinkExt;
use snapline_connector::{OutboxOrder, OutboxOrders, WriterContext};
use snapline_core::{AttemptId, CheckpointId, Error, Result, SubtaskIndex};
use std::pin::Pin;
use std::sync::Arc;
use tokio_postgres::{Client, CopyInSink};

const COPY: &str = "rows cannot be written to the table";

pub(super) struct Preparing {
    delivery: Arc<Delivery>,
    owner: Owner,
    subtask: SubtaskIndex,
    attempt: AttemptId,
    /// A session without a transaction.
    idle: Option<Client>,
}

/// A session that is in the middle of a COPY.
struct Transaction {
    client: Client,
    copy: Pin<Box<CopyInSink<Bytes>>>,
}

impl Preparing {
    pub(super) fn new(delivery: Arc<Delivery>, owner: Owner, context: &WriterContext) -> Self {
        Self {
            delivery,
            owner,
            subtask: context.subtask,
            attempt: context.attempt,
            idle: None,
        }
    }

    /// Does what the writer wants until it is gone; then what is not prepared is gone too.
    pub(super) async fn run(mut self, mut orders: OutboxOrders<PostgresPart>) {
        if let Err(error) = self.obey(&mut orders).await {
            orders.fail(error);
        }
    }

    async fn obey(&mut self, orders: &mut OutboxOrders<PostgresPart>) -> Result<()> {
        let mut transaction = None;
        while let Some(order) = orders.next().await {
            match order {
                OutboxOrder::Write(rows) => {
                    let mut open = match transaction.take() {
                        Some(open) => open,
                        None => self.begin().await?,
                    };
                    let len = rows.len();
                    let sent = open.copy.send(rows).await;
                    sent.map_err(|error| self.name(failed(COPY, error)))?;
                    orders.written(len);
                    transaction = Some(open);
                }
                // Nobody waits for the checkpoint any more, and the job restarts: nobody would commit this.
                OutboxOrder::Prepare(_, prepared) if prepared.is_canceled() => return Ok(()),
                OutboxOrder::Prepare(checkpoint, prepared) => {
                    let outcome = match transaction.take() {
                        None => Ok(None),
                        Some(open) => self.prepare(open, checkpoint).await.map(Some),
                    };
                    let failure = outcome.as_ref().err().cloned();
                    let _ = prepared.send(outcome);
                    failure.map_or(Ok(()), Err)?;
                }
            }
        }
        Ok(())
    }

    /// Begins a transaction, in a new session when there is none. Nothing is lost when that has to be tried again.
    async fn begin(&mut self) -> Result<Transaction> {
        let mut idle = self.idle.take();
        let delivery = self.delivery.clone();
        let begun = delivery
            .outlet
            .server
            .patiently(|| self.try_begin(idle.take()))
            .await;
        begun.map_err(|error| self.name(error))
    }

    async fn try_begin(&self, idle: Option<Client>) -> Result<Transaction> {
        let client = match idle.filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => {
                let name = self.owner.session(self.attempt);
                self.delivery.outlet.server.connect(&name).await?
            }
        };
        let (owner, cannot) = (&self.owner, |error| failed(COPY, error));
        Ledger {
            client: &client,
            owner,
        }
        .check(self.attempt)
        .await?;
        client.batch_execute("BEGIN").await.map_err(cannot)?;
        let copy = client.copy_in(&self.delivery.copy(owner)).await.map_err(cannot)?;
        let mut copy = Box::pin(copy);
        copy.send(beginning()).await.map_err(cannot)?;
        Ok(Transaction { client, copy })
    }

    async fn prepare(&mut self, open: Transaction, checkpoint: CheckpointId) -> Result<PostgresPart> {
        let delivery = self.delivery.clone();
        let prepared = delivery
            .outlet
            .server
            .bounded(self.try_prepare(open, checkpoint))
            .await;
        prepared.map_err(|error| self.name(error).with("checkpoint", checkpoint))
    }

    async fn try_prepare(&mut self, open: Transaction, checkpoint: CheckpointId) -> Result<PostgresPart> {
        let Transaction { client, mut copy } = open;
        let cannot = |error| failed(COPY, error);
        copy.send(end()).await.map_err(cannot)?;
        let rows = copy.as_mut().finish().await.map_err(cannot)?;
        let token = Token {
            checkpoint,
            subtask: self.subtask,
            attempt: self.attempt,
        };
        let durable = match self.delivery.waiting {
            Waiting::Prepared => {
                let owner = &self.owner;
                Ledger {
                    client: &client,
                    owner,
                }
                .note(token)
                .await?;
                format!("PREPARE TRANSACTION {}", literal(&name(owner, token)))
            }
            Waiting::Staged => "COMMIT".to_owned(),
        };
        client.batch_execute(&durable).await.map_err(cannot)?;
        self.idle = Some(client);
        Ok(PostgresPart {
            checkpoint,
            subtask: self.subtask,
            attempt: self.attempt,
            rows,
            staged: None,
        })
    }

    fn name(&self, error: Error) -> Error {
        error
            .with("table", self.delivery.outlet.table.given())
            .with("subtask", self.subtask)
    }
}

/// The name of a prepared transaction.
pub(super) fn name(owner: &Owner, token: Token) -> String {
    let Token {
        checkpoint,
        subtask,
        attempt,
    } = token;
    format!("{}{checkpoint}/{subtask}/{attempt}", owner.prefix())
}
