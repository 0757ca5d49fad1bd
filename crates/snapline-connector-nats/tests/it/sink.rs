//! What a commit does after a crash, and beside others.

use crate::stream::{STREAM, Stream, config, sink};
use snapline_connector_nats::async_nats::header::NATS_MESSAGE_ID;
use snapline_connector_nats::async_nats::jetstream::message::PublishMessage;
use snapline_connector_nats::async_nats::jetstream::stream::{Config, DiscardPolicy};
use snapline_connector_nats::{ExistingMessages, NatsSink};
use snapline_core::ErrorKind;
use snapline_testkit::sink::Job;
use snapline_testkit::sink::Record;
use std::time::Duration;

/// The shortest window that there is.
const WINDOW: Duration = Duration::from_millis(100);

fn keys(stream: &Stream) -> Vec<u64> {
    stream.records().iter().map(|record| record.key).collect()
}

/// The id of the newest message, without its number.
fn id_prefix(stream: &Stream) -> String {
    let last = stream.info(STREAM).state.last_sequence;
    stream.ask(async |jetstream| {
        let stream = jetstream.get_stream(STREAM).await.unwrap();
        let message = stream.get_raw_message(last).await.unwrap();
        let id = message.headers.get(NATS_MESSAGE_ID).unwrap().to_string();
        id[..=id.rfind('/').unwrap()].to_owned()
    })
}

/// Publishes a record as another process of the job has done. Whether the stream took it for new.
fn publish(stream: &Stream, id: &str, key: u64) -> bool {
    let message = PublishMessage::build()
        .message_id(id)
        .payload(format!("{key} {}", key * 10).into());
    stream.ask(async |jetstream| {
        let sent = jetstream.send_publish("records.all", message).await.unwrap();
        !sent.await.unwrap().duplicate
    })
}

/// A job with one record, and a second checkpoint, of keys 1 to 5, of which a process has published the first two before it
/// died.
fn half_published(stream: &Stream) -> (Job<NatsSink<Record>>, Vec<snapline_connector_nats::NatsPart>) {
    let mut job = Job::new("job", stream.sink());
    job.start(1, None).unwrap();
    job.pass(1, [0]).unwrap();
    let prefix = id_prefix(stream).replace("job/sink/1/", "job/sink/2/");
    job.write(1..6).unwrap();
    let parts = job.prepare(2).unwrap();
    for key in [1, 2] {
        assert!(publish(stream, &format!("{prefix}{}", key - 1), key));
    }
    (Job::new("job", stream.sink()), parts)
}

#[test]
fn a_commit_that_is_repeated_after_the_window_publishes_what_is_missing() {
    let Some(stream) = Stream::with(
        &[],
        Config {
            duplicate_window: WINDOW,
            ..config()
        },
    ) else {
        return;
    };
    let (mut next, parts) = half_published(&stream);
    // Another message, which came later, is not known any more.
    assert!(publish(&stream, "other", 100));
    let mut known = 0;
    while !publish(&stream, "other", 100) {
        known += 1;
        assert!(known < 10_000);
    }
    let parts_again = parts.clone();
    next.commit(parts).unwrap();
    next.start(2, Some(2)).unwrap();
    next.commit(parts_again).unwrap();
    let mut keys = keys(&stream);
    keys.retain(|key| *key != 100);
    assert_eq!(keys, [0, 1, 2, 3, 4, 5]);
    assert_eq!(stream.left_behind(), [""; 0]);
}

#[test]
fn a_commit_that_cannot_see_what_was_published_is_refused_with_what_to_do() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let (mut next, parts) = half_published(&stream);
    stream.ask(async |jetstream| {
        let stream = jetstream.get_stream(STREAM).await.unwrap();
        stream.purge().keep(1).await.unwrap();
    });
    let error = next.commit(parts.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("ExistingMessages::Keep"), "{error}");
    assert_eq!(keys(&stream), [2]);
    let keeping = stream.sink().on_existing(ExistingMessages::Keep);
    Job::new("job", keeping).commit(parts).unwrap();
    // The server still knows the first, which is gone.
    assert_eq!(keys(&stream), [2, 3, 4, 5]);
}

#[test]
fn messages_that_somebody_has_removed_are_not_taken_for_committed() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let mut job = Job::new("job", stream.sink());
    job.start(1, None).unwrap();
    job.write(0..3).unwrap();
    let parts = job.prepare(1).unwrap();
    let waiting = stream.left_behind();
    assert_eq!(waiting.len(), 1);
    stream.ask(async |jetstream| {
        let name = jetstream.stream_by_subject(&waiting[0]).await.unwrap();
        let own = jetstream.get_stream(name).await.unwrap();
        own.purge().filter(&waiting[0]).await.unwrap();
    });
    let error = Job::new("job", stream.sink()).commit(parts).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("checkpoint")),
        (ErrorKind::Invalid, Some("1"))
    );
    assert_eq!(stream.records(), []);
}

#[test]
fn of_two_jobs_of_one_name_one_is_refused() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let [mut first, mut second] = [(); 2].map(|()| Job::new("job", stream.sink()));
    first.start(1, None).unwrap();
    let error = second.start(1, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.message().contains("another job of the same name"),
        "{error}"
    );
    first.pass(1, 0..3).unwrap();
    let error = second.start(2, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("another name"), "{error}");
    assert_eq!(keys(&stream), [0, 1, 2]);
}

#[test]
fn a_writer_that_was_taken_over_is_told_to_step_down() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let [mut first, mut second] = [(); 2].map(|()| Job::new("job", stream.sink()));
    first.start(1, None).unwrap();
    second.start(2, None).unwrap();
    first.write([1]).unwrap();
    assert_eq!(first.prepare(1).unwrap_err().kind(), ErrorKind::Conflict);
    second.pass(1, [1]).unwrap();
    assert_eq!(keys(&stream), [1]);
}

#[test]
fn a_job_may_start_over_beside_the_messages_of_before() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let mut first = Job::new("job", stream.sink());
    first.start(7, None).unwrap();
    first.pass(1, 0..3).unwrap();
    first.write(3..5).unwrap();
    first.prepare(2).unwrap();
    let mut again = Job::new("job", stream.sink().on_existing(ExistingMessages::Keep));
    again.start(1, None).unwrap();
    assert_eq!(stream.left_behind(), [""; 0]);
    again.pass(1, 0..2).unwrap();
    assert_eq!(keys(&stream), [0, 1, 2, 0, 1]);
}

#[test]
fn what_other_sinks_have_in_the_server_is_never_touched() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let mut neighbour = Job::new("job-2", stream.sink());
    neighbour.start(1, None).unwrap();
    neighbour.write(0..3).unwrap();
    let waiting = neighbour.prepare(1).unwrap();
    for attempt in 1..3 {
        Job::new("job", stream.sink()).start(attempt, None).unwrap();
    }
    neighbour.commit(waiting).unwrap();
    assert_eq!(keys(&stream), [0, 1, 2]);
}

#[test]
fn a_full_stream_is_waited_for_and_gets_each_message_once() {
    let full = Config {
        max_messages: 2,
        discard: DiscardPolicy::New,
        ..config()
    };
    let Some(stream) = Stream::with(&[], full.clone()) else {
        return;
    };
    let mut job = Job::new("job", stream.sink());
    job.start(1, None).unwrap();
    job.write(0..5).unwrap();
    let parts = job.prepare(1).unwrap();
    for _ in 0..2 {
        let error = job.commit(parts.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("full"), "{error}");
    }
    let larger = Config {
        max_messages: 100,
        ..full
    };
    stream.ask(async |jetstream| jetstream.update_stream(larger).await.map(drop).unwrap());
    job.commit(parts).unwrap();
    assert_eq!(keys(&stream), [0, 1, 2, 3, 4]);
}

/// Neither the writer nor what it has prepared is lost.
#[test]
fn a_crash_of_the_server_is_waited_for() {
    let Some(stream) = Stream::new() else {
        return;
    };
    if !stream.is_own() {
        return;
    }
    let mut job = Job::new("job", stream.sink());
    job.start(1, None).unwrap();
    job.write(0..3).unwrap();
    let first = job.prepare(1).unwrap();
    stream.crash();
    let impatient = stream.server_of_sink().patience(Duration::ZERO);
    let error = Job::new("job", sink(impatient))
        .commit(first.clone())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    job.write(3..5).unwrap();
    stream.start_again();
    let second = job.prepare(2).unwrap();
    // A job asks again until it is done.
    let mut tries = 0;
    while let Err(error) = job.commit([first.clone(), second.clone()].concat()) {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        tries += 1;
        assert!(tries < 10);
    }
    assert_eq!(keys(&stream), [0, 1, 2, 3, 4]);
    assert_eq!(stream.left_behind(), [""; 0]);
}
