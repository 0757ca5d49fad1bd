//! A job that was submitted.

use crate::plan::JobGraph;
use async_trait::async_trait;
use snapline_core::{AttemptId, CheckpointId, JobId, Result};
use std::sync::Arc;
use std::time::Duration;

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

    /// Asks the job to stop. Its checkpoints stay.
    fn cancel(&self);

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

    /// Asks the job to stop, as soon as each task has done what it is doing. Its checkpoints stay,
    /// so running the program again resumes.
    pub fn cancel(&self) {
        self.control.cancel();
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

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// It looks for its checkpoint and starts its tasks.
    Starting,
    /// Its tasks run.
    Running,
    /// A task failed; the job starts again after a delay.
    Restarting,
    /// Everything was read and committed.
    Finished,
    /// It failed for good.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// How a job is doing.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobStatus {
    /// The job.
    pub job: JobId,
    /// Where it is in its life.
    pub state: JobState,
    /// Its incarnation.
    pub attempt: AttemptId,
    /// The checkpoint from which it has resumed, if any; meaningful when it is no longer starting.
    pub restored: Option<CheckpointId>,
    /// What went wrong on the way without ending the job, for people, newest last: unreadable
    /// checkpoints that were passed over, failures that led to restarts.
    pub incidents: Vec<String>,
    /// How often it was restarted in this process.
    pub restarts: u32,
    /// How many records its sources have read in this process.
    pub records: u64,
    /// How much its sources have read and have to read since the last start, in a unit of theirs.
    pub progress: Option<(u64, u64)>,
    /// Its checkpoints.
    pub checkpoints: CheckpointCounts,
    /// The longest time that a freeze has kept a task from its records.
    pub longest_freeze: Duration,
}

/// The checkpoints of a job in this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointCounts {
    /// How many are complete.
    pub completed: u64,
    /// How many failed.
    pub failed: u64,
    /// The newest complete one.
    pub latest: Option<CheckpointId>,
    /// The size of the newest complete one in bytes.
    pub latest_bytes: u64,
    /// The size of all complete ones in bytes.
    pub total_bytes: u64,
    /// From trigger to completion, of the newest.
    pub latest_duration: Duration,
    /// From trigger to completion, of all together.
    pub total_duration: Duration,
    /// From trigger to completion, of the slowest.
    pub longest_duration: Duration,
}

impl JobStatus {
    /// The status of a job that was just submitted.
    pub fn starting(job: JobId) -> Self {
        Self {
            job,
            state: JobState::Starting,
            attempt: AttemptId(0),
            restored: None,
            incidents: Vec::new(),
            restarts: 0,
            records: 0,
            progress: None,
            checkpoints: CheckpointCounts::default(),
            longest_freeze: Duration::ZERO,
        }
    }
}

/// What a job that has ended well has done.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobResult {
    /// Its last status.
    pub status: JobStatus,
}

impl JobResult {
    /// The result of a job with this last status.
    pub fn new(status: JobStatus) -> Self {
        Self { status }
    }
}
