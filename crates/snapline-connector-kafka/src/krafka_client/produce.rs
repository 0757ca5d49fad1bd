//! Writes records, and notices each that could not be written.

use super::error::error;
use crate::client::{KafkaProducer, NewRecord};
use async_trait::async_trait;
use bytes::Bytes;
use krafka::error::KrafkaError;
use krafka::interceptor::{InterceptorResult, ProducerInterceptor, RecordContext};
use krafka::producer::{Producer, ProducerBuilder, Record, RecordMetadata};
use snapline_core::Result;
use std::sync::{Arc, OnceLock};

pub(super) async fn producer(builder: ProducerBuilder) -> Result<Box<dyn KafkaProducer>> {
    let failure = Failure::default();
    let producer = builder
        .idempotent(true)
        .interceptor(failure.clone())
        .build()
        .await;
    Ok(Box::new(Idempotent {
        producer: producer.map_err(|e| error("opening a producer", e))?,
        failure,
    }))
}

/// The first record that could not be written. The client tells it of each record, so that nobody has to keep what it
/// gives for each to wait for.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<OnceLock<KrafkaError>>);

impl Failure {
    /// Whether all records that have come to an end are written.
    ///
    /// # Errors
    /// What has kept one from being written.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(failure) => Err(error("writing a record", failure.clone())),
        }
    }
}

impl ProducerInterceptor for Failure {
    fn on_acknowledgement(
        &self,
        _topic: &str,
        _partition: i32,
        written: std::result::Result<&RecordMetadata, &KrafkaError>,
        _headers: &krafka::Headers,
        _context: &mut RecordContext,
    ) -> InterceptorResult {
        if let Err(failure) = written {
            let _ = self.0.set(failure.clone());
        }
        Ok(())
    }
}

struct Idempotent {
    producer: Producer,
    failure: Failure,
}

#[async_trait]
impl KafkaProducer for Idempotent {
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        for record in records {
            let sent = self.producer.enqueue(theirs(record)).await;
            let _acknowledgement = sent.map_err(|e| error("sending a record", e))?;
        }
        self.failure.check()
    }

    async fn flush(&mut self) -> Result<()> {
        self.producer.flush().await.map_err(|e| error("flushing", e))?;
        self.failure.check()
    }
}

pub(super) fn theirs(record: NewRecord) -> Record {
    let topic = record.topic.unwrap_or_default();
    let mut theirs = match record.value {
        Some(value) => Record::new(topic, value),
        None => Record::new(topic, Bytes::new()).without_value(),
    };
    if let Some(key) = record.key {
        theirs = theirs.key(key);
    }
    if let Some(partition) = record.partition {
        theirs = theirs.partition(partition);
    }
    if let Some(timestamp) = record.timestamp {
        theirs = theirs.timestamp(timestamp.0);
    }
    for (name, value) in record.headers {
        theirs = match value {
            Some(value) => theirs.header(name, value),
            None => theirs.null_header(name),
        };
    }
    theirs
}
