//! Orders from one table of PostgreSQL, and the sum of each city into another, exactly once.
//!
//! The sink prepares a transaction at each checkpoint and commits it when that is complete: whoever reads the table sees each sum once,
//! also after a crash between the two.
//!
//! The server is that of `SNAPLINE_POSTGRES_URL`, or one that the example starts from Debian's package `postgresql`.
//!
//! ```text
//! cargo run -p snapline-examples --features servers --bin postgres
//! ```
//!
//! Expected output (sorted):
//!
//! ```text
//! Lima 7
//! Oslo 12
//! ```

use snapline::connectors::postgres::tokio_postgres::{Error, NoTls, connect};
use snapline::connectors::postgres::{PostgresServer, PostgresSink, PostgresSource, Row};
use snapline::prelude::*;
use snapline_testkit::services::{Postgres, skip};
use std::time::Duration;

const TABLES: &str = "
    DROP TABLE IF EXISTS orders, sums, snapline_sink, snapline_commit;
    CREATE TABLE orders (id bigint PRIMARY KEY, city text NOT NULL, amount bigint NOT NULL);
    CREATE TABLE sums (city text PRIMARY KEY, amount bigint NOT NULL);
    INSERT INTO orders VALUES (1, 'Lima', 3), (2, 'Oslo', 5), (3, 'Lima', 4), (4, 'Oslo', 7)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Ok(postgres) = Postgres::start().map_err(skip) else {
        return Ok(());
    };
    prepare(postgres.url()).await?;
    let server = PostgresServer::new(postgres.url())?;
    let env = StreamExecutionEnvironment::builder()
        .checkpoint_storage(MemoryCheckpointStorage::new())
        .build()?;
    env.enable_checkpointing(Duration::from_millis(100));
    let orders = PostgresSource::new(server.clone(), "orders", "id", |row| {
        Ok((row.try_get("city")?, row.try_get("amount")?))
    });
    let columns = ["city", "amount"];
    env.from_source(orders, "orders")
        .key_by(|(city, _): &(String, i64)| city.clone())
        .emit(Emit::Final)
        .sum(|(_, amount)| amount)
        .sink_to(PostgresSink::new(
            server.clone(),
            "sums",
            columns,
            |(city, sum): &(String, i64), row: &mut Row<'_>| {
                row.put(city).put(sum);
            },
        ))
        .uid("sums");
    env.execute("orders").await?;

    let env = StreamExecutionEnvironment::builder().build()?;
    let sums = PostgresSource::new(server, "sums", "city", |row| {
        let (city, sum): (String, i64) = (row.try_get("city")?, row.try_get("amount")?);
        Ok(format!("{city} {sum}"))
    });
    env.from_source(sums, "sums").print();
    env.execute("sums").await?;
    Ok(())
}

/// Makes both tables anew, with some orders, and forgets what was committed before.
async fn prepare(url: &str) -> Result<(), Error> {
    let (client, connection) = connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute(TABLES).await
}
