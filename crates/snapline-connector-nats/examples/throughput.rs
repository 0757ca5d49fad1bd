//! How many messages a second reach a stream through the sink, and through a loop that is written by hand.
//!
//! ```text
//! cargo run --release -p snapline-connector-nats --example throughput
//! ```
//!
//! Both publish the same batches, each message with an id and many on their way, and wait for the word of the stream; the
//! sink lets them wait in a stream of its own before, for as many batches as a checkpoint has. They run in turns, and the ratio of the
//! medians is what counts. The server is that of `SNAPLINE_NATS_URL`, or one of its own.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this is a program, not a library"
)]

use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_connector::{CommitterContext, Sink, WriterContext};
use snapline_connector_nats::async_nats::jetstream::context::PublishAckFuture;
use snapline_connector_nats::async_nats::jetstream::message::PublishMessage;
use snapline_connector_nats::async_nats::jetstream::stream::Config;
use snapline_connector_nats::async_nats::jetstream::{self, Context};
use snapline_connector_nats::async_nats::{ConnectOptions, ServerAddr};
use snapline_connector_nats::{NatsServer, NatsSink, NewMessage};
use snapline_core::{AttemptId, Batch, CheckpointId, JobId, OperatorUid, SubtaskIndex};
use snapline_testkit::services::Nats;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::{Duration, Instant};

type Record = (u64, u64, String);

const BATCHES: u64 = 100;
const BATCH: u64 = 1_000;
/// Batches in one checkpoint.
const CHECKPOINT: u64 = 25;
const IN_FLIGHT: usize = 4_000;
const ROUNDS: u64 = 7;

fn main() {
    let nats = Nats::start().unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        times[0].push(timed(nats.url(), &format!("by_sink_{round}"), by_sink));
        times[1].push(timed(nats.url(), &format!("by_hand_{round}"), by_hand));
    }
    let messages = (BATCHES * BATCH) as f64;
    let [sink, hand] = times.map(|mut times| {
        times.sort_unstable();
        messages / times[times.len() / 2].as_secs_f64()
    });
    println!(
        "sink {sink:.0} messages/s, by hand {hand:.0} messages/s, ratio {:.2}",
        sink / hand
    );
}

fn batch(number: u64) -> Vec<Record> {
    let from = number * BATCH;
    let record = |key| (key, key * 7, format!("customer {}", key % 1_000));
    (from..from + BATCH).map(record).collect()
}

fn payload((key, value, name): &Record) -> String {
    format!("{key} {value} {name}")
}

#[expect(clippy::disallowed_methods, reason = "this measures real time")]
fn timed(url: &str, stream: &str, work: fn(&str, &str)) -> Duration {
    on_connection(url, async |jetstream| {
        let config = Config {
            name: stream.to_owned(),
            ..Config::default()
        };
        jetstream.create_stream(config).await.unwrap();
    });
    let start = Instant::now();
    work(url, stream);
    let time = start.elapsed();
    on_connection(url, async |jetstream| {
        let info = jetstream.get_stream(stream).await.unwrap();
        assert_eq!(info.cached_info().state.messages, BATCHES * BATCH);
        jetstream.delete_stream(stream).await.unwrap();
    });
    time
}

fn by_sink(url: &str, stream: &str) {
    let server = NatsServer::new(url).unwrap();
    let sink = NatsSink::new(server, stream, stream, |record: &Record| {
        Ok::<_, Infallible>(NewMessage::new(payload(record)))
    });
    let (job, operator) = (JobId::from_text(stream), OperatorUid::from_text("sink"));
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
            let checkpoint = CheckpointId(number + 1);
            let parts = block_on(writer.prepare_commit(checkpoint).unwrap()).unwrap();
            block_on(committer.commit(parts)).unwrap();
        }
    }
}

fn by_hand(url: &str, stream: &str) {
    on_connection(url, async |jetstream| {
        let mut acknowledgments: VecDeque<PublishAckFuture> = VecDeque::new();
        for number in 0..BATCHES {
            for record in batch(number) {
                if acknowledgments.len() >= IN_FLIGHT {
                    acknowledgments.pop_front().unwrap().await.unwrap();
                }
                let message = PublishMessage::build()
                    .message_id(format!("{stream}/hand/{number}/0/{}", record.0))
                    .expected_stream(stream)
                    .payload(payload(&record).into());
                let sent = jetstream.send_publish(stream.to_owned(), message).await;
                acknowledgments.push_back(sent.unwrap());
            }
        }
        for acknowledgment in acknowledgments {
            acknowledgment.await.unwrap();
        }
    });
}

fn on_connection(url: &str, work: impl AsyncFnOnce(Context)) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(async {
        let address: ServerAddr = url.parse().unwrap();
        let [user, password] =
            [address.username(), address.password()].map(|part| part.unwrap_or_default().to_owned());
        let options = ConnectOptions::with_user_and_password(user, password);
        work(jetstream::new(options.connect(address).await.unwrap())).await;
    });
}
