//! Orders from one stream of NATS JetStream, and the sum of each city into another, exactly once.
//!
//! The source acknowledges orders when their checkpoint is complete; the sink publishes sums when theirs is, each with an id by
//! which the server drops what would come twice. Kill such a job at any moment: it resumes, and each sum is there once.
//!
//! The server is that of `SNAPLINE_NATS_URL`, or one that the example starts from Debian's package `nats-server`.
//!
//! ```text
//! cargo run -p snapline-examples --features servers --bin nats
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! Lima 7
//! Oslo 12
//! ```

use snapline::connectors::nats::async_nats::jetstream::{self, stream::Config};
use snapline::connectors::nats::async_nats::{ConnectOptions, Error, ServerAddr};
use snapline::connectors::nats::{NatsMessage, NatsServer, NatsSink, NatsSource, NewMessage};
use snapline::prelude::*;
use snapline_testkit::services::{Nats, skip};
use std::convert::Infallible;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Ok(nats) = Nats::start().map_err(skip) else {
        return Ok(());
    };
    prepare(nats.url()).await?;
    let server = NatsServer::new(nats.url())?;
    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(MemoryCheckpointStorage::new())
        .build()?;
    env.enable_checkpointing(Duration::from_millis(100));
    let orders = NatsSource::new(server.clone(), "ORDERS", "billing", order);
    env.from_source(orders.subjects(["orders.*"]).bounded(), "orders")
        .key_by(|(city, _)| city.clone())
        .emit(Emit::Final)
        .sum(|(_, amount)| amount)
        .sink_to(NatsSink::new(
            server.clone(),
            "SUMS",
            "sums",
            |(city, sum): &(String, u64)| {
                Ok::<_, Infallible>(NewMessage::new(format!("{city} {sum}")).header("City", city))
            },
        ))
        .uid("sums");
    env.execute("orders").await?;

    let env = StreamExecutionEnvironment::builder().build()?;
    let text = |message: &NatsMessage| String::from_utf8(message.payload.to_vec());
    env.from_source(
        NatsSource::new(server, "SUMS", "printing", text).bounded(),
        "sums",
    )
    .print();
    env.execute("sums").await?;
    Ok(())
}

/// The city, which is in the subject, and the amount of an order.
fn order(message: &NatsMessage) -> Result<(String, u64), Error> {
    let city = message.subject.trim_start_matches("orders.").to_owned();
    Ok((city, std::str::from_utf8(&message.payload)?.parse()?))
}

/// Makes both streams anew, with some orders.
async fn prepare(url: &str) -> Result<(), Error> {
    let address: ServerAddr = url.parse()?;
    let [user, password] =
        [address.username(), address.password()].map(|part| part.unwrap_or_default().to_owned());
    let client = ConnectOptions::with_user_and_password(user, password)
        .connect(address)
        .await?;
    let jetstream = jetstream::new(client);
    for (name, subjects) in [("ORDERS", "orders.*"), ("SUMS", "sums")] {
        let config = Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            ..Config::default()
        };
        let _ = jetstream.delete_stream(name).await;
        jetstream.create_stream(config).await?;
    }
    for (city, amount) in [("Lima", "3"), ("Oslo", "5"), ("Lima", "4"), ("Oslo", "7")] {
        jetstream
            .publish(format!("orders.{city}"), amount.into())
            .await?
            .await?;
    }
    Ok(())
}
