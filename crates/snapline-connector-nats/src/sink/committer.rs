//! Commits, and puts the sink in the state of a checkpoint.

use super::cleanup::clean_up;
use super::published::{find, publish};
use super::target::look;
use super::{Delivery, ExistingMessages, Guarantee, NatsPart};
use crate::ledger::{self, Ledger};
use crate::owner::Owner;
use crate::session::Session;
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use serde_json::json;
use snapline_connector::{Committer, EventLoop};
use snapline_core::{AttemptId, CheckpointId, Error, Result};
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::Mutex;

pub(super) struct NatsCommitter {
    office: Arc<Office>,
    events: EventLoop,
}

/// What the calls of a committer share on the event loop.
struct Office {
    delivery: Arc<Delivery>,
    owner: Owner,
    idle: Mutex<Option<Session>>,
}

impl NatsCommitter {
    pub(super) fn new(delivery: Arc<Delivery>, owner: Owner) -> Result<Self> {
        let events = delivery.events.start()?;
        let office = Office {
            delivery,
            owner,
            idle: Mutex::default(),
        };
        Ok(Self {
            office: Arc::new(office),
            events,
        })
    }
}

#[async_trait]
impl Committer<NatsPart> for NatsCommitter {
    async fn commit(&mut self, committables: Vec<NatsPart>) -> Result<()> {
        if committables.is_empty() {
            return Ok(());
        }
        let office = self.office.clone();
        let committed = self.events.call(async move {
            let outcome = office.commit(&committables).await;
            outcome.map_err(|error| office.delivery.name(error))
        });
        committed.await
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let office = self.office.clone();
        let recovered = self.events.call(async move {
            let server = &office.delivery.server;
            let outcome = server.patiently(|| office.recover(attempt, restored)).await;
            outcome.map_err(|error| office.delivery.name(error))
        });
        recovered.await
    }
}

/// Messages of a part that are to be published.
struct Unpublished<'a> {
    part: &'a NatsPart,
    chunks: Vec<Bytes>,
    /// Those that are there, by their numbers.
    found: HashSet<u64>,
}

impl Office {
    async fn commit(&self, parts: &[NatsPart]) -> Result<()> {
        let session = self.session().await?;
        let (ledger, _) = ledger::read(&session, &self.owner).await?;
        let (done, open): (Vec<_>, Vec<_>) = parts
            .iter()
            .partition(|part| ledger.has(part.checkpoint, &part.name()));
        if !open.is_empty() {
            let unpublished = self.unpublished(&session, open.clone()).await?;
            self.publish(&session, unpublished).await?;
            let names: Vec<_> = open.iter().map(|part| (part.checkpoint, part.name())).collect();
            let noted = ledger::change(&session, &self.owner, |ledger| {
                ledger.note(&names);
                Ok(())
            });
            noted.await?;
        }
        self.remove(&session, done.into_iter().chain(open)).await?;
        // After a failure the connection may be in the middle of something, and ends.
        *self.idle.lock().await = Some(session);
        Ok(())
    }

    /// What is left to publish of parts. Those that this process has prepared and not touched since are whole.
    async fn unpublished<'a>(
        &self,
        session: &Session,
        parts: Vec<&'a NatsPart>,
    ) -> Result<Vec<Unpublished<'a>>> {
        let waiting = parts.iter().map(|part| self.delivery.waiting.take(&part.name()));
        let waiting: Vec<_> = waiting.collect();
        let touched = parts.iter().zip(&waiting).filter(|(_, chunks)| chunks.is_none());
        let touched: Vec<_> = touched.map(|(part, _)| *part).collect();
        let mut found = find(session, &self.delivery, &self.owner, &touched).await?;
        let mut unpublished = Vec::with_capacity(parts.len());
        for (part, chunks) in parts.into_iter().zip(waiting) {
            unpublished.push(Unpublished {
                part,
                chunks: match chunks.flatten() {
                    Some(chunks) => chunks,
                    None => self.fetch(session, part).await?,
                },
                found: found.remove(&part.name()).unwrap_or_default(),
            });
        }
        Ok(unpublished)
    }

    async fn fetch(&self, session: &Session, part: &NatsPart) -> Result<Vec<Bytes>> {
        let stream = self.owner.stream();
        let mut chunks = Vec::with_capacity(part.chunks.len());
        for number in &part.chunks {
            let message = session.message(&stream, json!({ "seq": number })).await?;
            let expected = self.owner.staged(&part.name());
            let message = message.filter(|message| *message.subject == *expected);
            let message = message.ok_or_else(|| lost(part).with("own stream", &stream))?;
            chunks.push(message.payload);
        }
        Ok(chunks)
    }

    async fn publish(&self, session: &Session, unpublished: Vec<Unpublished<'_>>) -> Result<()> {
        let mut publishing = session.publishing();
        for Unpublished { part, chunks, found } in unpublished {
            let prefix = part.id_prefix(&self.owner);
            let mut number = 0;
            for chunk in chunks {
                let is_there = |number| found.contains(&number);
                number = publish(&mut publishing, &self.delivery, &prefix, number, chunk, is_there).await?;
            }
        }
        publishing.finish().await
    }

    async fn remove(&self, session: &Session, parts: impl Iterator<Item = &NatsPart>) -> Result<()> {
        let stream = self.owner.stream();
        let subjects: Vec<_> = parts.map(|part| self.owner.staged(&part.name())).collect();
        let removed = subjects.iter().map(|subject| session.purge(&stream, subject));
        try_join_all(removed).await.map(drop)
    }

    async fn session(&self) -> Result<Session> {
        let idle = self.idle.lock().await.take();
        match idle.filter(|session| !session.has_ended()) {
            Some(session) => Ok(session),
            None => self.delivery.server.connect("snapline").await,
        }
    }

    async fn recover(&self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let session = self.session().await?;
        let delivery = &self.delivery;
        delivery.set_target(look(&session, delivery).await?);
        if delivery.guarantee == Guarantee::ExactlyOnce {
            ledger::create(&session, &self.owner, delivery.replicas).await?;
            let starts_over = restored.is_none() && delivery.existing == ExistingMessages::Keep;
            let claimed = ledger::change(&session, &self.owner, |ledger| {
                if starts_over {
                    *ledger = Ledger::default();
                }
                self.check_existing(ledger, restored)?;
                ledger.claim(attempt, delivery.holder, &self.owner)
            });
            claimed.await?;
            delivery.waiting.clear();
            clean_up(&session, &self.owner, |other| starts_over || other < attempt).await?;
        }
        *self.idle.lock().await = Some(session);
        Ok(())
    }

    /// Refuses messages of checkpoints that the job does not know, or lets them stay.
    fn check_existing(&self, ledger: &mut Ledger, restored: Option<CheckpointId>) -> Result<()> {
        let known = restored.unwrap_or(CheckpointId::NONE);
        if ledger.newest <= known.0 {
            return Ok(());
        }
        if self.delivery.existing == ExistingMessages::Keep {
            tracing::warn!(
                stream = self.delivery.stream,
                newest = ledger.newest,
                restored = known.0,
                "messages of checkpoints that the job does not know stay in the stream"
            );
            ledger.forget_after(known);
            return Ok(());
        }
        let message = match restored {
            None => {
                "messages of a job of this name are in the stream already, but there is no checkpoint to resume from; \
                 give the job another name, or let them stay with ExistingMessages::Keep"
            }
            Some(_) => {
                "messages of later checkpoints than the restored one are in the stream and would be published again; \
                 start from the newest checkpoint, or let them stay with ExistingMessages::Keep"
            }
        };
        Err(Error::invalid(message)
            .with("job", &self.owner.job)
            .with("committed", ledger.newest)
            .with("restored", known))
    }
}

fn lost(part: &NatsPart) -> Error {
    Error::invalid(
        "messages of a checkpoint that is complete are gone, and were not published: the server has lost them, or somebody \
         has removed them from the stream in which they waited; restore the checkpoint before, or go on without them with \
         a new name of the job",
    )
    .with("checkpoint", part.checkpoint)
    .with("subtask", part.subtask)
}
