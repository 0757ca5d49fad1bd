//! Writes records, and notices each that could not be written.

use super::error::error;
use crate::client::{KafkaProducer, NewRecord};
use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use krafka::producer::{DeliveryHandle, Producer, ProducerBuilder, Record};
use snapline_core::Result;
use std::collections::VecDeque;

pub(super) async fn producer(builder: ProducerBuilder) -> Result<Box<dyn KafkaProducer>> {
    let producer = builder.idempotent(true).build().await;
    Ok(Box::new(Idempotent {
        producer: producer.map_err(|e| error("opening a producer", e))?,
        sent: Deliveries::default(),
    }))
}

/// Records that were sent and not acknowledged, in their order.
#[derive(Default)]
pub(super) struct Deliveries(VecDeque<DeliveryHandle>);

impl Deliveries {
    pub(super) fn push(&mut self, delivery: DeliveryHandle) {
        self.0.push_back(delivery);
    }

    /// Forgets those that are acknowledged, up to the first that is not.
    ///
    /// # Errors
    /// What has kept one from being written.
    pub(super) fn settle(&mut self) -> Result<()> {
        while let Some(delivered) = self.0.front_mut().and_then(FutureExt::now_or_never) {
            self.0.pop_front();
            let _written = delivered.map_err(|e| error("writing a record", e))?;
        }
        Ok(())
    }

    /// Waits for all.
    ///
    /// # Errors
    /// What has kept one from being written.
    pub(super) async fn wait(&mut self) -> Result<()> {
        while let Some(delivery) = self.0.pop_front() {
            let _written = delivery.await.map_err(|e| error("writing a record", e))?;
        }
        Ok(())
    }
}

struct Idempotent {
    producer: Producer,
    sent: Deliveries,
}

#[async_trait]
impl KafkaProducer for Idempotent {
    async fn send(&mut self, records: Vec<NewRecord>) -> Result<()> {
        for record in records {
            let sent = self.producer.enqueue(theirs(record)).await;
            self.sent.push(sent.map_err(|e| error("sending a record", e))?);
        }
        self.sent.settle()
    }

    async fn flush(&mut self) -> Result<()> {
        self.producer.flush().await.map_err(|e| error("flushing", e))?;
        self.sent.wait().await
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
