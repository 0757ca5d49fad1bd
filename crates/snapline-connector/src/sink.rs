//! Where records go.

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_core::{
    AttemptId, Batch, CheckpointId, CheckpointSettings, JobId, OperatorUid, Result, SubtaskIndex,
};
use std::task::{Context, Poll};

/// A place where records go, exactly once, by two-phase commit.
///
/// At each checkpoint every writer pre-commits what it has written and hands out *committables*,
/// which are part of the checkpoint. When the checkpoint is complete the committer makes them
/// visible. After a failure the committables of the restored checkpoint are committed again, so a
/// commit must be idempotent.
///
/// A sink that cannot take anything back has no committables (`type Committable = ()`) and writes
/// at once: at least once.
///
/// # Contract
/// What a job that runs a sink has to do:
/// * Committables of a checkpoint that was given up are part of the next one: no writer ever hands
///   them out again.
/// * When a future of `prepare_commit` fails or is dropped, the job restarts: what it was to make
///   durable is lost to the writer.
pub trait Sink<T>: Send + Sync + 'static {
    /// What names a pre-committed part of the output.
    type Committable: Serialize + DeserializeOwned + Send + 'static;

    /// Opens the writer of one subtask.
    ///
    /// # Errors
    /// What keeps the sink from being written, naming it.
    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, Self::Committable>>>;

    /// Opens the committer, one for all writers.
    ///
    /// # Errors
    /// What keeps the sink from being reached, naming it.
    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<Self::Committable>>>;

    /// Sees whether it can keep its promise with these settings. Called when a job that takes checkpoints
    /// starts, before anything is opened.
    ///
    /// # Errors
    /// `Invalid` naming the setting, and what to do about it.
    fn check(&self, checkpoints: &CheckpointSettings) -> Result<()> {
        let _ = checkpoints;
        Ok(())
    }

    /// What [`Committer::recover`] touches. Subtasks of a sink that recovers as a whole always restart
    /// together.
    fn recovery_scope(&self) -> RecoveryScope {
        RecoveryScope::Sink
    }
}

/// What the recovery of a sink touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecoveryScope {
    /// What any writer has written since the restored checkpoint.
    #[default]
    Sink,
    /// Nothing that a writer which goes on has written: one subtask may restart alone.
    Subtask,
}

/// What a [`SinkWriter`] may want to know.
#[derive(Debug, Clone)]
pub struct WriterContext {
    /// The job.
    pub job: JobId,
    /// The sink's operator.
    pub operator: OperatorUid,
    /// Which writer it is.
    pub subtask: SubtaskIndex,
    /// How many writers there are.
    pub parallelism: u32,
    /// The incarnation of the job; no two writers ever have the same subtask and attempt.
    pub attempt: AttemptId,
}

/// What a [`Committer`] may want to know.
#[derive(Debug, Clone)]
pub struct CommitterContext {
    /// The job.
    pub job: JobId,
    /// The sink's operator.
    pub operator: OperatorUid,
    /// The incarnation of the job.
    pub attempt: AttemptId,
}

/// Writes the records of one subtask.
///
/// # Contract
/// * `write` leaves the batch empty.
/// * What was written before `prepare_commit`, and nothing that comes after, is in what its future
///   returns; a future without records returns no committables.
pub trait SinkWriter<T, C>: Send {
    /// Takes all records out of the batch and writes them, or keeps them to be written.
    ///
    /// # Errors
    /// What keeps them from being written; the job restarts from the last checkpoint.
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()>;

    /// Ready when the writer can take another batch; the task waits until it is.
    ///
    /// # Errors
    /// As [`SinkWriter::write`].
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// There is nothing more to write for the moment; a good time to pass buffers on.
    ///
    /// # Errors
    /// As [`SinkWriter::write`].
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Separates what was written before this checkpoint from what comes after, at once. The future
    /// runs beside the task, makes the former durable and names it.
    ///
    /// # Errors
    /// What keeps it from being separated; the checkpoint fails.
    fn prepare_commit(&mut self, checkpoint: CheckpointId) -> Result<BoxFuture<'static, Result<Vec<C>>>>;
}

/// Makes pre-committed output visible.
///
/// # Contract
/// * `commit` of something that is committed already is a success.
/// * When `commit` has failed, it will be called again with the same committables.
#[async_trait]
pub trait Committer<C>: Send {
    /// Commits all of these, from the oldest checkpoint to the newest.
    ///
    /// # Errors
    /// `Unavailable` to be called again after a while; any other kind fails the job, which tries
    /// again after a restart.
    async fn commit(&mut self, committables: Vec<C>) -> Result<()>;

    /// Puts the output in the state of the restored checkpoint (`None`: of the beginning): called
    /// when a job starts or restarts, after its committables were committed and before any writer of this
    /// attempt is opened. Removes what writers of older attempts have left behind, and touches nothing
    /// that a newer one has written: a process that was taken over may be late.
    ///
    /// # Errors
    /// `Invalid` when the output has something that this job's checkpoint does not account for, and
    /// what to do about it. `Conflict` when a newer attempt has recovered already.
    async fn recover(&mut self, attempt: AttemptId, restored: Option<CheckpointId>) -> Result<()> {
        let _ = (attempt, restored);
        Ok(())
    }
}
