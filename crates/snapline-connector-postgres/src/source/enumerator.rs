//! Finds how far there is to read.

use super::query::{Horizon, Query};
use super::{Inlet, PostgresSplit};
use async_trait::async_trait;
use snapline_connector::{DiscoveryContext, SplitEnumerator};
use snapline_core::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Client;

/// How often to look whether transactions have ended.
const LOOK: Duration = Duration::from_millis(20);
/// How often to look at most.
const LOOKS: u32 = 1_500;

pub(super) struct PostgresEnumerator(pub(super) Arc<Inlet>);

#[async_trait]
impl SplitEnumerator<PostgresSplit> for PostgresEnumerator {
    async fn discover(&mut self, _: &DiscoveryContext) -> Result<Vec<PostgresSplit>> {
        let inlet = self.0.clone();
        let discovered = self.0.events.start()?.call(async move {
            let horizon = inlet.server.patiently(|| inlet.settled()).await?;
            Ok(match (inlet.poll, horizon.key) {
                (Some(_), _) => vec![PostgresSplit {
                    after: None,
                    until: None,
                }],
                (None, None) => Vec::new(),
                (None, until) => vec![PostgresSplit { after: None, until }],
            })
        });
        discovered.await
    }

    /// Sees whether the table and its key are there.
    async fn verify(&mut self, restored: &[PostgresSplit]) -> Result<()> {
        if restored.is_empty() {
            return Ok(());
        }
        let inlet = self.0.clone();
        let verified = self
            .0
            .events
            .start()?
            .call(async move { inlet.server.patiently(|| inlet.see()).await });
        verified.await
    }
}

impl Inlet {
    /// Sees whether the table can be read.
    async fn see(&self) -> Result<()> {
        let client = self.server.connect("snapline").await?;
        self.query.horizon(&client).await.map(drop)
    }

    /// The greatest key, when nothing can come before it any more. Without an end it need not be so yet.
    async fn settled(&self) -> Result<Horizon> {
        let client = self.server.connect("snapline").await?;
        let horizon = self.query.horizon(&client).await?;
        match self.poll {
            Some(_) => Ok(horizon),
            None => wait(&self.query, &client, horizon).await,
        }
    }
}

async fn wait(query: &Query, client: &Client, then: Horizon) -> Result<Horizon> {
    let mut now = then.clone();
    for _ in 0..LOOKS {
        if then.has_settled_by(&now) {
            return Ok(then);
        }
        tokio::time::sleep(LOOK).await;
        now = query.horizon(client).await?;
    }
    Err(query.name(Error::unavailable(
        "a transaction of the server has been open for long and may yet insert rows among those that are there; end it",
    )))
}
