//! The sink on a real server that speaks S3, over a network that breaks.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

use snapline_connector_object::{ObjectSink, Retries};
use snapline_testkit::fault::Schedule;
use snapline_testkit::services::{S3, Unreliable, skip};
use snapline_testkit::sink::{Record, Subject, cases};
use std::sync::Arc;
use std::time::Duration;

/// A prefix of its own on the server.
#[derive(Clone)]
struct Place {
    bucket: String,
    prefix: String,
    endpoint: String,
}

impl Place {
    fn on(server: &S3, prefix: &str) -> Self {
        Self {
            bucket: server.bucket().to_owned(),
            prefix: format!("sinks-{}/{prefix}", std::process::id()),
            endpoint: server.endpoint().to_owned(),
        }
    }

    fn sink(&self) -> ObjectSink<Record> {
        let encode = |record: &Record, buffer: &mut Vec<u8>| {
            buffer.extend(format!("{} {}\n", record.key, record.value).into_bytes());
        };
        let sink = ObjectSink::with_encoder(format!("s3://{}/{}", self.bucket, self.prefix), encode)
            .option("aws_endpoint", &self.endpoint)
            .option("allow_http", "true")
            .retries(
                Retries::within(Duration::from_secs(60))
                    .delays(Duration::from_millis(2), Duration::from_millis(50)),
            );
        [
            ("access_key_id", "key"),
            ("secret_access_key", "secret"),
            ("region", "us-east-1"),
        ]
        .into_iter()
        .fold(sink, |sink, (name, value)| sink.option(name, value))
    }
}

/// The body of an answer.
fn get(server: &S3, path: &str) -> String {
    let answer = server.request("GET", path).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What is between the tags of this name.
fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let parts = text.split(&*start).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(&*end)?.0.trim()))
        .collect()
}

fn keys(server: &S3, place: &Place) -> Vec<String> {
    let list = get(
        server,
        &format!("/{}?list-type=2&prefix={}/", place.bucket, place.prefix),
    );
    between(&list, "Key").into_iter().map(str::to_owned).collect()
}

fn visible(server: &S3, place: &Place) -> Vec<Record> {
    let objects = keys(server, place)
        .into_iter()
        .filter(|key| !key.contains("/_snapline/"));
    let contents = objects.map(|key| get(server, &format!("/{}/{key}", place.bucket)));
    let records = contents.flat_map(|content| content.lines().map(record).collect::<Vec<_>>());
    records.collect()
}

fn record(line: &str) -> Record {
    let (key, value) = line.split_once(' ').unwrap();
    Record {
        key: key.parse().unwrap(),
        value: value.parse().unwrap(),
    }
}

/// Uploads that are not over, and notes of such.
fn left_behind(server: &S3, place: &Place) -> Vec<String> {
    let uploads = get(server, &format!("/{}?uploads", place.bucket));
    let own = |key: &&str| key.starts_with(&place.prefix);
    let uploads = between(&uploads, "Key")
        .into_iter()
        .filter(own)
        .map(str::to_owned);
    uploads.chain(notes(server, place)).collect()
}

fn notes(server: &S3, place: &Place) -> impl Iterator<Item = String> {
    let keys = keys(server, place).into_iter();
    keys.filter(|key| key.contains("/_snapline/uploads/"))
}

fn subject(server: &Arc<S3>, prefix: &str, endpoint: Option<String>) -> Subject {
    let place = Place::on(server, prefix);
    let writing = Place {
        endpoint: endpoint.clone().unwrap_or_else(|| place.endpoint.clone()),
        ..place.clone()
    };
    let (read, listed, at) = (server.clone(), server.clone(), place.clone());
    let left = move || match &endpoint {
        None => left_behind(&listed, &at),
        // The answer to the beginning of an upload may be lost, and nobody knows of that upload then.
        Some(_) => notes(&listed, &at).collect(),
    };
    Subject::exactly_once(move || writing.sink(), move || visible(&read, &place)).left_behind(left)
}

/// Takes some thousands of requests: on a store in memory.
const CRASHES: &str = "every_record_is_visible_once_wherever_the_job_crashes_twice";

fn run_all(server: &Arc<S3>, prefix: &str, endpoint: Option<&str>) {
    for case in cases().into_iter().filter(|case| case.name != CRASHES) {
        let subject = subject(
            server,
            &format!("{prefix}/{}", case.name),
            endpoint.map(str::to_owned),
        );
        // It panics if the sentence does not hold, and is skipped if a sink of this kind promises no such thing.
        let _ = case.check(&subject);
    }
}

#[test]
fn all_sentences_hold_on_a_server() {
    let Ok(server) = S3::start("sink").map_err(skip) else {
        return;
    };
    run_all(&Arc::new(server), "all", None);
}

#[test]
fn all_sentences_hold_over_a_network_that_loses_requests_and_answers() {
    let Ok(server) = S3::start("sink").map_err(skip) else {
        return;
    };
    let network = Unreliable::before(server.endpoint(), Schedule::seeded(7, 10)).unwrap();
    run_all(&Arc::new(server), "unreliable", Some(&network.endpoint()));
}
