//! Writes the objects of one subtask, up to the point where they wait for their checkpoint.

use super::name::Part;
use super::place::Place;
use super::upload::Upload;
use super::{ObjectSinkPart, Options};
use futures::future::{BoxFuture, FutureExt, try_join_all};
use snapline_connector::{RecordEncoder, SinkWriter, WriterContext};
use snapline_core::{Batch, CheckpointId, Result};
use std::task::{Context, Poll};

/// So many parts of a subtask are on their way at a time.
const IN_FLIGHT: usize = 4;

pub(super) struct ObjectWriter<T> {
    place: Place,
    encode: RecordEncoder<T>,
    options: Options,
    part: Part,
    current: Upload,
    /// Objects that are long enough, of the coming checkpoint.
    sealed: Vec<Upload>,
}

impl<T> ObjectWriter<T> {
    pub(super) fn new(
        place: Place,
        encode: RecordEncoder<T>,
        options: Options,
        context: &WriterContext,
    ) -> Self {
        let part = Part {
            subtask: context.subtask,
            attempt: context.attempt,
            after: CheckpointId::NONE,
            number: 0,
        };
        Self {
            current: Upload::new(place.clone(), part, &options.suffix),
            place,
            encode,
            options,
            part,
            sealed: Vec::new(),
        }
    }

    fn seal(&mut self) {
        self.part.number += 1;
        let next = Upload::new(self.place.clone(), self.part, &self.options.suffix);
        self.sealed.push(std::mem::replace(&mut self.current, next));
    }
}

impl<T> SinkWriter<T, ObjectSinkPart> for ObjectWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        self.encode.append(&batch.records, &mut self.current.buffer)?;
        batch.clear();
        if self.current.buffer.len() >= self.options.part_size {
            self.current.send_part();
        }
        if self.current.len() >= self.options.roll_at {
            self.seal();
        }
        Ok(())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        for upload in &mut self.sealed {
            if upload.poll_fewer_than(IN_FLIGHT, cx)?.is_pending() {
                return Poll::Pending;
            }
        }
        self.current.poll_fewer_than(IN_FLIGHT, cx)
    }

    /// The task only hands its objects over; what is still to be uploaded is by the future.
    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<ObjectSinkPart>>>> {
        self.part.after = checkpoint;
        if self.current.len() > 0 {
            self.seal();
        } else {
            self.current = Upload::new(self.place.clone(), self.part, &self.options.suffix);
        }
        let uploads = std::mem::take(&mut self.sealed);
        Ok(try_join_all(uploads.into_iter().map(Upload::finish)).boxed())
    }
}
