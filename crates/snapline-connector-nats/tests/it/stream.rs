//! A server of the test's own with a stream, and how to look into it.
#![expect(
    clippy::unwrap_used,
    reason = "what these functions cannot do is a failed test"
)]

use futures::StreamExt;
use snapline_connector_nats::async_nats::jetstream::consumer::{AckPolicy, Consumer, pull};
use snapline_connector_nats::async_nats::jetstream::stream::{Config, Info};
use snapline_connector_nats::async_nats::jetstream::{self, Context};
use snapline_connector_nats::async_nats::{ConnectOptions, ServerAddr};
use snapline_connector_nats::{NatsServer, NatsSink, NewMessage};
use snapline_testkit::services::{Nats, skip};
use snapline_testkit::sink::Record;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The stream of most tests, which takes `records.>`.
pub(crate) const STREAM: &str = "RECORDS";

#[derive(Clone)]
pub(crate) struct Stream {
    runtime: Arc<Runtime>,
    /// The server ends with the last clone.
    nats: Arc<Mutex<Nats>>,
    pub(crate) url: String,
}

/// What the stream is made with in most tests.
pub(crate) fn config() -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec!["records.>".to_owned()],
        ..Config::default()
    }
}

impl Stream {
    /// A new one; `None` when there is no server, which is said.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&[], config())
    }

    /// A new one on a server with these settings.
    pub(crate) fn with(settings: &[&str], config: Config) -> Option<Self> {
        let stream = Self::server(settings)?;
        stream.make(config);
        Some(stream)
    }

    /// A server without a stream.
    pub(crate) fn server(settings: &[&str]) -> Option<Self> {
        let nats = Nats::start_with(settings).map_err(skip).ok()?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        Some(Self {
            runtime: Arc::new(runtime.worker_threads(1).enable_all().build().unwrap()),
            url: nats.url().to_owned(),
            nats: Arc::new(Mutex::new(nats)),
        })
    }

    /// Makes the stream, anew when it is there.
    pub(crate) fn make(&self, config: Config) {
        self.ask(async |jetstream| {
            let _ = jetstream.delete_stream(&config.name).await;
            jetstream.create_stream(config).await.unwrap();
        });
    }

    /// Whether the server can be stopped.
    pub(crate) fn is_own(&self) -> bool {
        self.nats.lock().unwrap().is_own()
    }

    pub(crate) fn crash(&self) {
        self.nats.lock().unwrap().crash().unwrap();
    }

    pub(crate) fn start_again(&self) {
        self.nats.lock().unwrap().start_again().unwrap();
    }

    pub(crate) fn server_of_sink(&self) -> NatsServer {
        NatsServer::new(&self.url)
            .unwrap()
            .patience(Duration::from_secs(20))
    }

    pub(crate) fn sink(&self) -> NatsSink<Record> {
        sink(self.server_of_sink())
    }

    /// All records of the stream, in their order.
    pub(crate) fn records(&self) -> Vec<Record> {
        let payloads = self.ask(async |jetstream| payloads(&jetstream, STREAM).await);
        payloads
            .iter()
            .map(|payload| {
                let text = std::str::from_utf8(payload).unwrap();
                let (key, value) = text.split_once(' ').unwrap();
                Record {
                    key: key.parse().unwrap(),
                    value: value.parse().unwrap(),
                }
            })
            .collect()
    }

    pub(crate) fn info(&self, stream: &str) -> Info {
        self.ask(async |jetstream| {
            jetstream
                .get_stream(stream)
                .await
                .unwrap()
                .get_info()
                .await
                .unwrap()
        })
    }

    /// The subjects under which messages of a sink wait.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        self.ask(async |jetstream| {
            let mut left = Vec::new();
            let mut streams = jetstream.stream_names();
            while let Some(name) = streams.next().await {
                let name = name.unwrap();
                let stream = jetstream.get_stream_no_info(&name).await.unwrap();
                let mut subjects = stream.info_with_subjects("snapline.*.staged.>").await.unwrap();
                while let Some(subject) = subjects.next().await {
                    left.push(subject.unwrap().0);
                }
            }
            left
        })
    }

    /// Publishes messages and waits until the stream has them.
    pub(crate) fn publish(&self, messages: impl IntoIterator<Item = (String, String)>) {
        self.ask(async |jetstream| {
            for (subject, payload) in messages {
                jetstream
                    .publish(subject, payload.into())
                    .await
                    .unwrap()
                    .await
                    .unwrap();
            }
        });
    }

    pub(crate) fn ask<T>(&self, question: impl AsyncFnOnce(Context) -> T) -> T {
        self.runtime.block_on(async {
            let address: ServerAddr = self.url.parse().unwrap();
            let [user, password] =
                [address.username(), address.password()].map(|part| part.unwrap_or_default().to_owned());
            let options = ConnectOptions::with_user_and_password(user, password);
            question(jetstream::new(options.connect(address).await.unwrap())).await
        })
    }
}

async fn payloads(jetstream: &Context, stream: &str) -> Vec<Vec<u8>> {
    let stream = jetstream.get_stream(stream).await.unwrap();
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        ..pull::Config::default()
    };
    let consumer: Consumer<pull::Config> = stream.create_consumer(config).await.unwrap();
    let mut payloads = Vec::new();
    while (payloads.len() as u64) < stream.cached_info().state.messages {
        let mut batch = consumer.fetch().max_messages(10_000).messages().await.unwrap();
        while let Some(message) = batch.next().await {
            payloads.push(message.unwrap().payload.to_vec());
        }
    }
    payloads
}

/// A sink of records.
pub(crate) fn sink(server: NatsServer) -> NatsSink<Record> {
    NatsSink::new(server, STREAM, "records.all", |record: &Record| {
        Ok::<_, Infallible>(NewMessage::new(format!("{} {}", record.key, record.value)))
    })
}
