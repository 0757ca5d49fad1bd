//! Records as messages of a stream, exactly once.

mod cleanup;
mod committer;
mod encode;
mod published;
mod staging;
mod target;
mod waiting;
mod writer;

use crate::events::Events;
use crate::message::NewMessage;
use crate::owner::Owner;
use crate::server::NatsServer;
use committer::NatsCommitter;
use encode::{Encode, by_record};
use serde::{Deserialize, Serialize};
use snapline_connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, CheckpointId, CheckpointSettings, Error, Result, SubtaskIndex};
use std::error::Error as StdError;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use target::Target;
use waiting::Waiting;
use writer::NatsWriter;

/// Publishes a message for each record to a stream, exactly once.
///
/// | | |
/// |---|---|
/// | guarantee | exactly once: the messages of a checkpoint come into the stream when it is complete, those of each writer in their order |
/// | needs | JetStream; a stream that keeps its messages (retention by limits, no limit for each subject) and drops duplicates for longer than the interval of checkpoints; the right to make a stream `snapline_...`, read both, and publish |
/// | in flight at a crash | what waits of no checkpoint is removed at the next start; its records are written anew |
///
/// Until their checkpoint is complete, messages wait in a stream of the sink's own, many in one, so that checkpoints stay
/// small. The commit publishes them, each with a `Nats-Msg-Id` made of job, operator, checkpoint, subtask, a number of the writer
/// and one of the message, so that the server drops one that comes twice within the `duplicate_window` of the stream.
///
/// That window does not limit how long a job may be away. The checkpoint has the number of the last message that was in
/// the stream when it was taken; a commit that is repeated, after a crash, looks at all that came since, and publishes only what is
/// missing. When messages that came since are gone, because the stream is short, that cannot be known, and the job is refused
/// unless [`ExistingMessages::Keep`] says otherwise. The window has to last only for what is on its way when a
/// connection breaks or a process is taken over.
///
/// A ledger, the last message of a subject of the sink's own stream, knows what is committed, and which attempt has the sink: a
/// process that was taken over, or another job of the same name, is refused (`Conflict`). When a job is given up for
/// good, its stream `snapline_...` may be deleted.
///
/// When the server is away, writers and commits wait, for as long as [`NatsServer::patience`] lasts; then the job restarts.
///
/// # Examples
/// ```
/// use snapline_connector_nats::{NatsServer, NatsSink, NewMessage};
/// use std::convert::Infallible;
///
/// let server = NatsServer::new("nats://writer:secret@nats.example.com:4222")?;
/// let sink = NatsSink::new(server, "COUNTS", "counts.words", |(word, count): &(String, u64)| {
///     Ok::<_, Infallible>(NewMessage::new(count.to_string()).header("Word", word))
/// });
/// # drop(sink);
/// # Ok::<(), snapline_core::Error>(())
/// ```
pub struct NatsSink<T> {
    delivery: Arc<Delivery>,
    encode: Encode<T>,
}

/// What happens with messages that the restored checkpoint does not account for, or may not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingMessages {
    /// The job does not start.
    #[default]
    Refuse,
    /// They stay, and the records of a restored checkpoint are published again.
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guarantee {
    ExactlyOnce,
    AtLeastOnce,
}

/// The server side of a sink, which its writers and its committer share.
#[derive(Debug)]
struct Delivery {
    server: NatsServer,
    /// The stream that gets the messages.
    stream: String,
    subject: String,
    guarantee: Guarantee,
    existing: ExistingMessages,
    replicas: usize,
    /// Tells this process from another one that has the same job and attempt.
    holder: u64,
    events: Events,
    waiting: Waiting,
    /// As the last recovery has found it.
    target: Mutex<Option<Arc<Target>>>,
    interval: OnceLock<Duration>,
}

/// What a writer has prepared for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatsPart {
    checkpoint: CheckpointId,
    subtask: SubtaskIndex,
    attempt: AttemptId,
    /// No two writers have the same.
    run: String,
    /// The parts of one writer have numbers.
    number: u64,
    /// Where its messages wait: the numbers of messages in the sink's own stream.
    chunks: Vec<u64>,
    /// The last message that was in the stream before any of this part.
    after: u64,
}

impl NatsPart {
    /// What names it in the ledger, and ends the subject under which it waits.
    fn name(&self) -> String {
        part_name(self.attempt, self.subtask, &self.run, self.number)
    }

    fn id_prefix(&self, owner: &Owner) -> String {
        owner.id_prefix(self.checkpoint, self.subtask, &self.run)
    }
}

fn part_name(attempt: AttemptId, subtask: SubtaskIndex, run: &str, number: u64) -> String {
    format!("{attempt}.{subtask}.{run}.{number}")
}

impl<T: 'static> NatsSink<T> {
    /// Publishes what `encode` makes of each record into this stream, under this subject unless the message has another.
    pub fn new<E: Into<Box<dyn StdError + Send + Sync>>>(
        server: NatsServer,
        stream: impl Into<String>,
        subject: impl Into<String>,
        encode: impl Fn(&T) -> Result<NewMessage, E> + Send + Sync + 'static,
    ) -> Self {
        Self {
            delivery: Arc::new(Delivery {
                server,
                stream: stream.into(),
                subject: subject.into(),
                guarantee: Guarantee::ExactlyOnce,
                existing: ExistingMessages::default(),
                replicas: 1,
                holder: RandomState::new().hash_one(std::process::id()),
                events: Events::default(),
                waiting: Waiting::default(),
                target: Mutex::default(),
                interval: OnceLock::new(),
            }),
            encode: by_record(encode),
        }
    }

    /// Publishes at once, without a stream of its own: after a failure, messages since the last checkpoint come again.
    #[must_use]
    pub fn at_least_once(self) -> Self {
        self.with(|delivery| delivery.guarantee = Guarantee::AtLeastOnce)
    }

    /// Does this with messages of checkpoints that the job does not know, or may not know.
    #[must_use]
    pub fn on_existing(self, existing: ExistingMessages) -> Self {
        self.with(|delivery| delivery.existing = existing)
    }

    /// How many servers of a cluster keep what waits for its checkpoint, 1 to 5; 1 unless set.
    #[must_use]
    pub fn replicas(self, replicas: usize) -> Self {
        self.with(|delivery| delivery.replicas = replicas)
    }

    fn with(mut self, change: impl FnOnce(&mut Delivery)) -> Self {
        // Nobody else has it before the job is built.
        if let Some(delivery) = Arc::get_mut(&mut self.delivery) {
            change(delivery);
        }
        self
    }
}

impl Delivery {
    fn set_target(&self, target: Target) {
        let mut known = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::new(target));
    }

    /// # Errors
    /// `Internal` before the sink has recovered, which it does before it has writers.
    fn target(&self) -> Result<Arc<Target>> {
        let known = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.clone();
        known.ok_or_else(|| Error::internal("a writer was opened before its sink has recovered"))
    }

    fn name(&self, error: Error) -> Error {
        error.with("stream", &self.stream)
    }
}

impl<T: 'static> Sink<T> for NatsSink<T> {
    type Committable = NatsPart;

    /// The window in which the stream drops duplicates is compared with the interval of checkpoints as soon as the server is asked,
    /// when the sink recovers.
    fn check(&self, checkpoints: &CheckpointSettings) -> Result<()> {
        let _ = self
            .delivery
            .interval
            .set(Duration::from_millis(checkpoints.interval_ms));
        Ok(())
    }

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, NatsPart>>> {
        let writer = NatsWriter::start(&self.delivery, self.encode.clone(), context)?;
        Ok(Box::new(writer))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<NatsPart>>> {
        let owner = Owner::new(&context.job, &context.operator);
        Ok(Box::new(NatsCommitter::new(self.delivery.clone(), owner)?))
    }
}

impl<T> fmt::Debug for NatsSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsSink")
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}
