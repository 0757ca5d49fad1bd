//! What goes wrong at the start of a sink, and what the user is told.

use crate::stream::{STREAM, Stream, config, sink};
use snapline_connector::Sink;
use snapline_connector_nats::async_nats::jetstream::stream::{Config, RetentionPolicy};
use snapline_connector_nats::{ExistingMessages, NatsServer, NatsSink, NewMessage};
use snapline_core::{CheckpointSettings, Error, ErrorKind};
use snapline_testkit::sink::Job;
use snapline_testkit::sink::Record;
use std::convert::Infallible;
use std::net::TcpListener;
use std::time::Duration;

/// What a job is told that starts with this sink.
fn refused(sink: NatsSink<Record>) -> Error {
    Job::new("job", sink).start(1, None).unwrap_err()
}

fn into(server: NatsServer, stream: &str, subject: &str) -> NatsSink<Record> {
    NatsSink::new(server, stream, subject, |record: &Record| {
        Ok::<_, Infallible>(NewMessage::new(record.key.to_string()))
    })
}

#[track_caller]
fn check(error: &Error, part: &str) {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains(part), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_named_and_may_come() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = NatsServer::new(&format!("nats://user:secret@127.0.0.1:{port}")).unwrap();
    let error = refused(sink(server.patience(Duration::ZERO)));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn what_the_server_refuses_is_said_with_what_to_do() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let wrong = stream.url.replace("secret", "wrong");
    let server = NatsServer::new(&wrong).unwrap();
    check(&refused(sink(server)), "check the user and the password");
    let error = refused(into(stream.server_of_sink(), "NOTHING", "records.all"));
    check(&error, "there is no such stream");
    assert_eq!(error.context("stream"), Some("NOTHING"));
    let error = refused(into(stream.server_of_sink(), STREAM, "other"));
    check(&error, "does not take this subject");
    check(
        &refused(into(stream.server_of_sink(), STREAM, "records.*")),
        "wildcards",
    );
}

#[test]
fn a_server_without_jetstream_is_refused() {
    let Some(stream) = Stream::server(&["jetstream: false"]) else {
        return;
    };
    check(&refused(stream.sink()), "nats-server with -js");
}

#[test]
fn a_stream_that_drops_duplicates_for_too_short_a_time_is_refused() {
    let window = Duration::from_secs(5);
    let Some(stream) = Stream::with(
        &[],
        Config {
            duplicate_window: window,
            ..config()
        },
    ) else {
        return;
    };
    let mut checkpoints = CheckpointSettings {
        interval_ms: 5_000,
        ..CheckpointSettings::default()
    };
    let sink = stream.sink();
    sink.check(&checkpoints).unwrap();
    Job::new("job", sink).start(1, None).unwrap();
    checkpoints.interval_ms += 1;
    let sink = stream.sink();
    sink.check(&checkpoints).unwrap();
    let error = refused(sink);
    check(&error, "raise its duplicate_window");
    assert_eq!(error.context("interval of checkpoints in seconds"), Some("5.001"));
    let sink = stream.sink().at_least_once();
    sink.check(&checkpoints).unwrap();
    Job::new("job", sink).start(1, None).unwrap();
}

#[test]
fn a_stream_that_does_not_keep_its_messages_is_refused() {
    for config in [
        Config {
            retention: RetentionPolicy::WorkQueue,
            ..config()
        },
        Config {
            retention: RetentionPolicy::Interest,
            ..config()
        },
        Config {
            max_messages_per_subject: 1,
            ..config()
        },
    ] {
        let Some(stream) = Stream::with(&[], config) else {
            return;
        };
        check(&refused(stream.sink()), "retention by limits");
        let keeping = stream.sink().on_existing(ExistingMessages::Keep);
        Job::new("job", keeping).start(1, None).unwrap();
    }
}

#[test]
fn a_message_that_the_stream_would_not_take_is_refused_before_its_checkpoint() {
    let Some(stream) = Stream::with(
        &[],
        Config {
            max_message_size: 2_000,
            ..config()
        },
    ) else {
        return;
    };
    let messages: [(fn() -> NewMessage, &str); 4] = [
        (|| NewMessage::new(vec![0; 2_000]), "make it smaller"),
        (
            || NewMessage::new("").header("Long", "x".repeat(2_000)),
            "make it smaller",
        ),
        (
            || NewMessage::new("").subject("other"),
            "does not take this subject",
        ),
        (
            || NewMessage::new("").header("No Header", ""),
            "characters that headers must not have",
        ),
    ];
    for (attempt, (message, part)) in (1..).zip(messages) {
        let sink = NatsSink::new(
            stream.server_of_sink(),
            STREAM,
            "records.all",
            move |_: &Record| Ok::<_, Infallible>(message()),
        );
        let mut job = Job::new("job", sink);
        job.start(attempt, None).unwrap();
        check(&job.write([1]).unwrap_err(), part);
    }
}
