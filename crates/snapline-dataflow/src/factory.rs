//! How the nodes of a graph become links, with the record types hidden from whoever builds them.

use crate::context::OperatorContext;
use crate::head::{InputHead, SourceHead, TaskHead};
use crate::link::Next;
use crate::operator::source::growth::{FoundSplits, KnownSplits};
use crate::outlets::{Nowhere, Outlets, Side, SideOutputs};
use crate::output::{Output, OutputPort, Partitioning, Tee};
use async_trait::async_trait;
use snapline_connector::RecoveryScope;
use snapline_core::{
    AttemptId, Batch, BoxedBatch, CheckpointId, CheckpointSettings, Data, Error, JobId, MaxParallelism,
    OperatorUid, Result,
};
use snapline_state::{Committable, OperatorState};
use std::any::Any;
use std::marker::PhantomData;
use std::time::Duration;

/// A [`Next`] of some record type.
pub struct ErasedLink(Box<dyn Any + Send>);

impl ErasedLink {
    /// Hides the record type.
    pub fn new<T: 'static>(link: Next<T>) -> Self {
        Self(Box::new(link))
    }

    /// The beginning of a side output.
    pub(crate) fn side(side: Box<dyn Side>) -> Self {
        Self(Box::new(side))
    }

    /// Finds the links behind an operator again, whose results are of this type.
    ///
    /// # Errors
    /// `Internal` when they are of another.
    pub(crate) fn outlets<U: 'static>(self) -> Result<Outlets<U>> {
        let one = match self.0.downcast::<Outlets<U>>() {
            Ok(outlets) => return Ok(*outlets),
            Err(one) => one,
        };
        match one.downcast::<Box<dyn Side>>() {
            Ok(side) => Ok(Outlets::new(Box::new(Nowhere), vec![*side])),
            Err(results) => Ok(Outlets::new(Self(results).typed()?, Vec::new())),
        }
    }

    /// Finds the record type again.
    ///
    /// # Errors
    /// `Internal` when it is another.
    pub fn typed<T: 'static>(self) -> Result<Next<T>> {
        let typed = self.0.downcast::<Next<T>>().map(|link| *link);
        typed.map_err(|_| Error::internal("two chained operators have different record types"))
    }
}

impl std::fmt::Debug for ErasedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ErasedLink")
    }
}

/// Makes the links of an operator that has an input and an output.
#[async_trait]
pub trait OperatorFactory: Send + Sync {
    /// The operator of one subtask, in front of what is chained behind it.
    ///
    /// # Errors
    /// What keeps the operator from starting.
    async fn link(&self, context: OperatorContext, next: ErasedLink) -> Result<ErasedLink>;

    /// Which side outputs the operator may have.
    fn side_outputs(&self) -> SideOutputs {
        SideOutputs::None
    }
}

/// Makes the readers of a source.
#[async_trait]
pub trait SourceFactory: Send + Sync {
    /// Finds the splits of the source and deals them out to `parallelism` readers.
    ///
    /// # Errors
    /// What keeps the source from being found.
    async fn discover(&self, parallelism: u32) -> Result<Vec<OperatorState>>;

    /// Deals the splits of a checkpoint, the states of all its readers, out to `parallelism` readers. The source is not
    /// looked at: see [`SourceFactory::verify`].
    ///
    /// # Errors
    /// `Corrupted` when the splits cannot be decoded.
    fn resume(&self, states: Vec<OperatorState>, parallelism: u32) -> Result<Vec<OperatorState>>;

    /// Looks whether the source still has the splits of a checkpoint, once it is certain that the job goes on from it:
    /// before its readers are opened.
    ///
    /// # Errors
    /// `Invalid` when the source has changed.
    async fn verify(&self, states: &[&OperatorState]) -> Result<()>;

    /// How often the job has to look for new splits; `None` for a source that does not grow.
    fn discovery_interval(&self) -> Option<Duration> {
        None
    }

    /// What is known of a source that grows when its readers begin with these states.
    ///
    /// # Errors
    /// `Corrupted` when they cannot be decoded.
    fn known(&self, states: &[&OperatorState]) -> Result<KnownSplits>;

    /// Looks for splits that are not known, and deals them out. Of a look that fails or is dropped nothing is left.
    ///
    /// # Errors
    /// `Unavailable` to look again later; otherwise what keeps the source from being looked at.
    async fn discover_more(&self, known: KnownSplits) -> Result<FoundSplits>;

    /// The reader of one subtask, in front of what is chained behind it.
    ///
    /// # Errors
    /// What keeps the source from being read.
    fn head(&self, context: OperatorContext, next: ErasedLink) -> Result<Box<dyn SourceHead>>;
}

/// Makes the writers and the committer of a sink.
pub trait SinkFactory: Send + Sync {
    /// The writer of one subtask.
    ///
    /// # Errors
    /// What keeps the sink from being written.
    fn link(&self, context: OperatorContext) -> Result<ErasedLink>;

    /// Whether the sink can keep its promise with these settings.
    ///
    /// # Errors
    /// `Invalid` naming the setting.
    fn check(&self, checkpoints: &CheckpointSettings) -> Result<()>;

    /// Which subtasks have to restart together.
    fn recovery_scope(&self) -> RecoveryScope;

    /// The committer for all subtasks.
    ///
    /// # Errors
    /// What keeps the sink from being reached.
    fn committer(
        &self,
        job: &JobId,
        operator: &OperatorUid,
        attempt: AttemptId,
    ) -> Result<Box<dyn ErasedCommitter>>;
}

/// A [`snapline_connector::Committer`] of encoded committables.
#[async_trait]
pub trait ErasedCommitter: Send {
    /// See [`snapline_connector::Committer::commit`].
    ///
    /// # Errors
    /// As there, and `Corrupted` when a committable cannot be decoded.
    async fn commit(&mut self, committables: Vec<Committable>) -> Result<()>;

    /// See [`snapline_connector::Committer::recover`].
    ///
    /// # Errors
    /// As there.
    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()>;
}

/// How the output of a node leaves a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a runtime says all of it")]
pub struct OutputSettings {
    /// How the records are dealt out to the channels of a port.
    pub partitioning: Partitioning,
    /// How many key groups the job has.
    pub max_parallelism: MaxParallelism,
    /// How many records a batch has at the most; one that is dealt out by key has fewer than twice as many.
    pub batch_records: usize,
    /// What chance begins with.
    pub seed: u64,
}

/// What can be done with the output of a node.
pub trait OutputFactory: Send + Sync {
    /// Joins several links into one; the beginnings of side outputs may be among them.
    ///
    /// # Errors
    /// `Internal` when they are not of this record type.
    fn tee(&self, links: Vec<ErasedLink>) -> Result<ErasedLink>;

    /// The link that sends the output to other tasks.
    fn output(&self, settings: OutputSettings, port: Box<dyn OutputPort>) -> ErasedLink;

    /// The batch of this output that [`snapline_core::AnyBatch::encode_into`] has encoded.
    ///
    /// # Errors
    /// `Corrupted` when the bytes are anything else.
    fn decode(&self, bytes: &[u8]) -> Result<BoxedBatch>;

    /// The beginning of a task that takes this output as its input.
    ///
    /// # Errors
    /// `Internal` when the link is not of this record type.
    fn input(&self, link: ErasedLink) -> Result<Box<dyn TaskHead>>;
}

/// The [`OutputFactory`] of records of type `T`.
pub(crate) struct OutputOf<T>(PhantomData<fn() -> T>);

impl<T> OutputOf<T> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Data> OutputFactory for OutputOf<T> {
    fn tee(&self, links: Vec<ErasedLink>) -> Result<ErasedLink> {
        let (mut results, mut sides) = (Vec::new(), Vec::new());
        for link in links {
            match link.0.downcast::<Box<dyn Side>>() {
                Ok(side) => sides.push(*side),
                Err(link) => results.push(ErasedLink(link).typed::<T>()?),
            }
        }
        let results: Next<T> = match results.len() {
            1 => results.swap_remove(0),
            _ => Box::new(Tee::new(results)),
        };
        Ok(match sides.is_empty() {
            true => ErasedLink::new::<T>(results),
            false => ErasedLink(Box::new(Outlets::new(results, sides))),
        })
    }

    fn output(&self, settings: OutputSettings, port: Box<dyn OutputPort>) -> ErasedLink {
        ErasedLink::new::<T>(Box::new(Output::new(settings, port)))
    }

    fn decode(&self, bytes: &[u8]) -> Result<BoxedBatch> {
        Ok(Box::new(Batch::<T>::decode(bytes)?))
    }

    fn input(&self, link: ErasedLink) -> Result<Box<dyn TaskHead>> {
        Ok(Box::new(InputHead::new(link.typed::<T>()?)))
    }
}
