//! Orders from one topic of Kafka, and the sum of each city into another, exactly once by transactions.
//!
//! The offsets are in the checkpoints, and a transaction is committed when its checkpoint is complete, by whichever process goes
//! on from it. The broker is that of the client's tests and lives in this process; `KafkaConnection::to` reaches a real one.
//!
//! ```text
//! cargo run -p snapline-examples --features servers --bin kafka
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! Lima 7
//! Oslo 12
//! ```

use snapline::connectors::kafka::krafka::Record;
use snapline::connectors::kafka::krafka::testing::FakeBroker;
use snapline::connectors::kafka::{KafkaConnection, KafkaRecord, KafkaSink, KafkaSource, NewRecord};
use snapline::prelude::*;
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let broker = FakeBroker::start().await?;
    prepare(&broker).await?;
    let kafka = KafkaConnection::to(broker.bootstrap_servers());
    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(MemoryCheckpointStorage::new())
        .build()?;
    env.enable_checkpointing(Duration::from_millis(100));
    let orders = KafkaSource::new(&kafka, ["orders"], order);
    let sums = KafkaSink::new(&kafka, "sums", |(city, sum): &(String, u64)| {
        Ok::<_, Infallible>(NewRecord::value(sum.to_string()).key(city.clone()))
    });
    env.from_source(orders.bounded(), "orders")
        .key_by(|(city, _)| city.clone())
        .emit(Emit::Final)
        .sum(|(_, amount)| amount)
        .sink_to(sums)
        .uid("sums");
    env.execute("orders").await?;

    let env = StreamExecutionEnvironment::builder().build()?;
    env.from_source(KafkaSource::new(&kafka, ["sums"], order).bounded(), "sums")
        .map(|(city, sum)| format!("{city} {sum}"))
        .print();
    env.execute("sums").await?;
    Ok(())
}

/// The city and the amount, which are key and value.
fn order(record: &KafkaRecord) -> Result<(String, u64), Failure> {
    let [city, amount] = [&record.key, &record.value].map(|bytes| bytes.as_deref().unwrap_or_default());
    Ok((
        String::from_utf8(city.to_vec())?,
        std::str::from_utf8(amount)?.parse()?,
    ))
}

/// Two topics, and some orders in one.
async fn prepare(broker: &FakeBroker) -> Result<(), Failure> {
    broker.create_topic("orders", 2);
    broker.create_topic("sums", 1);
    let producer = broker.kafka().connect().await?.producer().build().await?;
    for (city, amount) in [("Lima", "3"), ("Oslo", "5"), ("Lima", "4"), ("Oslo", "7")] {
        let _written = producer.send(Record::new("orders", amount).key(city)).await?;
    }
    producer.close().await?;
    Ok(())
}
