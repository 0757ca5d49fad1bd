//! The half of a writer that is on the event loop: it replaces rows, a message at a time.

use super::Target;
use crate::failure::failed;
use crate::ledger::Ledger;
use crate::outlet::Outlet;
use crate::owner::Owner;
use crate::row::{beginning, end};
use crate::table::{identifier, list};
use bytes::Bytes;
use futures::SinkExt;
use snapline_connector::{OutboxOrder, OutboxOrders, WriterContext};
use snapline_core::{AttemptId, Result};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_postgres::Client;

const UPSERT: &str = "rows cannot be written to the table";

pub(super) struct Applying {
    outlet: Arc<Outlet>,
    owner: Owner,
    attempt: AttemptId,
    /// Makes the temporary table of a session, in which rows come in their order.
    create: String,
    copy: String,
    upsert: String,
    /// A session that has its temporary table.
    session: Mutex<Option<Client>>,
}

impl Applying {
    pub(super) fn new(outlet: Arc<Outlet>, target: &Target, owner: Owner, context: &WriterContext) -> Self {
        let (table, columns) = (outlet.table.sql(), outlet.table.columns_sql());
        Self {
            create: format!(
                "CREATE TEMPORARY TABLE snapline_rows ON COMMIT DELETE ROWS
                    AS SELECT {columns} FROM {table} WITH NO DATA;
                 ALTER TABLE snapline_rows ADD snapline_order bigserial"
            ),
            copy: format!("COPY snapline_rows ({columns}) FROM STDIN BINARY"),
            upsert: target.upsert(&table, &columns),
            outlet,
            owner,
            attempt: context.attempt,
            session: Mutex::default(),
        }
    }

    /// Does what the writer wants until it is gone.
    pub(super) async fn run(self, mut orders: OutboxOrders<()>) {
        while let Some(order) = orders.next().await {
            match order {
                OutboxOrder::Write(rows) => {
                    let server = &self.outlet.server;
                    match server.patiently(|| self.apply(rows.clone())).await {
                        Ok(()) => orders.written(rows.len()),
                        Err(error) => {
                            return orders.fail(error.with("table", self.outlet.table.given()));
                        }
                    }
                }
                // All that came before is in the table. Nobody waits for a checkpoint that was given up.
                OutboxOrder::Prepare(_, prepared) => _ = prepared.send(Ok(None)),
            }
        }
    }

    /// Replaces rows in one transaction, which may be repeated.
    async fn apply(&self, rows: Bytes) -> Result<()> {
        let client = self.session().await?;
        let cannot = |error| failed(UPSERT, error);
        client.batch_execute("BEGIN").await.map_err(cannot)?;
        let copy = client.copy_in(&self.copy).await.map_err(cannot)?;
        let mut copy = std::pin::pin!(copy);
        for part in [beginning(), rows, end()] {
            copy.send(part).await.map_err(cannot)?;
        }
        copy.as_mut().finish().await.map_err(cannot)?;
        let finish = format!("{}; COMMIT", self.upsert);
        client.batch_execute(&finish).await.map_err(cannot)?;
        // After a failure the session is in the middle of something, and ends.
        *self.session.lock().await = Some(client);
        Ok(())
    }

    async fn session(&self) -> Result<Client> {
        let kept = self.session.lock().await.take();
        if let Some(client) = kept.filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let name = self.owner.session(self.attempt);
        let client = self.outlet.server.connect(&name).await?;
        let ledger = Ledger {
            client: &client,
            owner: &self.owner,
        };
        ledger.check(self.attempt).await?;
        let created = client.batch_execute(&self.create).await;
        created.map_err(|error| failed("the temporary table cannot be created", error))?;
        Ok(client)
    }
}

impl Target {
    /// Moves the last row of each key from the temporary table, keys in order, so that two writers do not wait for one
    /// another.
    fn upsert(&self, table: &str, columns: &str) -> String {
        let keys = list(&self.keys);
        format!(
            "INSERT INTO {table} ({columns})
             SELECT DISTINCT ON ({keys}) {columns} FROM snapline_rows ORDER BY {keys}, snapline_order DESC
             ON CONFLICT ({keys}) {}",
            self.on_conflict()
        )
    }

    /// Says what a row does that finds its key in the table.
    pub(super) fn on_conflict(&self) -> String {
        let set = |name: &String| format!("{0} = excluded.{0}", identifier(name));
        let sets: Vec<_> = self.others.iter().map(set).collect();
        match sets.is_empty() {
            true => "DO NOTHING".to_owned(),
            false => format!("DO UPDATE SET {}", sets.join(", ")),
        }
    }
}
