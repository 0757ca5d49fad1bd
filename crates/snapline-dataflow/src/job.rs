//! A job that was submitted.

mod savepoint;
mod scope;
mod status;

pub use savepoint::{SavepointInfo, SavepointKind, SavepointRequest};
pub use scope::CheckpointScope;
pub use status::{CheckpointCounts, FailureAnswer, JobFailure, JobResult, JobState, JobStatus};

use crate::plan::JobGraph;
use async_trait::async_trait;
use snapline_coordinator::CheckpointStatistics;
use snapline_core::{CheckpointId, Result};
use std::sync::Arc;

/// Runs jobs: in this process, in a simulation, anywhere.
#[async_trait]
pub trait JobRunner: Send + Sync + std::fmt::Debug + 'static {
    /// Starts a job.
    ///
    /// # Errors
    /// What keeps the job from starting: its settings, its checkpoint, its sources and sinks.
    async fn submit(&self, job: JobGraph) -> Result<JobHandle>;
}

/// What a runner lets others see of a job and do to it.
#[async_trait]
pub trait JobControl: Send + Sync + 'static {
    /// How the job is doing.
    fn status(&self) -> JobStatus;

    /// How the checkpoints of the running attempt are doing.
    fn checkpoints(&self) -> CheckpointStatistics;

    /// Asks the job to stop. Its checkpoints stay, unless the settings say otherwise.
    fn cancel(&self);

    /// Takes a checkpoint.
    ///
    /// # Errors
    /// See [`JobHandle::checkpoint`].
    async fn checkpoint(&self, scope: CheckpointScope) -> Result<CheckpointId>;

    /// Takes a savepoint.
    ///
    /// # Errors
    /// See [`JobHandle::savepoint`].
    async fn savepoint(&self, request: SavepointRequest) -> Result<SavepointInfo>;

    /// Waits for the end of the job.
    ///
    /// # Errors
    /// What made the job fail, `Cancelled` when it was cancelled.
    async fn wait(&self) -> Result<JobResult>;
}

/// A job that was started.
#[derive(Clone)]
pub struct JobHandle {
    control: Arc<dyn JobControl>,
}

impl JobHandle {
    /// A handle to what a runner has started.
    pub fn new(control: Arc<dyn JobControl>) -> Self {
        Self { control }
    }

    /// How the job is doing.
    pub fn status(&self) -> JobStatus {
        self.control.status()
    }

    /// How the checkpoints of the running attempt are doing, each with what it has cost each task: the
    /// ones under way, the last ones, all together, what was restored, and what was no consistent cut.
    pub fn checkpoints(&self) -> CheckpointStatistics {
        self.control.checkpoints()
    }

    /// Asks the job to stop, as soon as each task has done what it is doing. Its checkpoints stay,
    /// so running the program again resumes, unless `checkpoints.retention` says otherwise.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Takes a checkpoint now, as soon as the job runs, and returns when it exists: one like those that are taken
    /// periodically, or one that refers to no files of older ones.
    ///
    /// # Errors
    /// `Unavailable` when the job has ended or the checkpoint could not be taken.
    pub async fn checkpoint(&self, scope: CheckpointScope) -> Result<CheckpointId> {
        self.control.checkpoint(scope).await
    }

    /// Takes a savepoint, as soon as the job runs: a checkpoint that the user owns, complete in itself,
    /// under a path of the user's. The job goes on, or stops when the request says so.
    ///
    /// ```no_run
    /// # async fn example(job: snapline_dataflow::JobHandle) -> snapline_core::Result<()> {
    /// use snapline_dataflow::SavepointRequest;
    ///
    /// let before = job.savepoint("savepoints/before-upgrade".into()).await?;
    /// println!("checkpoint {} is at {}", before.checkpoint, before.location);
    /// job.savepoint(SavepointRequest::new("savepoints/last").suspend()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Invalid` when there is something at the path already, `Unavailable` when the job has
    /// ended or the savepoint could not be taken; the message tells when one was written
    /// nevertheless.
    pub async fn savepoint(&self, request: SavepointRequest) -> Result<SavepointInfo> {
        self.control.savepoint(request).await
    }

    /// Waits for the end of the job: all input read, all results committed.
    ///
    /// # Errors
    /// What made the job fail, `Cancelled` when it was cancelled.
    pub async fn wait(&self) -> Result<JobResult> {
        self.control.wait().await
    }
}

impl std::fmt::Debug for JobHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("JobHandle").field(&self.status()).finish()
    }
}
