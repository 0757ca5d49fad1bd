//! One attempt of a job with one writer, driven by hand.

use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, Result, SubtaskIndex};
use snapline_testkit::sink::Record;

pub(crate) struct Job<S: Sink<Record>> {
    name: &'static str,
    sink: S,
    committer: Box<dyn Committer<S::Committable>>,
    writer: Option<Box<dyn SinkWriter<Record, S::Committable>>>,
}

impl<S: Sink<Record>> Job<S> {
    pub(crate) fn new(name: &'static str, sink: S) -> Self {
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
    pub(crate) fn start(&mut self, attempt: u64, restored: Option<u64>) -> Result<()> {
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

    pub(crate) fn write(&mut self, keys: impl IntoIterator<Item = u64>) -> Result<()> {
        let writer = self.writer.as_mut().unwrap();
        block_on(poll_fn(|cx| writer.poll_ready(cx)))?;
        let records: Vec<_> = keys
            .into_iter()
            .map(|key| Record { key, value: key * 10 })
            .collect();
        writer.write(&mut Batch::from(records))?;
        writer.flush()
    }

    pub(crate) fn prepare(&mut self, checkpoint: u64) -> Result<Vec<S::Committable>> {
        let writer = self.writer.as_mut().unwrap();
        block_on(writer.prepare_commit(CheckpointId(checkpoint))?)
    }

    pub(crate) fn commit(&mut self, committables: Vec<S::Committable>) -> Result<()> {
        block_on(self.committer.commit(committables))
    }

    /// Writes these keys and commits them.
    pub(crate) fn pass(&mut self, checkpoint: u64, keys: impl IntoIterator<Item = u64>) -> Result<()> {
        self.write(keys)?;
        let committables = self.prepare(checkpoint)?;
        self.commit(committables)
    }
}
