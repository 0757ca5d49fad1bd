//! The suites of all sources and sinks.

use crate::source::texts;
use crate::stream::Stream;
use snapline_connector_nats::NatsSink;
use snapline_testkit::sink::{Record, Subject};
use snapline_testkit::source;

snapline_testkit::sink_suite!(exactly_once, {
    let Some(stream) = Stream::new() else {
        return;
    };
    let (of_sink, read, listed) = (stream.clone(), stream.clone(), stream);
    Subject::exactly_once(move || of_sink.sink(), move || read.records())
        .left_behind(move || listed.left_behind())
});

snapline_testkit::sink_suite!(at_least_once, {
    let Some(stream) = Stream::new() else {
        return;
    };
    let (of_sink, read) = (stream.clone(), stream);
    let open = move || -> NatsSink<Record> { of_sink.sink().at_least_once() };
    Subject::at_least_once(open, move || read.records())
});

snapline_testkit::source_suite!(all_subjects, {
    let Some(stream) = Stream::new() else {
        return;
    };
    stream.publish((0..7).map(|number| ("records.all".to_owned(), number.to_string())));
    let other = stream.clone();
    source::Subject::new(
        move || texts(&stream).bounded(),
        (0..7).map(|number| number.to_string()),
    )
    .refusing(move || texts(&other).subjects(["records.all"]).bounded())
});

snapline_testkit::source_suite!(patterns, {
    let Some(stream) = Stream::new() else {
        return;
    };
    // The last message is of neither pattern.
    let subjects = ["records.a", "records.b.c", "records.c"];
    stream.publish((0..9).map(|number| (subjects[number % 3].to_owned(), number.to_string())));
    let read = (0..9)
        .filter(|number| number % 3 < 2)
        .map(|number| number.to_string());
    source::Subject::new(
        move || texts(&stream).subjects(["records.a", "records.b.>"]).bounded(),
        read,
    )
});
