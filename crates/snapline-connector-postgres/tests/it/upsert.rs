//! One row for each key.

use crate::database::Database;
use snapline_connector_postgres::PostgresUpsertSink;
use snapline_core::ErrorKind;
use snapline_testkit::sink::Job;
use snapline_testkit::sink::{Record, Subject};
use std::sync::Arc;

impl Database {
    fn upsert_sink(&self) -> PostgresUpsertSink<Record> {
        PostgresUpsertSink::new(
            self.server(),
            "records",
            ["key"],
            ["value"],
            |record: &Record, row| {
                row.put(&(record.key as i64)).put(&(record.value as i64));
            },
        )
    }

    fn with_unique_keys(self) -> Self {
        self.run("ALTER TABLE records ADD PRIMARY KEY (key)");
        self
    }
}

fn subject() -> Option<Subject> {
    let database = Arc::new(Database::new()?.with_table().with_unique_keys());
    let read = database.clone();
    Some(Subject::upsert(
        move || database.upsert_sink(),
        move || read.records(),
    ))
}

snapline_testkit::sink_suite!(suite, {
    let Some(subject) = subject() else { return };
    subject
});

#[test]
fn a_table_whose_key_is_not_unique_is_refused() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let error = Job::new("job", database.upsert_sink())
        .start(1, None)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.context("keys")),
        (ErrorKind::Invalid, Some("key"))
    );
    assert!(error.message().contains("primary key or unique index"), "{error}");
}

#[test]
fn rows_are_written_again_when_the_server_has_crashed() {
    let Some(database) = Database::new().map(|database| database.with_table().with_unique_keys()) else {
        return;
    };
    if !database.is_own() {
        return;
    }
    let mut job = Job::new("job", database.upsert_sink());
    job.start(1, None).unwrap();
    job.pass(1, 0..3).unwrap();
    database.crash();
    job.write(2..5).unwrap();
    database.start_again();
    job.pass(2, 5..6).unwrap();
    assert_eq!(database.records().len(), 6);
}

#[test]
fn a_late_writer_puts_no_older_value_back() {
    let Some(database) = Database::new().map(|database| database.with_table().with_unique_keys()) else {
        return;
    };
    let [mut first, mut second] = [(); 2].map(|()| Job::new("job", database.upsert_sink()));
    first.start(1, None).unwrap();
    first.pass(1, 0..3).unwrap();
    second.start(2, Some(1)).unwrap();
    first.write(3..5).unwrap();
    assert_eq!(first.prepare(2).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(database.records().len(), 3);
}
