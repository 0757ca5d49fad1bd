//! Sees whether rows can be replaced, and makes the sink this attempt's.

use super::Target;
use crate::failure::failed;
use crate::ledger::Ledger;
use crate::outlet::Outlet;
use crate::owner::Owner;
use crate::table::list;
use async_trait::async_trait;
use snapline_connector::{Committer, EventLoop};
use snapline_core::{AttemptId, CheckpointId, Error, Result};
use std::sync::Arc;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

pub(super) struct UpsertCommitter {
    outlet: Arc<Outlet>,
    target: Arc<Target>,
    owner: Owner,
    events: EventLoop,
}

impl UpsertCommitter {
    pub(super) fn new(outlet: Arc<Outlet>, target: Arc<Target>, owner: Owner) -> Result<Self> {
        let events = outlet.events()?;
        Ok(Self {
            outlet,
            target,
            owner,
            events,
        })
    }
}

#[async_trait]
impl Committer<()> for UpsertCommitter {
    async fn commit(&mut self, _: Vec<()>) -> Result<()> {
        Ok(())
    }

    async fn recover(&mut self, attempt: AttemptId, _: Option<CheckpointId>) -> Result<()> {
        let (outlet, target, owner) = (self.outlet.clone(), self.target.clone(), self.owner.clone());
        let recovered = self.events.call(async move {
            let server = &outlet.server;
            server
                .patiently(|| recover(&outlet, &target, &owner, attempt))
                .await
        });
        recovered.await
    }
}

/// A late writer of an older attempt must not put older values back, so their sessions end.
async fn recover(outlet: &Outlet, target: &Target, owner: &Owner, attempt: AttemptId) -> Result<()> {
    let client = outlet.server.connect("snapline").await?;
    outlet.set_columns(outlet.table.types(&client).await?);
    check_keys(&client, outlet, target).await?;
    let client = &client;
    let ledger = Ledger { client, owner };
    ledger.create().await?;
    ledger.claim(attempt, outlet.holder).await?;
    ledger.end_sessions(|other| other < attempt).await
}

/// Lets the server plan such a statement.
async fn check_keys(client: &Client, outlet: &Outlet, target: &Target) -> Result<()> {
    let (table, columns, keys) = (outlet.table.sql(), outlet.table.columns_sql(), list(&target.keys));
    let plan = format!(
        "EXPLAIN INSERT INTO {table} ({columns}) SELECT {columns} FROM {table} LIMIT 0 ON CONFLICT ({keys}) {}",
        target.on_conflict()
    );
    match client.simple_query(&plan).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::INVALID_COLUMN_REFERENCE) => Err(Error::invalid(
            "the table has no primary key or unique index of the key columns; create one, or name its columns",
        )
        .with("table", outlet.table.given())
        .with("keys", target.keys.join(", "))),
        Err(error) => {
            Err(failed("rows of the table cannot be replaced", error).with("table", outlet.table.given()))
        }
    }
}
