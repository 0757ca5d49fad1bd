//! The writer of one subtask: encodes in the task, and leaves the rest to its sender.

use super::KafkaCommittable;
use super::outbox::Outbox;
use crate::client::NewRecord;
use futures::future::BoxFuture;
use snapline_connector::SinkWriter;
use snapline_core::{Batch, CheckpointId, Error, Result};
use std::error::Error as StdError;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Encodes a whole batch, so that the code for one record is inlined in its loop.
pub(super) type Encode<T> = Arc<dyn Fn(&[T], &mut Vec<NewRecord>) -> Result<()> + Send + Sync>;

/// The function for many records that calls one for each.
pub(super) fn by_record<T: 'static, E: Into<Box<dyn StdError + Send + Sync>>>(
    encode: impl Fn(&T) -> Result<NewRecord, E> + Send + Sync + 'static,
) -> Encode<T> {
    Arc::new(move |records, encoded| {
        for record in records {
            encoded.push(encode(record).map_err(|error| {
                Error::invalid("a record cannot be encoded for kafka; correct the function that encodes")
                    .because(error.into())
            })?);
        }
        Ok(())
    })
}

pub(super) struct KafkaWriter<T> {
    encode: Encode<T>,
    topic: String,
    outbox: Outbox,
}

impl<T> KafkaWriter<T> {
    pub(super) fn new(encode: Encode<T>, topic: String, outbox: Outbox) -> Self {
        Self {
            encode,
            topic,
            outbox,
        }
    }
}

impl<T> SinkWriter<T, KafkaCommittable> for KafkaWriter<T> {
    fn write(&mut self, batch: &mut Batch<T>) -> Result<()> {
        let mut records = Vec::with_capacity(batch.len());
        (self.encode)(&batch.records, &mut records)?;
        batch.clear();
        if records.is_empty() {
            return Ok(());
        }
        for record in &mut records {
            record.topic.get_or_insert_with(|| self.topic.clone());
        }
        self.outbox.send(records)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.outbox.poll_ready(cx)
    }

    fn prepare_commit(
        &mut self,
        checkpoint: CheckpointId,
    ) -> Result<BoxFuture<'static, Result<Vec<KafkaCommittable>>>> {
        self.outbox.prepare(checkpoint)
    }
}
