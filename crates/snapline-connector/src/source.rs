//! Where records come from.

use crate::discovery::{DiscoveredSplits, SeenSplits};
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_core::{Batch, CheckpointId, Data, JobId, Result, SubtaskIndex};
use std::task::{Context, Poll};
use std::time::Duration;

/// A place where records come from.
///
/// # Contract
/// * Reading a split from a position yields the same records as reading it the first time.
/// * A split is read by one reader at a time.
pub trait Source: Send + Sync + 'static {
    /// What it reads.
    type Item: Data;
    /// A part of the source with the position from which it is still to be read.
    type Split: SourceSplit;

    /// Finds the splits of the whole source.
    ///
    /// # Errors
    /// `Invalid` when the source cannot be as it was described.
    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<Self::Split>>>;

    /// How often to look for new splits while the job runs. `None` for a source that has all of them when the job starts,
    /// whose readers end with their splits. Those of a source that grows wait for more. A millisecond at least.
    fn discovery_interval(&self) -> Option<Duration> {
        None
    }

    /// Reads the splits of one subtask.
    ///
    /// # Errors
    /// `Invalid` when the source cannot be as it was described.
    fn reader(&self, context: ReaderContext) -> Result<Box<dyn SourceReader<Self::Item, Self::Split>>>;
}

/// A part of a source that is read in order, and from where.
pub trait SourceSplit: Serialize + DeserializeOwned + Clone + Send + 'static {
    /// How much is left to read, in any unit that is the same for all splits of the source.
    fn weight(&self) -> u64;
}

/// Finds the splits of a source.
///
/// # Contract
/// * [`SplitEnumerator::discover_new`] finds each split once, whatever enumerators were asked before, as long as what they
///   have seen is handed on. What was seen when a call failed, or was dropped, is forgotten with its splits.
#[async_trait]
pub trait SplitEnumerator<S>: Send {
    /// Finds all splits.
    ///
    /// # Errors
    /// What keeps the source from being found, naming it.
    async fn discover(&mut self, context: &DiscoveryContext) -> Result<Vec<S>>;

    /// Finds the splits that were not seen before, and says what more there may be. Called when the job starts at the
    /// beginning, with nothing seen, and while it runs at each [interval](Source::discovery_interval) of a source that
    /// grows. What was seen is in each checkpoint together with the splits, so a split that was read to its end is not
    /// found again.
    ///
    /// Unless a source grows, all splits are there from the beginning.
    ///
    /// # Errors
    /// As [`SplitEnumerator::discover`]. While the job runs, `Unavailable` to be asked again after the interval.
    async fn discover_new(
        &mut self,
        context: &DiscoveryContext,
        seen: &mut SeenSplits,
    ) -> Result<DiscoveredSplits<S>> {
        let _ = seen;
        Ok(DiscoveredSplits::last(self.discover(context).await?))
    }

    /// Sees whether splits of a checkpoint can still be read. Called instead of
    /// [`SplitEnumerator::discover_new`] when the job resumes.
    ///
    /// # Errors
    /// `Invalid` when the source is not what it was, naming the difference.
    async fn verify(&mut self, restored: &[S]) -> Result<()> {
        let _ = restored;
        Ok(())
    }
}

/// What a [`SplitEnumerator`] may want to know.
#[derive(Debug, Clone)]
pub struct DiscoveryContext {
    /// How many readers there are.
    pub parallelism: u32,
}

/// What a [`SourceReader`] may want to know.
#[derive(Debug, Clone)]
pub struct ReaderContext {
    /// The job.
    pub job: JobId,
    /// Which reader it is.
    pub subtask: SubtaskIndex,
    /// How many readers there are.
    pub parallelism: u32,
}

/// Reads splits, one batch after the other.
///
/// # Contract
/// * [`SourceReader::snapshot`] names exactly the records that were not handed out yet.
/// * `poll_batch` hands out at most `limit` records at a time and does not wait.
/// * [`ReaderStatus::EndOfData`] comes alone, after the last records, and again whenever it is asked for.
/// * A reader without splits is at its end. Splits may be added at any time, at the end too, and are then read.
/// * Records may be read again, after a restart, until a checkpoint that they came before is complete: nothing is
///   acknowledged upstream before [`SourceReader::on_checkpoint_complete`].
/// * A reader that tells the [split](SourceReader::current_split) of a batch hands out records of one split at a
///   time, and names each split once that is [read to its end](SourceReader::take_finished).
/// * A reader that [can pause splits](SourceReader::can_pause_splits) hands out no record of one that is paused, has it in
///   its snapshots all the same, and goes on with the next record when it is not paused any more.
pub trait SourceReader<T, S>: Send {
    /// Adds splits to those that are to be read.
    fn add_splits(&mut self, splits: Vec<S>);

    /// Appends records to `batch`.
    ///
    /// `Pending` means that there are none for now and the task is woken when there are; then
    /// nothing was appended.
    ///
    /// # Errors
    /// What keeps the source from being read, naming the place.
    fn poll_batch(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch<T>,
        limit: usize,
    ) -> Poll<Result<ReaderStatus>>;

    /// The splits that are not read to their end, each with the position of the next record.
    ///
    /// # Errors
    /// What keeps the position from being known.
    fn snapshot(&mut self, checkpoint: CheckpointId) -> Result<Vec<S>>;

    /// A checkpoint is complete: what came before it may be acknowledged upstream.
    ///
    /// # Errors
    /// What keeps it from being acknowledged; the job restarts.
    fn on_checkpoint_complete(&mut self, checkpoint: CheckpointId) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// Of which split the records of the newest batch are: its position in the order in which splits were added,
    /// from 0. `None` when the reader does not tell, so that its records have one event time for all splits.
    fn current_split(&self) -> Option<usize> {
        None
    }

    /// The splits that were read to their end and not named yet, by their positions as above. They hold back
    /// event time no more.
    fn take_finished(&mut self) -> Vec<usize> {
        Vec::new()
    }

    /// Whether it can leave some of its splits aside and read the others meanwhile. One that cannot is made to wait as
    /// a whole when a split is too far ahead of others in event time.
    fn can_pause_splits(&self) -> bool {
        false
    }

    /// From now on reads none of these splits, which are named by their positions as above, and all others. `Pending` when
    /// there are no others: it will be told when to go on.
    fn pause_splits(&mut self, paused: &[usize]) {
        let _ = paused;
    }

    /// How far it is, if that can be said.
    fn progress(&self) -> ReaderProgress {
        ReaderProgress::default()
    }
}

/// Whether a reader has more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums, reason = "a task must treat both")]
pub enum ReaderStatus {
    /// There may be more: poll again.
    More,
    /// All splits are read to their end, and there will be no others.
    EndOfData,
}

/// How far a reader is, in a unit of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReaderProgress {
    /// How much was read since the reader started.
    pub done: u64,
    /// How much there is to read since the reader started, when that is known.
    pub total: Option<u64>,
}
