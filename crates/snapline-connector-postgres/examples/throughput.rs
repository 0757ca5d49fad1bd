//! How many rows a second reach a table through the sink, and through a loop that is written by hand.
//!
//! ```text
//! cargo run --release -p snapline-connector-postgres --example throughput
//! ```
//!
//! Both copy the same batches in binary and prepare and commit a transaction for as many of them; they run in turns, and
//! the ratio of the medians is what counts. The server is that of `SNAPLINE_POSTGRES_URL`, or one of its own, which does not wait for
//! the disk.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this is a program, not a library"
)]

use bytes::{BufMut, Bytes, BytesMut};
use futures::SinkExt;
use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_connector::{CommitterContext, Sink, WriterContext};
use snapline_connector_postgres::tokio_postgres::{Client, NoTls};
use snapline_connector_postgres::{PostgresServer, PostgresSink, Row};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, SubtaskIndex};
use snapline_testkit::services::Postgres;
use std::time::{Duration, Instant};

type Record = (i64, i64, String);

const BATCHES: i64 = 300;
const BATCH: i64 = 1_000;
/// Batches in one transaction.
const CHECKPOINT: i64 = 100;
const ROUNDS: u64 = 7;

fn main() {
    let postgres = Postgres::start().unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        times[0].push(timed(|| by_sink(postgres.url(), round)));
        times[1].push(timed(|| by_hand(postgres.url(), round)));
    }
    let rows = (BATCHES * BATCH) as f64;
    let [sink, hand] = times.map(|mut times| {
        times.sort_unstable();
        rows / times[times.len() / 2].as_secs_f64()
    });
    println!(
        "sink {sink:.0} rows/s, by hand {hand:.0} rows/s, ratio {:.2}",
        sink / hand
    );
}

fn batch(number: i64) -> Vec<Record> {
    let from = number * BATCH;
    let record = |key| (key, key * 7, format!("customer {}", key % 1_000));
    (from..from + BATCH).map(record).collect()
}

#[expect(clippy::disallowed_methods, reason = "this measures real time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn by_sink(url: &str, round: u64) {
    let table = format!("by_sink_{round}");
    create(url, &table);
    let server = PostgresServer::new(url).unwrap();
    let columns = ["key", "value", "name"];
    let sink = PostgresSink::new(
        server,
        table,
        columns,
        |(key, value, name): &Record, row: &mut Row<'_>| {
            row.put(key).put(value).put(name);
        },
    );
    let (job, operator) = (
        JobId::from_text(&format!("job-{round}")),
        OperatorUid::from_text("sink"),
    );
    let context = CommitterContext {
        job: job.clone(),
        operator: operator.clone(),
        attempt: AttemptId(1),
    };
    let mut committer = sink.committer(context).unwrap();
    block_on(committer.recover(AttemptId(1), None)).unwrap();
    let context = WriterContext {
        job,
        operator,
        subtask: SubtaskIndex(0),
        parallelism: 1,
        attempt: AttemptId(1),
    };
    let mut writer = sink.writer(context).unwrap();
    for number in 0..BATCHES {
        block_on(poll_fn(|cx| writer.poll_ready(cx))).unwrap();
        writer.write(&mut Batch::from(batch(number))).unwrap();
        if (number + 1) % CHECKPOINT == 0 {
            let checkpoint = CheckpointId(number as u64);
            let parts = block_on(writer.prepare_commit(checkpoint).unwrap()).unwrap();
            block_on(committer.commit(parts)).unwrap();
        }
    }
}

fn by_hand(url: &str, round: u64) {
    let table = format!("by_hand_{round}");
    create(url, &table);
    on_session(url, async |client| {
        for checkpoint in 0..BATCHES / CHECKPOINT {
            client.batch_execute("BEGIN").await.unwrap();
            let copy = format!("COPY {table} FROM STDIN BINARY");
            let mut copy = Box::pin(client.copy_in::<_, Bytes>(&copy).await.unwrap());
            let mut buffer = BytesMut::new();
            buffer.put_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
            for number in checkpoint * CHECKPOINT..(checkpoint + 1) * CHECKPOINT {
                for (key, value, name) in batch(number) {
                    buffer.put_i16(3);
                    buffer.put_i32(8);
                    buffer.put_i64(key);
                    buffer.put_i32(8);
                    buffer.put_i64(value);
                    buffer.put_i32(name.len() as i32);
                    buffer.put_slice(name.as_bytes());
                }
                copy.send(buffer.split().freeze()).await.unwrap();
            }
            buffer.put_i16(-1);
            copy.send(buffer.freeze()).await.unwrap();
            copy.as_mut().finish().await.unwrap();
            let commit = format!("PREPARE TRANSACTION 'hand-{round}'");
            client.batch_execute(&commit).await.unwrap();
            let commit = format!("COMMIT PREPARED 'hand-{round}'");
            client.batch_execute(&commit).await.unwrap();
        }
    });
}

fn create(url: &str, table: &str) {
    let create = format!(
        "DROP TABLE IF EXISTS {table};
         CREATE TABLE {table} (key bigint NOT NULL, value bigint NOT NULL, name text NOT NULL)"
    );
    on_session(url, async |client| client.batch_execute(&create).await.unwrap());
}

fn on_session(url: &str, work: impl AsyncFnOnce(&Client)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let config: snapline_connector_postgres::tokio_postgres::Config = url.parse().unwrap();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        work(&client).await;
    });
}
