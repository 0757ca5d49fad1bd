//! One attempt of a job with this sink, driven by hand.

use super::subject::{ByteCommitter, ByteSink, Record, Subject, Writer};
use futures::executor::block_on;
use futures::future::{BoxFuture, poll_fn};
use snapline_connector::{CommitterContext, RecoveryScope, WriterContext};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, Result, SubtaskIndex};

/// What a checkpoint has of a sink.
pub(super) type Committables = Vec<Vec<u8>>;

/// A process of its own, from the outside: nothing but the sink's outside is shared with others.
pub(super) struct Attempt {
    id: u64,
    sink: Box<dyn ByteSink>,
    committer: ByteCommitter,
    writers: Vec<Writer>,
}

impl Subject {
    /// The attempt of this number, which has done nothing so far.
    pub(super) fn attempt(&self, id: u64) -> Attempt {
        let sink = self.open();
        let context = CommitterContext {
            job: JobId::from_text("job"),
            operator: OperatorUid::from_text("sink"),
            attempt: AttemptId(id),
        };
        Attempt {
            id,
            committer: sink.committer(context).unwrap(),
            sink,
            writers: Vec::new(),
        }
    }

    /// The same, recovered from a checkpoint, with this many writers.
    pub(super) fn start(&self, id: u64, restored: Option<u64>, writers: u32) -> Attempt {
        let mut attempt = self.attempt(id);
        attempt.recover(restored).unwrap();
        attempt.open(writers);
        attempt
    }
}

impl Attempt {
    pub(super) fn recover(&mut self, restored: Option<u64>) -> Result<()> {
        block_on(
            self.committer
                .recover(AttemptId(self.id), restored.map(CheckpointId)),
        )
    }

    /// As a region of the same attempt does when it restarts.
    pub(super) fn recover_as(&mut self, id: u64, restored: Option<u64>) -> Result<()> {
        block_on(self.committer.recover(AttemptId(id), restored.map(CheckpointId)))
    }

    pub(super) fn open(&mut self, writers: u32) {
        self.writers = (0..writers)
            .map(|subtask| self.writer(subtask, writers, self.id))
            .collect();
    }

    /// Opens one writer anew, as another attempt.
    pub(super) fn reopen(&mut self, subtask: u32, id: u64) {
        let writers = self.writers.len() as u32;
        self.writers[subtask as usize] = self.writer(subtask, writers, id);
    }

    fn writer(&self, subtask: u32, parallelism: u32, id: u64) -> Writer {
        let context = WriterContext {
            job: JobId::from_text("job"),
            operator: OperatorUid::from_text("sink"),
            subtask: SubtaskIndex(subtask),
            parallelism,
            attempt: AttemptId(id),
        };
        self.sink.writer(context).unwrap()
    }

    pub(super) fn scope(&self) -> RecoveryScope {
        self.sink.recovery_scope()
    }

    /// Writes records with one writer as one batch.
    pub(super) fn write(&mut self, subtask: usize, records: &[Record]) {
        self.try_write(subtask, records).unwrap();
    }

    pub(super) fn try_write(&mut self, subtask: usize, records: &[Record]) -> Result<()> {
        let writer = &mut self.writers[subtask];
        block_on(poll_fn(|cx| writer.poll_ready(cx)))?;
        let mut batch = Batch::from(records.to_vec());
        writer.write(&mut batch)?;
        assert!(batch.is_empty(), "the batch still has {} records", batch.len());
        Ok(())
    }

    /// Lets a barrier pass one writer.
    pub(super) fn barrier(
        &mut self,
        subtask: usize,
        checkpoint: u64,
    ) -> Result<BoxFuture<'static, Result<Committables>>> {
        self.writers[subtask].prepare_commit(CheckpointId(checkpoint))
    }

    /// Lets a barrier pass all writers and waits until what they have written is durable.
    pub(super) fn prepare(&mut self, checkpoint: u64) -> Committables {
        let prepared: Vec<_> = (0..self.writers.len())
            .map(|subtask| self.barrier(subtask, checkpoint).unwrap())
            .collect();
        prepared
            .into_iter()
            .flat_map(|prepared| block_on(prepared).unwrap())
            .collect()
    }

    pub(super) fn commit(&mut self, committables: &[Vec<u8>]) {
        block_on(self.committer.commit(committables.to_vec())).unwrap();
    }

    /// Begins to commit and stops after this many steps of the future. Whether it was done by then.
    pub(super) fn begin_commit(&mut self, committables: &[Vec<u8>], steps: usize) -> bool {
        let mut committing = self.committer.commit(committables.to_vec());
        let mut left = steps;
        block_on(poll_fn(|cx| {
            if left == 0 {
                return std::task::Poll::Ready(false);
            }
            left -= 1;
            committing.as_mut().poll(cx).map(|done| {
                done.unwrap();
                true
            })
        }))
    }
}

/// Records with these keys, each with a value that is ten times its key.
pub(super) fn records(keys: impl IntoIterator<Item = u64>) -> Vec<Record> {
    let record = |key| Record { key, value: key * 10 };
    keys.into_iter().map(record).collect()
}
