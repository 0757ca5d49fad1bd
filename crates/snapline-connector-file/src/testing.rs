//! Drives readers and writers without a runtime.

use futures::task::noop_waker;
use serde::Serialize;
use serde::de::DeserializeOwned;
use snapline_connector::{ReaderContext, ReaderStatus, Source, SourceReader};
use snapline_core::{Batch, CheckpointId, JobId, Result, SubtaskIndex, decode, encode_into};
use std::task::{Context, Poll};

pub(crate) fn open<S: Source>(source: &S, splits: Vec<S::Split>) -> Box<dyn SourceReader<S::Item, S::Split>> {
    let context = ReaderContext {
        job: JobId::from_text("job"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
    };
    let mut reader = source.reader(context).unwrap();
    reader.add_splits(splits);
    reader
}

/// Up to `limit` records; `None` at the end.
pub(crate) fn poll<T, S>(reader: &mut dyn SourceReader<T, S>, limit: usize) -> Result<Option<Vec<T>>> {
    let mut batch = Batch::new();
    let polled = reader.poll_batch(&mut Context::from_waker(&noop_waker()), &mut batch, limit);
    let Poll::Ready(status) = polled else {
        panic!("a file never has to be waited for");
    };
    assert!(batch.len() <= limit);
    match status? {
        ReaderStatus::More => Ok(Some(batch.records)),
        ReaderStatus::EndOfData => {
            assert!(batch.is_empty(), "records came together with the end");
            Ok(None)
        }
    }
}

/// All records, this many at a time.
pub(crate) fn drain<T, S>(reader: &mut dyn SourceReader<T, S>, limit: usize) -> Result<Vec<T>> {
    let mut records = Vec::new();
    while let Some(more) = poll(reader, limit)? {
        records.extend(more);
    }
    assert!(reader.snapshot(CheckpointId(1))?.is_empty());
    Ok(records)
}

/// The same value as it comes out of a checkpoint.
pub(crate) fn stored<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let mut encoded = Vec::new();
    encode_into(value, &mut encoded).unwrap();
    decode(&encoded).unwrap()
}

/// A directory in memory where there is one: tests sync a lot.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}
