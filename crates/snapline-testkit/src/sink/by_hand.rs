//! A sink that is driven call by call.

use super::Record;
use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, Result, SubtaskIndex};

/// One attempt of a job with one writer: a connector's own tests drive its sink by it, call by call.
///
/// # Panics
/// Its methods panic when [`Job::start`] was not called before, and [`Job::new`] when the sink has no committer.
pub struct Job<S: Sink<Record>> {
    name: &'static str,
    sink: S,
    committer: Box<dyn Committer<S::Committable>>,
    writer: Option<Box<dyn SinkWriter<Record, S::Committable>>>,
}

impl<S: Sink<Record>> Job<S> {
    /// The job of this name, which has not started.
    pub fn new(name: &'static str, sink: S) -> Self {
        let committer = sink
            .committer(CommitterContext {
                job: JobId::from_text(name),
                operator: OperatorUid::from_text("sink"),
                attempt: AttemptId(1),
            })
            .unwrap();
        Self {
            name,
            sink,
            committer,
            writer: None,
        }
    }

    /// Recovers, and opens the writer.
    ///
    /// # Errors
    /// Those of both.
    pub fn start(&mut self, attempt: u64, restored: Option<u64>) -> Result<()> {
        let attempt = AttemptId(attempt);
        block_on(self.committer.recover(attempt, restored.map(CheckpointId)))?;
        self.writer = Some(self.sink.writer(WriterContext {
            job: JobId::from_text(self.name),
            operator: OperatorUid::from_text("sink"),
            subtask: SubtaskIndex(0),
            parallelism: 1,
            attempt,
        })?);
        Ok(())
    }

    /// Writes a record for each key, whose value is ten times as much.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&mut self, keys: impl IntoIterator<Item = u64>) -> Result<()> {
        let writer = self.writer.as_mut().unwrap();
        block_on(poll_fn(|cx| writer.poll_ready(cx)))?;
        let records: Vec<_> = keys
            .into_iter()
            .map(|key| Record { key, value: key * 10 })
            .collect();
        writer.write(&mut Batch::from(records))?;
        writer.flush()
    }

    /// Lets a barrier pass and waits for what is to be committed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn prepare(&mut self, checkpoint: u64) -> Result<Vec<S::Committable>> {
        let writer = self.writer.as_mut().unwrap();
        block_on(writer.prepare_commit(CheckpointId(checkpoint))?)
    }

    /// Lets a barrier pass and does not wait for what comes of it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn give_up(&mut self, checkpoint: u64) -> Result<()> {
        let writer = self.writer.as_mut().unwrap();
        writer.prepare_commit(CheckpointId(checkpoint)).map(drop)
    }

    /// Commits.
    ///
    /// # Errors
    /// Those of the committer.
    pub fn commit(&mut self, committables: Vec<S::Committable>) -> Result<()> {
        block_on(self.committer.commit(committables))
    }

    /// Writes these keys and commits them.
    ///
    /// # Errors
    /// Those of writer and committer.
    pub fn pass(&mut self, checkpoint: u64, keys: impl IntoIterator<Item = u64>) -> Result<()> {
        self.write(keys)?;
        let committables = self.prepare(checkpoint)?;
        self.commit(committables)
    }
}
