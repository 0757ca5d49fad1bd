//! The suite of all sinks.

use super::buckets::visible_below;
use super::{FileSink, directory, hidden_names};
use snapline_testkit::sink::{Record, Subject};
use std::sync::Arc;

/// A directory of records, `key value` in each line; files have room for `roll_at` bytes.
fn subject(roll_at: u64) -> Subject {
    subject_of(move |sink| sink.roll_at(roll_at))
}

/// The same with these settings.
fn subject_of(with: impl Fn(FileSink<Record>) -> FileSink<Record> + Send + Sync + 'static) -> Subject {
    let root = Arc::new(directory());
    let (read, listed) = (root.clone(), root.clone());
    let open = move || {
        let encode = |record: &Record, buffer: &mut Vec<u8>| {
            buffer.extend(format!("{} {}\n", record.key, record.value).into_bytes());
        };
        with(FileSink::with_encoder(root.path(), encode))
    };
    let visible = move || visible_below(read.path()).concat().lines().map(record).collect();
    Subject::exactly_once(open, visible).left_behind(move || hidden_names(listed.path()))
}

fn record(line: &str) -> Record {
    let (key, value) = line.split_once(' ').unwrap();
    Record {
        key: key.parse().unwrap(),
        value: value.parse().unwrap(),
    }
}

snapline_testkit::sink_suite!(one_file_each, subject(u64::MAX));
snapline_testkit::sink_suite!(small_files, subject(20));
snapline_testkit::sink_suite!(
    folders,
    subject_of(|sink| sink.bucket_by(|record: &Record| format!("digit={}/all", record.key % 10)))
);
