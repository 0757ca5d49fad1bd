//! What a source reads, acknowledges and refuses.

use crate::stream::{STREAM, Stream, config};
use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_connector::{DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader};
use snapline_connector_nats::async_nats::jetstream::consumer::PullConsumer;
use snapline_connector_nats::async_nats::jetstream::stream::{Config, RetentionPolicy};
use snapline_connector_nats::{NatsMessage, NatsSource, NatsSplit, NatsStart, SkippedRecords, Undecodable};
use snapline_core::{Batch, CheckpointId, ErrorKind, JobId, Result, SubtaskIndex};
use std::string::FromUtf8Error;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// A source of texts.
pub(crate) fn texts(stream: &Stream) -> NatsSource<String> {
    NatsSource::new(stream.server_of_sink(), STREAM, "texts", text)
}

fn text(message: &NatsMessage) -> Result<String, FromUtf8Error> {
    String::from_utf8(message.payload.to_vec())
}

type Reader = Box<dyn SourceReader<String, NatsSplit>>;

fn discover(source: &NatsSource<String>) -> Result<Vec<NatsSplit>> {
    block_on(
        source
            .enumerator()?
            .discover(&DiscoveryContext { parallelism: 1 }),
    )
}

fn reader(source: &NatsSource<String>, splits: Vec<NatsSplit>) -> Reader {
    let context = ReaderContext {
        job: JobId::from_text("job"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
    };
    let mut reader = source.reader(context).unwrap();
    reader.add_splits(splits);
    reader
}

/// The next records; none at the end.
fn next(reader: &mut Reader, limit: usize) -> Result<Vec<String>> {
    loop {
        let mut batch = Batch::new();
        let status = block_on(poll_fn(|cx| reader.poll_batch(cx, &mut batch, limit)))?;
        if !batch.is_empty() || status == ReaderStatus::EndOfData {
            return Ok(batch.records);
        }
    }
}

fn take(reader: &mut Reader, count: usize) -> Vec<String> {
    let mut records = Vec::new();
    while records.len() < count {
        records.extend(next(reader, count - records.len()).unwrap());
    }
    records
}

fn numbers(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

fn publish(stream: &Stream, range: std::ops::Range<u64>) {
    stream.publish(range.map(|number| ("records.all".to_owned(), number.to_string())));
}

/// Asks until it is so: acknowledgments are not answered.
fn wait_until(stream: &Stream, is_so: impl Fn(u64, u64) -> bool) {
    let mut last = (0, 0);
    for _ in 0..2_000 {
        last = stream.ask(async |jetstream| {
            let stream = jetstream.get_stream(STREAM).await.unwrap();
            let consumer: PullConsumer = stream.get_consumer("texts").await.unwrap();
            (
                consumer.cached_info().ack_floor.stream_sequence,
                stream.cached_info().state.messages,
            )
        });
        if is_so(last.0, last.1) {
            return;
        }
    }
    panic!("acknowledged up to {}, {} messages in the stream", last.0, last.1);
}

#[test]
fn a_complete_checkpoint_acknowledges_what_came_before_it() {
    let Some(stream) = Stream::new() else {
        return;
    };
    publish(&stream, 0..9);
    let source = texts(&stream);
    let mut reader = reader(&source, discover(&source).unwrap());
    assert_eq!(take(&mut reader, 4), numbers(0..4));
    reader.snapshot(CheckpointId(1)).unwrap();
    take(&mut reader, 3);
    reader.snapshot(CheckpointId(2)).unwrap();
    wait_until(&stream, |floor, _| floor == 0);
    reader.on_checkpoint_complete(CheckpointId(1)).unwrap();
    wait_until(&stream, |floor, _| floor == 4);
    take(&mut reader, 2);
    reader.on_checkpoint_complete(CheckpointId(2)).unwrap();
    drop(reader);
    wait_until(&stream, |floor, _| floor == 7);
}

#[test]
fn a_work_queue_forgets_what_a_checkpoint_has_and_nothing_else() {
    let queue = Config {
        retention: RetentionPolicy::WorkQueue,
        ..config()
    };
    let Some(stream) = Stream::with(&[], queue) else {
        return;
    };
    publish(&stream, 0..9);
    let source = texts(&stream);
    let mut first = reader(&source, discover(&source).unwrap());
    take(&mut first, 4);
    let splits = first.snapshot(CheckpointId(1)).unwrap();
    assert_eq!(take(&mut first, 3), numbers(4..7));
    first.on_checkpoint_complete(CheckpointId(1)).unwrap();
    wait_until(&stream, |_, messages| messages == 5);
    drop(first);
    block_on(source.enumerator().unwrap().verify(&splits)).unwrap();
    let mut second = reader(&source, splits);
    assert_eq!(take(&mut second, 5), numbers(4..9));
    second.snapshot(CheckpointId(2)).unwrap();
    second.on_checkpoint_complete(CheckpointId(2)).unwrap();
    wait_until(&stream, |_, messages| messages == 0);
    publish(&stream, 9..10);
    assert_eq!(take(&mut second, 1), numbers(9..10));
}

#[test]
fn an_unbounded_source_waits_for_messages_and_begins_where_it_is_told() {
    let Some(stream) = Stream::new() else {
        return;
    };
    publish(&stream, 0..5);
    for start in [NatsStart::Earliest, NatsStart::Sequence(3), NatsStart::Latest] {
        let last = stream.info(STREAM).state.last_sequence;
        let first = match start {
            NatsStart::Sequence(first) => first,
            NatsStart::Latest => last + 1,
            _ => 1,
        };
        let source = texts(&stream).start(start);
        let splits = discover(&source).unwrap();
        assert_eq!(splits[0].next_sequence(), first);
        let mut reader = reader(&source, splits);
        take(&mut reader, (last + 1 - first) as usize);
        publish(&stream, 100..101);
        assert_eq!(take(&mut reader, 1), numbers(100..101));
    }
}

/// Also when it has acknowledged some of it.
#[test]
fn a_crash_of_the_server_is_waited_for_and_nothing_comes_twice() {
    let Some(stream) = Stream::new() else {
        return;
    };
    if !stream.is_own() {
        return;
    }
    for queue in [false, true] {
        if queue {
            stream.make(Config {
                retention: RetentionPolicy::WorkQueue,
                ..config()
            });
        }
        publish(&stream, 0..2_500);
        let source = texts(&stream);
        let mut reader = reader(&source, discover(&source).unwrap());
        let mut records = take(&mut reader, 700);
        reader.snapshot(CheckpointId(1)).unwrap();
        records.extend(take(&mut reader, 100));
        reader.on_checkpoint_complete(CheckpointId(1)).unwrap();
        reader.snapshot(CheckpointId(2)).unwrap();
        stream.crash();
        records.extend(take(&mut reader, 10));
        stream.start_again();
        records.extend(take(&mut reader, 2_500 - records.len()));
        assert_eq!(records, numbers(0..2_500));
        reader.on_checkpoint_complete(CheckpointId(2)).unwrap();
        wait_until(&stream, |floor, messages| match queue {
            true => messages == 2_500 - 800,
            false => floor == 800,
        });
    }
}

#[test]
fn what_cannot_be_decoded_fails_is_skipped_or_becomes_a_dead_letter() {
    let Some(stream) = Stream::new() else {
        return;
    };
    stream.ask(async |jetstream| {
        for payload in [&b"one"[..], b"\xff", b"three"] {
            jetstream
                .publish("records.all", payload.to_vec().into())
                .await
                .unwrap()
                .await
                .unwrap();
        }
    });
    let read = |undecodable: Undecodable| -> Result<Vec<String>> {
        let source = texts(&stream).bounded().on_undecodable(undecodable);
        let mut reader = reader(&source, discover(&source).unwrap());
        let mut records = Vec::new();
        loop {
            let more = next(&mut reader, 10)?;
            if more.is_empty() {
                return Ok(records);
            }
            records.extend(more);
        }
    };
    let error = read(Undecodable::Fail).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("sequence")),
        (ErrorKind::Invalid, Some("2"))
    );
    let skipped = SkippedRecords::default();
    assert_eq!(
        read(Undecodable::Skip(skipped.clone())).unwrap(),
        ["one", "three"]
    );
    assert_eq!(skipped.count(), 1);
    let (sender, letters) = channel();
    let letter = move |message| sender.send(message).unwrap();
    assert_eq!(
        read(Undecodable::DeadLetter(Arc::new(letter))).unwrap(),
        ["one", "three"]
    );
    let letters: Vec<_> = letters.iter().collect();
    assert_eq!(
        (letters.len(), letters[0].sequence, &letters[0].payload[..]),
        (1, 2, &b"\xff"[..])
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_what_to_do() {
    let Some(stream) = Stream::new() else {
        return;
    };
    let refused = |source: &NatsSource<String>, part: &str| {
        let error = discover(source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains(part), "{error}");
    };
    let nothing = NatsSource::new(stream.server_of_sink(), "NOTHING", "texts", text);
    refused(&nothing, "there is no such stream");
    refused(&texts(&stream).subjects(["records.*", "records.a"]), "overlap");
    stream.make(Config {
        retention: RetentionPolicy::Interest,
        ..config()
    });
    refused(&texts(&stream), "retention by limits");
    let away = stream.server_of_sink().patience(Duration::ZERO);
    if stream.is_own() {
        stream.crash();
        let error = discover(&NatsSource::new(away, STREAM, "texts", text)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
}

#[test]
fn a_checkpoint_of_messages_that_are_gone_is_refused() {
    let Some(stream) = Stream::new() else {
        return;
    };
    publish(&stream, 0..9);
    let source = texts(&stream);
    let mut reader = reader(&source, discover(&source).unwrap());
    take(&mut reader, 4);
    let splits = reader.snapshot(CheckpointId(1)).unwrap();
    let verify = || block_on(source.enumerator().unwrap().verify(&splits));
    verify().unwrap();
    stream.ask(async |jetstream| {
        let stream = jetstream.get_stream(STREAM).await.unwrap();
        stream.purge().keep(2).await.unwrap();
    });
    let error = verify().unwrap_err();
    assert_eq!(
        (error.kind(), error.context("first message")),
        (ErrorKind::Invalid, Some("8"))
    );
    stream.make(config());
    let error = verify().unwrap_err();
    assert!(error.message().contains("made anew"), "{error}");
}
