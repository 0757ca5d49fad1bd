//! The half of a reader that is on the event loop: it fetches pages of rows.

use super::query::{Horizon, key_of};
use super::{Inlet, PostgresSplit};
use futures::SinkExt;
use futures::channel::mpsc;
use snapline_core::Result;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Row};

/// What a reader is given, in order.
pub(super) enum Fetched {
    Rows(Vec<Row>),
    /// The split is read to its end.
    End,
}

pub(super) type Pages = mpsc::Sender<Result<Fetched>>;

pub(super) struct Fetch {
    inlet: Arc<Inlet>,
    session: Mutex<Option<Client>>,
    /// A greatest key before which rows may yet come.
    open: Option<Horizon>,
}

impl Fetch {
    pub(super) fn new(inlet: Arc<Inlet>) -> Self {
        Self {
            inlet,
            session: Mutex::default(),
            open: None,
        }
    }

    /// Fetches a split until it ends, fails, or the reader is gone.
    pub(super) async fn run(mut self, split: PostgresSplit, mut pages: Pages) {
        let outcome = match split.until {
            Some(until) => {
                let all = self.fetch(split.after, &until, &mut pages).await;
                all.map(|_| Fetched::End)
            }
            None => self.follow(split.after, &mut pages).await,
        };
        // Nobody listens when the reader is gone.
        let _ = pages.send(outcome).await;
    }

    /// Fetches the rows up to a key, and returns the last one.
    async fn fetch(
        &self,
        mut after: Option<String>,
        until: &str,
        pages: &mut Pages,
    ) -> Result<Option<String>> {
        loop {
            let server = &self.inlet.server;
            let rows = server.patiently(|| self.page(after.as_deref(), until)).await?;
            let is_last = rows.len() < self.inlet.query.limit as usize;
            if let Some(row) = rows.last() {
                after = Some(key_of(row));
            }
            if !rows.is_empty() && pages.send(Ok(Fetched::Rows(rows))).await.is_err() {
                return Ok(after);
            }
            if is_last {
                return Ok(after);
            }
        }
    }

    /// Fetches what comes, as far as nothing can come before it.
    async fn follow(&mut self, mut after: Option<String>, pages: &mut Pages) -> Result<Fetched> {
        let poll = self.inlet.poll.unwrap_or(Duration::from_secs(1));
        while !pages.is_closed() {
            let server = &self.inlet.server;
            let now = server.patiently(|| self.horizon()).await?;
            let settled = match now.has_settled_by(&now) {
                true => Some(now.clone()),
                false => self.open.take_if(|then| then.has_settled_by(&now)),
            };
            if let Some(until) = settled.and_then(|then| then.key)
                && after.as_ref() != Some(&until)
            {
                after = self.fetch(after, &until, pages).await?;
            }
            self.open.get_or_insert(now);
            tokio::time::sleep(poll).await;
        }
        Ok(Fetched::End)
    }

    async fn page(&self, after: Option<&str>, until: &str) -> Result<Vec<Row>> {
        let client = self.session().await?;
        let rows = self.inlet.query.page(&client, after, until).await?;
        *self.session.lock().await = Some(client);
        Ok(rows)
    }

    async fn horizon(&self) -> Result<Horizon> {
        let client = self.session().await?;
        let horizon = self.inlet.query.horizon(&client).await?;
        *self.session.lock().await = Some(client);
        Ok(horizon)
    }

    async fn session(&self) -> Result<Client> {
        let kept = self.session.lock().await.take();
        match kept.filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => self.inlet.server.connect("snapline").await,
        }
    }
}
