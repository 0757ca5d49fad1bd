//! Commits what checkpoints contain, and ends what a crash has left open.

use super::ids::Ids;
use super::registry::{self, Registration};
use super::slots::Slots;
use super::{ExistingOutput, KafkaCommittable, Options};
use crate::client::{KafkaClient, Outcome, TopicPartition};
use crate::runtime;
use async_trait::async_trait;
use futures::FutureExt;
use snapline_connector::Committer;
use snapline_core::{AttemptId, CheckpointId, Error, Result};
use std::sync::Arc;

/// Cheap to clone, for the parts of it that run on the client's runtime.
#[derive(Clone)]
pub(super) struct KafkaCommitter {
    options: Options,
    ids: Ids,
    place: TopicPartition,
    attempt: AttemptId,
    slots: Arc<Slots>,
    client: Option<Arc<dyn KafkaClient>>,
}

impl KafkaCommitter {
    pub(super) fn new(options: Options, ids: Ids, attempt: AttemptId, slots: Arc<Slots>) -> Self {
        Self {
            place: registry::place(&options),
            options,
            ids,
            attempt,
            slots,
            client: None,
        }
    }

    async fn client(&mut self) -> Result<Arc<dyn KafkaClient>> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let connection = self.options.connection.clone();
        let client = runtime::run(async move { connection.connect().await }).await?;
        Ok(self.client.insert(client).clone())
    }

    async fn commit_all(
        self,
        client: Arc<dyn KafkaClient>,
        committables: Vec<KafkaCommittable>,
    ) -> Result<()> {
        let commit = |committable| self.commit_one(&*client, committable).boxed();
        runtime::some_at_a_time(committables.iter().map(commit).collect()).await?;
        let _one_at_a_time = self.slots.registering().await;
        // The cluster forgets groups that nobody has touched for days.
        let registered = registry::read(&*client, &self.ids, &self.place).await?;
        registry::write(&*client, &self.ids, &self.place, registered).await
    }

    async fn commit_one(&self, client: &dyn KafkaClient, committable: &KafkaCommittable) -> Result<()> {
        if let Outcome::NotOpen(answer) = client.commit(&committable.transaction).await? {
            self.check_committed(client, committable, answer).await?;
        }
        self.slots.free(committable.subtask, committable.slot);
        Ok(())
    }

    /// A transaction that is not open was committed before, or is lost: its token tells.
    async fn check_committed(
        &self,
        client: &dyn KafkaClient,
        committable: &KafkaCommittable,
        answer: String,
    ) -> Result<()> {
        let id = &committable.transaction.transactional_id;
        if self
            .committed(client, id)
            .await?
            .is_some_and(|newest| newest >= committable.checkpoint)
        {
            return Ok(());
        }
        Err(Error::invalid(
            "a transaction of a completed checkpoint was aborted before it could be committed, so its records are lost: \
             the job was away for longer than the transaction timeout, or another job uses the same transactional ids; \
             start from the checkpoint before, which writes them again, and raise the timeout (at the servers \
             transaction.max.timeout.ms) or give each job a prefix of its own",
        )
        .with("transactional id", id)
        .with("checkpoint", committable.checkpoint)
        .with("transaction timeout in seconds", self.options.timeout.as_secs())
        .with("answer of kafka", answer))
    }

    /// The newest checkpoint of which something was committed under this id.
    async fn committed(&self, client: &dyn KafkaClient, id: &str) -> Result<Option<CheckpointId>> {
        let offset = client.group_offset(id, &self.place).await?;
        Ok(offset.map(|offset| CheckpointId(offset.cast_unsigned())))
    }

    async fn recover_all(self, client: Arc<dyn KafkaClient>, restored: Option<CheckpointId>) -> Result<()> {
        let client = &*client;
        let registered = registry::read(client, &self.ids, &self.place).await?;
        // Who starts over with other checkpoints counts attempts anew.
        if restored.is_some() || self.options.existing == ExistingOutput::Refuse {
            registry::check_attempt(registered, self.attempt, &self.ids)?;
        }
        self.slots.free_all();
        let restored = restored.unwrap_or(CheckpointId::NONE);
        let ids = self.registered_ids(registered);
        self.fence(client, &ids).await?;
        let later = self.committed_later(client, &ids, restored).await?;
        if self.options.existing == ExistingOutput::Refuse {
            self.check_nothing_later(&later, restored)?;
        }
        for (id, _) in later {
            let offset = i64::try_from(restored.0).unwrap_or(i64::MAX);
            client
                .set_group_offsets(&id, &[(self.place.clone(), offset)])
                .await?;
        }
        let own = Registration {
            attempt: self.attempt.0,
            ..registered
        };
        registry::write(client, &self.ids, &self.place, own).await
    }

    fn registered_ids(&self, registered: Registration) -> Vec<String> {
        let slots = |subtask| (0..registered.slots).map(move |slot| (subtask, slot));
        let all = (0..registered.subtasks).flat_map(slots);
        all.map(|(subtask, slot)| self.ids.transaction(subtask, slot))
            .collect()
    }

    /// Aborts what is open, and keeps writers from before from going on.
    async fn fence(&self, client: &dyn KafkaClient, ids: &[String]) -> Result<()> {
        let fence = |id| client.fence(id, self.options.timeout);
        runtime::some_at_a_time(ids.iter().map(|id| fence(id)).collect()).await?;
        Ok(())
    }

    /// The ids under which something was committed that is newer than the restored checkpoint.
    async fn committed_later(
        &self,
        client: &dyn KafkaClient,
        ids: &[String],
        restored: CheckpointId,
    ) -> Result<Vec<(String, CheckpointId)>> {
        let committed = |id| self.committed(client, id).boxed();
        let committed = runtime::some_at_a_time(ids.iter().map(|id| committed(id)).collect()).await?;
        let newer = committed
            .into_iter()
            .map(|newest| newest.filter(|newest| *newest > restored));
        let newer = ids.iter().zip(newer);
        Ok(newer
            .filter_map(|(id, newest)| Some((id.clone(), newest?)))
            .collect())
    }

    fn check_nothing_later(&self, later: &[(String, CheckpointId)], restored: CheckpointId) -> Result<()> {
        let Some((id, newest)) = later.iter().max_by_key(|(_, newest)| *newest) else {
            return Ok(());
        };
        Err(Error::invalid(
            "the topic has records of later checkpoints than the one from which the job starts, and they would be \
             written twice; start from the newest checkpoint, or take that with ExistingOutput::Repeat; if it was \
             another job that has written them, give each a prefix of its own",
        )
        .with("topic", &self.options.topic)
        .with("starts from", restored)
        .with("committed up to", newest)
        .with("transactional id", id))
    }
}

#[async_trait]
impl Committer<KafkaCommittable> for KafkaCommitter {
    async fn commit(&mut self, committables: Vec<KafkaCommittable>) -> Result<()> {
        if committables.is_empty() {
            return Ok(());
        }
        let client = self.client().await?;
        runtime::run(self.clone().commit_all(client, committables)).await
    }

    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let client = self.client().await?;
        self.attempt = attempt;
        let recovered = self.clone().recover_all(client, restored);
        runtime::run(recovered).await
    }
}
