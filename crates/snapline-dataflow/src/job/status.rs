//! How a job is doing, and how it has done.

use snapline_core::{AttemptId, CheckpointId, Error, JobId, SubtaskId, Timestamp};
use std::time::Duration;

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
    /// It was stopped with a savepoint, before its input had ended.
    Suspended,
}

/// How a job is doing.
#[derive(Debug, Clone)]
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
    /// The failures of its tasks in this process, newest last; only the newest are kept.
    pub failures: Vec<JobFailure>,
    /// How often it, or a region of it, was restarted in this process.
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
            failures: Vec::new(),
            restarts: 0,
            records: 0,
            progress: None,
            checkpoints: CheckpointCounts::default(),
            longest_freeze: Duration::ZERO,
        }
    }
}

/// A failure of a job, and what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JobFailure {
    /// When it was noticed.
    pub at: Timestamp,
    /// The incarnation of the job that failed.
    pub attempt: AttemptId,
    /// The task that failed, named by the first operator of its chain; `None` when it was the job
    /// itself, its storage, or a commit.
    pub task: Option<SubtaskId>,
    /// The names of the operators that run in that task, in order.
    pub operators: Vec<String>,
    /// What it was.
    pub error: Error,
    /// What was done about it.
    pub answer: FailureAnswer,
}

/// What was done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureAnswer {
    /// The tasks that are connected with the failed one restarted; the others went on.
    RestartedRegion {
        /// How many tasks.
        tasks: usize,
    },
    /// The whole job restarted.
    RestartedJob,
    /// The job ended.
    Ended,
}

impl JobFailure {
    /// A failure that was not answered yet: the job ends by it.
    pub fn new(at: Timestamp, attempt: AttemptId, error: Error) -> Self {
        Self {
            at,
            attempt,
            task: None,
            operators: Vec::new(),
            error,
            answer: FailureAnswer::Ended,
        }
    }
}

/// What a job that has ended well has done.
#[derive(Debug, Clone)]
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
