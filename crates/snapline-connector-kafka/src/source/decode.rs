//! Makes records of the job of records of Kafka, a batch at a time, so that the user's function is inlined.

use super::Undecodable;
use crate::client::KafkaRecord;
use snapline_core::{Batch, Error, Result};
use std::error::Error as StdError;
use std::sync::Arc;

/// Appends what records are decoded to.
pub(super) type Decode<T> =
    Arc<dyn Fn(&[KafkaRecord], &mut Batch<T>, Undecodable) -> Result<()> + Send + Sync>;

/// The function for many records that calls one for each.
pub(super) fn by_record<T: 'static, E: Into<Box<dyn StdError + Send + Sync>>>(
    decode: impl Fn(&KafkaRecord) -> Result<T, E> + Send + Sync + 'static,
) -> Decode<T> {
    Arc::new(move |records, batch, undecodable| {
        if batch.is_empty() {
            batch.timestamps.get_or_insert_default();
        }
        for record in records {
            match decode(record) {
                Ok(decoded) => {
                    batch.records.push(decoded);
                    if let Some(timestamps) = &mut batch.timestamps {
                        timestamps.push(record.timestamp);
                    }
                }
                Err(error) => on_undecodable(record, error.into(), undecodable)?,
            }
        }
        Ok(())
    })
}

fn on_undecodable(
    record: &KafkaRecord,
    error: Box<dyn StdError + Send + Sync>,
    undecodable: Undecodable,
) -> Result<()> {
    match undecodable {
        Undecodable::Fail => Err(Error::invalid(
            "a record of kafka cannot be decoded; correct the function that decodes, or pass such records over \
             with Undecodable::Skip",
        )
        .with("topic", &record.topic)
        .with("partition", record.partition)
        .with("offset", record.offset)
        .because(error)),
        Undecodable::Skip => {
            let KafkaRecord { topic, partition, offset, .. } = record;
            tracing::debug!(%topic, partition, offset, %error, "a record of kafka is passed over");
            metrics::counter!("snapline_kafka_undecodable_records", "topic" => topic.to_string()).increment(1);
            Ok(())
        }
    }
}
