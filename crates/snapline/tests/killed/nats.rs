//! Streams of NATS: the job reads numbers from one and writes rows to another.

use super::outside::{Form, Outside, Row, assert_all_once, parse, row};
use futures::StreamExt;
use snapline::Result;
use snapline::connectors::nats::async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use snapline::connectors::nats::async_nats::jetstream::stream::Config;
use snapline::connectors::nats::async_nats::jetstream::{self, Context};
use snapline::connectors::nats::async_nats::{ConnectOptions, ServerAddr};
use snapline::connectors::nats::{NatsMessage, NatsServer, NatsSink, NatsSource, NewMessage};
use snapline::prelude::*;
use snapline_testkit::services::Nats;
use std::convert::Infallible;
use std::num::ParseIntError;
use tokio::runtime::Runtime;

/// The stream from which all jobs read; each of its messages stands for so many rows.
const NUMBERS: &str = "numbers";
const TOGETHER: u64 = 100;

pub(crate) struct Streams {
    nats: Nats,
    runtime: Runtime,
}

impl Streams {
    pub(crate) fn start() -> Result<Self, String> {
        let nats = Nats::start()?;
        if !nats.is_own() {
            return Err("the server of SNAPLINE_NATS_URL is not ours to stop".to_owned());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let streams = Self { nats, runtime };
        streams.fill();
        Ok(streams)
    }

    fn fill(&self) {
        self.ask(async |jetstream| {
            create(&jetstream, NUMBERS).await;
            let mut acknowledgments = Vec::new();
            for number in 0..Form::Nats.rows() / TOGETHER {
                let sent = jetstream.publish(NUMBERS, number.to_string().into()).await;
                acknowledgments.push(sent.unwrap());
            }
            for acknowledgment in acknowledgments {
                acknowledgment.await.unwrap();
            }
        });
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(Context) -> T) -> T {
        self.runtime.block_on(async {
            let address: ServerAddr = self.nats.url().parse().unwrap();
            let [user, password] =
                [address.username(), address.password()].map(|part| part.unwrap_or_default().to_owned());
            let options = ConnectOptions::with_user_and_password(user, password);
            question(jetstream::new(options.connect(address).await.unwrap())).await
        })
    }
}

impl Outside for Streams {
    fn prepare(&mut self, _: Form, name: &str) -> String {
        self.ask(async |jetstream| create(&jetstream, name).await);
        self.nats.url().to_owned()
    }

    fn restart(&mut self) {
        self.nats.crash().unwrap();
        self.nats.start_again().unwrap();
    }

    fn assert_exactly_once(&self, form: Form, name: &str) {
        let rows = self.ask(async |jetstream| rows(&jetstream, name).await);
        assert_all_once(rows, form.rows(), name);
        let waiting = self.ask(async |jetstream| waiting(&jetstream).await);
        assert_eq!(waiting, [""; 0], "{name}: messages were left behind");
    }
}

async fn create(jetstream: &Context, name: &str) {
    let config = Config {
        name: name.to_owned(),
        subjects: vec![name.to_owned()],
        ..Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
}

async fn rows(jetstream: &Context, name: &str) -> Vec<Row> {
    let stream = jetstream.get_stream(name).await.unwrap();
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    let consumer: Consumer<pull::Config> = stream.create_consumer(config).await.unwrap();
    let mut rows = Vec::new();
    while (rows.len() as u64) < stream.cached_info().state.messages {
        let mut batch = consumer.fetch().max_messages(10_000).messages().await.unwrap();
        while let Some(message) = batch.next().await {
            rows.push(parse(std::str::from_utf8(&message.unwrap().payload).unwrap()));
        }
    }
    rows
}

/// The subjects under which messages of a sink wait.
async fn waiting(jetstream: &Context) -> Vec<String> {
    let mut waiting = Vec::new();
    let mut names = jetstream.stream_names();
    while let Some(name) = names.next().await {
        let stream = jetstream.get_stream_no_info(name.unwrap()).await.unwrap();
        let mut subjects = stream.info_with_subjects("snapline.*.staged.>").await.unwrap();
        while let Some(subject) = subjects.next().await {
            waiting.push(subject.unwrap().0);
        }
    }
    waiting
}

/// The rows, from the stream of numbers.
pub(crate) fn read(env: &StreamExecutionEnvironment, url: &str, name: &str) -> Result<DataStream<Row>> {
    let number = |message: &NatsMessage| -> Result<u64, ParseIntError> {
        String::from_utf8_lossy(&message.payload).parse()
    };
    let numbers = NatsSource::new(NatsServer::new(url)?, NUMBERS, name, number);
    let rows = env
        .from_source(numbers.bounded(), "numbers")
        .uid("numbers")
        .rebalance()
        .flat_map(|number, rows: &mut Collector<'_, Row>| {
            (number * TOGETHER..(number + 1) * TOGETHER).for_each(|key| rows.collect(row(key)));
        });
    Ok(rows)
}

pub(crate) fn write(rows: DataStream<Row>, url: &str, name: &str) -> Result<()> {
    let sink = NatsSink::new(NatsServer::new(url)?, name, name, |(key, value): &Row| {
        Ok::<_, Infallible>(NewMessage::new(format!("{key} {value}")))
    });
    rows.sink_to(sink).uid("rows");
    Ok(())
}
