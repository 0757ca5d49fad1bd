//! A small document in the server: which attempt has a sink, and what was committed.
//!
//! It is the last message of a subject. Whoever writes it names the message that was read, so that of two who do so at the
//! same time one has to read it again.

use crate::owner::Owner;
use crate::session::Session;
use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, StorageType};
use serde::{Deserialize, Serialize};
use serde_json::json;
use snapline_core::{AttemptId, CheckpointId, Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Commits of older checkpoints than this many ago are forgotten.
const REMEMBERED: u64 = 32;
/// How often to write the document again when somebody else was faster.
const TRIES: usize = 100;

/// What is known of a sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ledger {
    /// The newest attempt that has recovered.
    pub(crate) attempt: u64,
    /// Tells processes apart that have the same attempt, which are two jobs of one name.
    pub(crate) holder: u64,
    /// The newest checkpoint of which anything was committed; 0 when nothing was.
    pub(crate) newest: u64,
    /// The parts that were committed, by checkpoint.
    done: BTreeMap<u64, BTreeSet<String>>,
}

impl Ledger {
    pub(crate) fn has(&self, checkpoint: CheckpointId, part: &str) -> bool {
        self.done
            .get(&checkpoint.0)
            .is_some_and(|parts| parts.contains(part))
    }

    /// Notes that parts are committed, and forgets commits that nobody will ask for.
    pub(crate) fn note(&mut self, parts: &[(CheckpointId, String)]) {
        let newest = parts.iter().map(|(checkpoint, _)| checkpoint.0).max();
        self.newest = self.newest.max(newest.unwrap_or_default());
        let oldest = self.newest.saturating_sub(REMEMBERED);
        self.done = self.done.split_off(&oldest);
        for (checkpoint, part) in parts {
            self.done.entry(checkpoint.0).or_default().insert(part.clone());
        }
    }

    /// Forgets what was committed after a checkpoint.
    pub(crate) fn forget_after(&mut self, checkpoint: CheckpointId) {
        self.done.split_off(&(checkpoint.0 + 1));
        self.newest = self.newest.min(checkpoint.0);
    }

    /// Makes the sink this attempt's, unless a newer one has it.
    ///
    /// # Errors
    /// `Conflict` when it is another's.
    pub(crate) fn claim(&mut self, attempt: AttemptId, holder: u64, owner: &Owner) -> Result<()> {
        let is_free = self.attempt < attempt.0 || (self.attempt == attempt.0 && self.holder == holder);
        if !is_free {
            return Err(taken(owner, attempt));
        }
        (self.attempt, self.holder) = (attempt.0, holder);
        Ok(())
    }

    /// Sees whether the sink is still this attempt's.
    ///
    /// # Errors
    /// `Conflict` when a newer one has it.
    pub(crate) fn check(&self, attempt: AttemptId, owner: &Owner) -> Result<()> {
        match self.attempt > attempt.0 {
            true => Err(taken(owner, attempt)),
            false => Ok(()),
        }
    }
}

fn taken(owner: &Owner, attempt: AttemptId) -> Error {
    Error::conflict(
        "another process has this sink: a newer attempt of the job, or another job of the same name; give jobs that \
         write to one server names of their own",
    )
    .with("job", &owner.job)
    .with("operator", &owner.operator)
    .with("attempt", attempt)
}

/// Creates the stream of a sink when it is not there.
pub(crate) async fn create(session: &Session, owner: &Owner, replicas: usize) -> Result<()> {
    let name = owner.stream();
    let config = Config {
        name: name.clone(),
        description: Some(format!(
            "what Snapline keeps for {}/{}",
            owner.job, owner.operator
        )),
        subjects: vec![owner.subjects()],
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        num_replicas: replicas,
        ..Config::default()
    };
    let doing = "the stream in which messages wait cannot be created";
    let created: Option<Info> = session
        .ask_for(
            doing,
            format!("STREAM.CREATE.{name}"),
            &config,
            ErrorCode::STREAM_NAME_EXIST,
        )
        .await
        .map_err(|error| error.with("stream", &name))?;
    if created.is_none() {
        tracing::debug!(
            stream = name,
            "the stream in which messages wait has settings of its own"
        );
    }
    Ok(())
}

/// The document, and the number of the message that it is.
pub(crate) async fn read(session: &Session, owner: &Owner) -> Result<(Ledger, u64)> {
    let which = json!({ "last_by_subj": owner.ledger() });
    let Some(message) = session.message(&owner.stream(), which).await? else {
        return Ok((Ledger::default(), 0));
    };
    let ledger = serde_json::from_slice(&message.payload);
    let ledger = ledger.map_err(|error| {
        Error::invalid("the ledger of the sink is not one of this version of Snapline")
            .with("stream", owner.stream())
            .because(error)
    })?;
    Ok((ledger, message.sequence))
}

/// Changes the document, beginning again when somebody else was faster.
pub(crate) async fn change<T>(
    session: &Session,
    owner: &Owner,
    mut change: impl FnMut(&mut Ledger) -> Result<T>,
) -> Result<T> {
    for _ in 0..TRIES {
        let (mut ledger, sequence) = read(session, owner).await?;
        let outcome = change(&mut ledger)?;
        match write(session, owner, &ledger, sequence).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            written => return written.map(|()| outcome),
        }
    }
    Err(Error::unavailable(
        "the ledger of the sink is written by others all the time",
    ))
}

async fn write(session: &Session, owner: &Owner, ledger: &Ledger, sequence: u64) -> Result<()> {
    let document = serde_json::to_vec(ledger)
        .map_err(|error| Error::internal("the ledger of the sink cannot be written").because(error))?;
    let message = PublishMessage::build()
        .payload(document.into())
        .header(NATS_ROLLUP, "sub")
        .expected_last_subject_sequence(sequence);
    session.publish(&owner.ledger(), message).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_commits_are_forgotten_and_those_of_the_newest_call_are_not() {
        let mut ledger = Ledger::default();
        let part = |checkpoint| (CheckpointId(checkpoint), "part".to_owned());
        ledger.note(&[part(1), part(100)]);
        assert!(ledger.has(CheckpointId(1), "part") && ledger.has(CheckpointId(100), "part"));
        ledger.note(&[part(101)]);
        assert!(!ledger.has(CheckpointId(1), "part") && ledger.has(CheckpointId(100), "part"));
        ledger.forget_after(CheckpointId(100));
        assert!(!ledger.has(CheckpointId(101), "part"));
        assert_eq!(ledger.newest, 100);
    }
}
