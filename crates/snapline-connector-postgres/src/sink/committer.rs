//! Commits, and puts the table in the state of a checkpoint.

use super::cleanup::clean_up;
use super::commit::commit;
use super::{Delivery, ExistingRows, PostgresPart, Waiting};
use crate::failure::failed;
use crate::ledger::Ledger;
use crate::owner::Owner;
use async_trait::async_trait;
use snapline_connector::{Committer, EventLoop};
use snapline_core::{AttemptId, CheckpointId, Error, Result};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio_postgres::Client;

/// The sessions of committers are not ended by others: a late commit does no harm.
const SESSION: &str = "snapline";

pub(super) struct PostgresCommitter {
    office: Arc<Office>,
    events: EventLoop,
}

/// What the calls of a committer share on the event loop.
struct Office {
    delivery: Arc<Delivery>,
    owner: Owner,
    /// A session without a transaction.
    idle: Mutex<Option<Client>>,
}

impl PostgresCommitter {
    pub(super) fn new(delivery: Arc<Delivery>, owner: Owner) -> Result<Self> {
        let events = delivery.outlet.events()?;
        let idle = Mutex::default();
        Ok(Self {
            office: Arc::new(Office {
                delivery,
                owner,
                idle,
            }),
            events,
        })
    }
}

#[async_trait]
impl Committer<PostgresPart> for PostgresCommitter {
    async fn commit(&mut self, committables: Vec<PostgresPart>) -> Result<()> {
        if committables.is_empty() {
            return Ok(());
        }
        let office = self.office.clone();
        let committed = self.events.call(async move {
            let server = &office.delivery.outlet.server;
            server.bounded(office.commit(&committables)).await
        });
        committed.await
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let office = self.office.clone();
        let recovered = self.events.call(async move {
            let server = &office.delivery.outlet.server;
            server.patiently(|| office.recover(attempt, restored)).await
        });
        recovered.await
    }
}

impl Office {
    async fn commit(&self, parts: &[PostgresPart]) -> Result<()> {
        let client = self.session().await?;
        let ledger = Ledger {
            client: &client,
            owner: &self.owner,
        };
        for part in parts {
            commit(ledger, &self.delivery.outlet, part)
                .await
                .map_err(|error| error.with("table", self.delivery.outlet.table.given()))?;
        }
        if let Some(newest) = parts.iter().map(|part| part.checkpoint).max() {
            ledger.prune(newest).await?;
        }
        // After a failure the session may be in the middle of something, and ends.
        *self.idle.lock().await = Some(client);
        Ok(())
    }

    async fn session(&self) -> Result<Client> {
        let idle = self.idle.lock().await.take();
        match idle.filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => self.delivery.outlet.server.connect(SESSION).await,
        }
    }

    async fn recover(&self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let client = self.session().await?;
        let ledger = Ledger {
            client: &client,
            owner: &self.owner,
        };
        let outlet = &self.delivery.outlet;
        outlet.set_columns(outlet.table.types(&client).await?);
        if self.delivery.waiting == Waiting::Prepared {
            check_prepared_transactions(&client).await?;
        }
        ledger.create().await?;
        let starts_over = self.check_existing(ledger, restored).await?;
        ledger.claim(attempt, outlet.holder).await?;
        clean_up(ledger, &self.delivery, |other| starts_over || other < attempt).await?;
        *self.idle.lock().await = Some(client);
        Ok(())
    }

    /// Whether the job begins anew, whatever there is of a job of this name.
    async fn check_existing(&self, ledger: Ledger<'_>, restored: Option<CheckpointId>) -> Result<bool> {
        let newest = ledger.newest().await?;
        let unknown = newest.filter(|newest| restored.is_none_or(|restored| *newest > restored));
        let keeps = self.delivery.existing == ExistingRows::Keep;
        if let Some(newest) = unknown {
            if !keeps {
                return Err(self.refused(newest, restored));
            }
            tracing::warn!(
                table = self.delivery.outlet.table.given(),
                %newest,
                restored = restored.unwrap_or(CheckpointId::NONE).0,
                "rows of checkpoints that the job does not know stay in the table"
            );
        }
        let starts_over = keeps && restored.is_none();
        if starts_over || unknown.is_some() {
            ledger.forget_after(restored).await?;
        }
        Ok(starts_over)
    }

    fn refused(&self, newest: CheckpointId, restored: Option<CheckpointId>) -> Error {
        let message = match restored {
            None => {
                "rows of a job of this name are in the table already, but there is no checkpoint to resume from; give \
                 the job another name, or let them stay with ExistingRows::Keep"
            }
            Some(_) => {
                "rows of later checkpoints than the restored one are in the table and cannot be told from others; \
                 remove them, and let what is left stay with ExistingRows::Keep"
            }
        };
        let refused = Error::invalid(message)
            .with("table", self.delivery.outlet.table.given())
            .with("job", &self.owner.job)
            .with("committed", newest);
        restored
            .into_iter()
            .fold(refused, |error, restored| error.with("restored", restored))
    }
}

async fn check_prepared_transactions(client: &Client) -> Result<()> {
    let row = client.query_one("SHOW max_prepared_transactions", &[]).await;
    let row = row.map_err(|error| failed("the settings of the server cannot be read", error))?;
    match row.get(0) {
        "0" => Err(Error::invalid(
            "the server has max_prepared_transactions = 0; set it to twice the number of writers and restart the \
             server, or use PostgresSink::without_prepared_transactions",
        )),
        _ => Ok(()),
    }
}
