//! Writes the objects of one subtask, up to the point where they wait for their checkpoint.

use super::open_uploads::{OpenUploads, ROOT};
use super::place::Place;
use super::upload::Upload;
use super::{ObjectSinkPart, Options};
use futures::future::{BoxFuture, FutureExt, try_join_all};
use snapline_connector::{Buckets, RecordEncoder, SinkWriter, WriterContext};
use snapline_core::{Batch, CheckpointId, Result};
use std::task::{Context, Poll};

pub(super) struct ObjectWriter<T> {
    encode: RecordEncoder<T>,
    buckets: Option<Buckets<T>>,
    uploads: OpenUploads,
}

impl<T> ObjectWriter<T> {
    pub(super) fn new(
        place: Place,
        encode: RecordEncoder<T>,
        buckets: Option<Buckets<T>>,
        options: Options,
        context: &WriterContext,
    ) -> Self {
        Self {
            encode,
            buckets,
            uploads: OpenUploads::new(place, options, context),
        }
    }
}

impl<T> SinkWriter<T, ObjectSinkPart> for ObjectWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let (encode, uploads) = (&self.encode, &mut self.uploads);
        let mut append =
            |bucket: &str, records: &[T]| uploads.append(bucket, |buffer| encode.append(records, buffer));
        match &self.buckets {
            Some(buckets) => buckets.divide(&batch.records, append)?,
            None => append(ROOT, &batch.records)?,
        }
        batch.clear();
        Ok(())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.uploads.poll_ready(cx)
    }

    /// The task only hands its objects over; what is still to be uploaded is by the future.
    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<ObjectSinkPart>>>> {
        let uploads = self.uploads.take(checkpoint);
        Ok(try_join_all(uploads.into_iter().map(Upload::finish)).boxed())
    }
}
