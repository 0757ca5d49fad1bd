//! Rows in the order of their keys.

use crate::database::Database;
use futures::executor::block_on;
use futures::future::poll_fn;
use snapline_connector::{DiscoveryContext, ReaderContext, ReaderStatus, Source, SourceReader};
use snapline_connector_postgres::{PostgresSource, PostgresSplit};
use snapline_core::{Batch, CheckpointId, ErrorKind, JobId, SubtaskIndex};
use snapline_testkit::source::Subject;
use std::sync::Arc;
use std::time::Duration;

type Reader = Box<dyn SourceReader<(i64, i64), PostgresSplit>>;

impl Database {
    /// Rows with these keys.
    fn with_rows(self, keys: std::ops::Range<i64>) -> Self {
        let (from, to) = (keys.start, keys.end - 1);
        self.run(&format!(
            "CREATE TABLE orders (id bigserial PRIMARY KEY, value bigint NOT NULL);
             INSERT INTO orders SELECT n, n * 10 FROM generate_series({from}, {to}) AS n;
             SELECT setval('orders_id_seq', {to})"
        ));
        self
    }

    fn orders(&self) -> PostgresSource<(i64, i64)> {
        PostgresSource::new(self.server(), "orders", "id", |row| {
            Ok((row.try_get("id")?, row.try_get("value")?))
        })
    }
}

fn subject() -> Option<Subject<PostgresSource<(i64, i64)>>> {
    let database = Arc::new(Database::new()?.with_rows(1..24));
    let rows = (1..24).map(|key| (key, key * 10));
    Some(Subject::new(move || database.orders().page(5), rows))
}

snapline_testkit::source_suite!(suite, {
    let Some(subject) = subject() else { return };
    subject
});

fn discover(source: &PostgresSource<(i64, i64)>) -> Vec<PostgresSplit> {
    let mut enumerator = source.enumerator().unwrap();
    block_on(enumerator.discover(&DiscoveryContext { parallelism: 1 })).unwrap()
}

fn reader(source: &PostgresSource<(i64, i64)>, splits: Vec<PostgresSplit>) -> Reader {
    let context = ReaderContext {
        job: JobId::from_text("job"),
        subtask: SubtaskIndex(0),
        parallelism: 1,
    };
    let mut reader = source.reader(context).unwrap();
    reader.add_splits(splits);
    reader
}

/// Waits for this many rows, and returns their keys.
fn read(reader: &mut Reader, count: usize) -> Vec<i64> {
    let mut batch = Batch::new();
    while batch.len() < count {
        let left = count - batch.len();
        let status = block_on(poll_fn(|cx| reader.poll_batch(cx, &mut batch, left))).unwrap();
        assert_eq!(status, ReaderStatus::More);
    }
    batch.records.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn rows_that_come_are_read_when_they_come_and_from_where_a_checkpoint_is() {
    let Some(database) = Database::new().map(|database| database.with_rows(1..4)) else {
        return;
    };
    let source = database.orders().unbounded(Duration::from_millis(10));
    let mut first = reader(&source, discover(&source));
    assert_eq!(read(&mut first, 3), [1, 2, 3]);
    database.run("INSERT INTO orders (value) VALUES (1), (2)");
    assert_eq!(read(&mut first, 1), [4]);
    let checkpoint = first.snapshot(CheckpointId(1)).unwrap();
    let mut second = reader(&source, checkpoint);
    database.run("INSERT INTO orders (value) VALUES (3)");
    assert_eq!(read(&mut second, 2), [5, 6]);
    assert_eq!(read(&mut first, 2), [5, 6]);
}

/// The row with the smaller key is committed after the other one.
#[test]
fn a_row_that_is_committed_late_is_not_passed_over() {
    let Some(database) = Database::new().map(|database| database.with_rows(1..2)) else {
        return;
    };
    let source = database.orders().unbounded(Duration::from_millis(10));
    let mut reader = reader(&source, discover(&source));
    assert_eq!(read(&mut reader, 1), [1]);
    database.run("BEGIN; INSERT INTO orders (value) VALUES (1)");
    let other = database.another_session();
    other.run("INSERT INTO orders (value) VALUES (2)");
    let mut batch = Batch::new();
    for _ in 0..10 {
        other.run("SELECT pg_sleep(0.02)");
        let waker = futures::task::noop_waker();
        let polled = reader.poll_batch(&mut std::task::Context::from_waker(&waker), &mut batch, 9);
        assert!(polled.is_pending(), "the later row came first: {batch:?}");
    }
    database.run("COMMIT");
    assert_eq!(read(&mut reader, 2), [2, 3]);
}

#[test]
fn any_type_that_has_an_order_may_be_the_key() {
    let Some(database) = Database::new() else { return };
    let kinds = [
        ("uuid", "'00000000-0000-0000-0000-0000000000' || (n + 10)"),
        ("timestamptz", "'2026-01-01 00:00:' || n || '.25+02'"),
        ("text", "'it''s ' || chr(96 + n)"),
        ("numeric(10, 2)", "n || '.50'"),
        ("smallint", "n"),
    ];
    for (kind, key) in kinds {
        database.run(&format!(
            "DROP TABLE IF EXISTS things; CREATE TABLE things (\"The Key\" {kind}, n bigint);
             INSERT INTO things SELECT ({key})::text::{kind}, n FROM generate_series(1, 9) AS n"
        ));
        let source = PostgresSource::new(database.server(), "things", "The Key", |row| {
            Ok((row.try_get("n")?, 0))
        });
        let source = source.page(4);
        let mut reader = reader(&source, discover(&source));
        assert_eq!(read(&mut reader, 9), [1, 2, 3, 4, 5, 6, 7, 8, 9], "{kind}");
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let Some(database) = Database::new().map(|database| database.with_rows(1..4)) else {
        return;
    };
    let missing = PostgresSource::new(database.server(), "order", "id", |_| Ok((0, 0)));
    let mut enumerator = missing.enumerator().unwrap();
    let error = block_on(enumerator.discover(&DiscoveryContext { parallelism: 1 })).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("table")),
        (ErrorKind::Invalid, Some("order"))
    );
    let wrong = PostgresSource::new(database.server(), "orders", "id", |row| {
        Ok((row.try_get("value")?, row.try_get("price")?))
    });
    let mut reader = reader(&wrong, discover(&wrong));
    let mut batch = Batch::new();
    let error = block_on(poll_fn(|cx| reader.poll_batch(cx, &mut batch, 9))).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("row")),
        (ErrorKind::Invalid, Some("1"))
    );
    assert!(error.to_string().contains("price"), "{error}");
}

#[test]
fn reading_goes_on_when_the_server_has_crashed() {
    let Some(database) = Database::new().map(|database| database.with_rows(1..40)) else {
        return;
    };
    if !database.is_own() {
        return;
    }
    let source = database.orders().page(3);
    let mut reader = reader(&source, discover(&source));
    let mut keys = read(&mut reader, 5);
    database.crash();
    database.start_again();
    keys.extend(read(&mut reader, 34));
    assert_eq!(keys, (1..40).collect::<Vec<_>>());
}
