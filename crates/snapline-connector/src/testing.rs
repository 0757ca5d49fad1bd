//! Drives readers and writers without a runtime.

use crate::sink::{CommitterContext, SinkWriter, WriterContext};
use crate::source::{ReaderContext, ReaderStatus, Source, SourceReader};
use futures::executor::block_on;
use futures::task::noop_waker;
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, SubtaskIndex};
use std::task::{Context, Poll};

pub(crate) fn reader_context() -> ReaderContext {
    ReaderContext {
        job: JobId::from_text("job"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
    }
}

pub(crate) fn writer_context(subtask: u32) -> WriterContext {
    WriterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        subtask: SubtaskIndex(subtask),
        parallelism: 1,
        attempt: AttemptId(1),
    }
}

pub(crate) fn committer_context() -> CommitterContext {
    CommitterContext {
        job: JobId::from_text("job"),
        operator: OperatorUid::from_text("sink"),
        attempt: AttemptId(1),
    }
}

/// One call, without a task that could be woken.
pub(crate) fn poll<T, S>(
    reader: &mut dyn SourceReader<T, S>,
    limit: usize,
) -> Poll<snapline_core::Result<(Vec<T>, ReaderStatus)>> {
    let mut batch = Batch::new();
    let polled = reader.poll_batch(&mut Context::from_waker(&noop_waker()), &mut batch, limit);
    assert!(batch.len() <= limit);
    match &polled {
        Poll::Ready(Ok(ReaderStatus::More)) => {}
        _ => assert!(batch.is_empty(), "records came together with {polled:?}"),
    }
    polled.map_ok(|status| (batch.records, status))
}

/// Exactly this many records of a reader that has them.
pub(crate) fn read<T, S>(reader: &mut dyn SourceReader<T, S>, count: usize) -> Vec<T> {
    let mut records = Vec::new();
    while records.len() < count {
        let Poll::Ready(Ok((more, ReaderStatus::More))) = poll(reader, count - records.len()) else {
            panic!("the reader has only {} of {count} records", records.len());
        };
        records.extend(more);
    }
    records
}

/// All records of these splits, read by one reader.
pub(crate) fn drain<S: Source>(source: &S, splits: Vec<S::Split>) -> Vec<S::Item> {
    let mut reader = source.reader(reader_context()).unwrap();
    reader.add_splits(splits);
    let mut records = Vec::new();
    while let Poll::Ready(Ok((more, ReaderStatus::More))) = poll(reader.as_mut(), 2) {
        records.extend(more);
    }
    assert!(matches!(
        poll(reader.as_mut(), 2),
        Poll::Ready(Ok((_, ReaderStatus::EndOfData)))
    ));
    assert!(reader.snapshot(CheckpointId(1)).unwrap().is_empty());
    records
}

/// Writes records as one batch.
pub(crate) fn write<T, C>(writer: &mut dyn SinkWriter<T, C>, records: Vec<T>) {
    let mut batch = Batch::from(records);
    writer.write(&mut batch).unwrap();
    assert!(batch.is_empty());
}

/// The committables of what was written so far.
pub(crate) fn prepare<T, C>(writer: &mut dyn SinkWriter<T, C>, checkpoint: u64) -> Vec<C> {
    block_on(writer.prepare_commit(CheckpointId(checkpoint)).unwrap()).unwrap()
}
