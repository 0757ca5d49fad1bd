//! What goes wrong, and what the user is told.

use crate::database::Database;
use snapline_connector_postgres::tokio_postgres::Config;
use snapline_connector_postgres::{ExistingRows, PostgresPart, PostgresServer, PostgresSink};
use snapline_core::{Error, ErrorKind};
use snapline_testkit::sink::Job;
use snapline_testkit::sink::Record;
use std::net::TcpListener;
use std::time::Duration;

type Change = fn(&mut Config);

/// What a job is told that starts with this sink.
fn refused(sink: PostgresSink<Record>) -> Error {
    Job::new("job", sink).start(1, None).unwrap_err()
}

fn table(server: PostgresServer, table: &str, columns: [&str; 2]) -> PostgresSink<Record> {
    PostgresSink::new(server, table, columns, |record: &Record, row| {
        row.put(&(record.key as i64)).put(&(record.value as i64));
    })
}

#[test]
fn a_server_that_is_not_there_is_named_and_may_come() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgres://user:secret@127.0.0.1:{port}/shop");
    let server = PostgresServer::new(&url).unwrap().patience(Duration::ZERO);
    let error = refused(table(server, "records", ["key", "value"]));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.context("port"), Some(port.to_string().as_str()), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn what_the_server_refuses_is_said_with_what_to_do() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let connections: [(Change, &str); 3] = [
        (
            |config| {
                config.password("wrong");
            },
            "check the user and the password",
        ),
        (
            |config| {
                config.user("nobody");
            },
            "check the user and the password",
        ),
        (
            |config| {
                config.dbname("nowhere");
            },
            "there is no such database",
        ),
    ];
    for (change, part) in connections {
        let mut config = database.config();
        change(&mut config);
        let server = PostgresServer::from_config(config);
        let error = refused(table(server, "records", ["key", "value"]));
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains(part), "{error}");
    }
    let tables = [
        ("nothing", ["key", "value"], "there is no such table"),
        ("nowhere.records", ["key", "value"], "there is no such table"),
        ("records", ["key", "size"], "the table has no such column"),
    ];
    for (name, columns, part) in tables {
        let error = refused(table(database.server(), name, columns));
        assert_eq!(
            (error.kind(), error.context("table")),
            (ErrorKind::Invalid, Some(name))
        );
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn a_value_of_another_type_than_its_column_is_refused_by_name() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let mut job = Job::new("job", table(database.server(), "records", ["key", "note"]));
    job.start(1, None).unwrap();
    let error = job.write([1]).unwrap_err();
    assert_eq!(
        (error.kind(), error.context("column")),
        (ErrorKind::Invalid, Some("note"))
    );
    assert_eq!(error.context("type of the column"), Some("text"));
}

#[test]
fn a_row_that_the_table_refuses_fails_the_checkpoint_with_the_reason() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    database.run("ALTER TABLE records ADD CHECK (key < 5)");
    let mut job = Job::new("job", database.sink());
    job.start(1, None).unwrap();
    job.write(3..9).unwrap();
    let error = job.prepare(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("records_key_check"), "{error}");
    assert_eq!(database.left_behind(), [""; 0]);
}

#[test]
fn a_server_without_prepared_transactions_is_refused_and_takes_staged_rows() {
    let Some(database) = Database::with(&["max_prepared_transactions=0"]) else {
        return;
    };
    let database = database.with_table();
    let error = refused(database.sink());
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("without_prepared_transactions"),
        "{error}"
    );
    let mut job = Job::new("job", database.sink().without_prepared_transactions());
    job.start(1, None).unwrap();
    job.pass(1, 0..9).unwrap();
    assert_eq!(database.records().len(), 9);
}

#[test]
fn a_server_without_connections_is_asked_again_later() {
    let Some(database) = Database::with(&["max_connections=2", "superuser_reserved_connections=0"]) else {
        return;
    };
    let database = database.with_table();
    let server = database.server().patience(Duration::ZERO);
    let mut job = Job::new("job", table(server, "records", ["key", "value"]));
    job.start(1, None).unwrap();
    // The test and the committer have the two that there are.
    job.write([1]).unwrap();
    let error = job.prepare(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("raise max_connections"), "{error}");
}

#[test]
fn of_two_jobs_of_one_name_one_is_refused() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let [mut first, mut second] = [(); 2].map(|()| Job::new("job", database.sink()));
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
    assert_eq!(database.records().len(), 3);
}

#[test]
fn a_writer_that_was_taken_over_is_told_to_step_down() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let [mut first, mut second] = [(); 2].map(|()| Job::new("job", database.sink()));
    first.start(1, None).unwrap();
    second.start(2, None).unwrap();
    first.write([1]).unwrap();
    assert_eq!(first.prepare(1).unwrap_err().kind(), ErrorKind::Conflict);
    second.pass(1, [1]).unwrap();
    assert_eq!(database.records().len(), 1);
}

#[test]
fn what_others_have_in_the_server_is_never_touched() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let mut neighbour = Job::new("job-2", database.sink());
    neighbour.start(1, None).unwrap();
    neighbour.write(0..3).unwrap();
    let waiting = neighbour.prepare(1).unwrap();
    neighbour.write(3..5).unwrap();
    database.run("BEGIN; INSERT INTO records VALUES (100, 1); PREPARE TRANSACTION 'snapline/job/other'");
    for attempt in 1..3 {
        Job::new("job", database.sink()).start(attempt, None).unwrap();
    }
    neighbour.commit(waiting).unwrap();
    let second = neighbour.prepare(2).unwrap();
    neighbour.commit(second).unwrap();
    assert_eq!(database.records().len(), 5);
    assert_eq!(database.left_behind(), ["snapline/job/other"]);
    database.run("ROLLBACK PREPARED 'snapline/job/other'");
}

/// The writer is behind: the table is locked until nobody waits any more.
#[test]
fn a_checkpoint_that_nobody_waits_for_leaves_no_transaction_behind() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let mut job = Job::new("job", database.sink());
    job.start(1, None).unwrap();
    database.run("BEGIN; LOCK TABLE records");
    job.write(0..3).unwrap();
    job.give_up(1).unwrap();
    database.run("COMMIT");
    assert_eq!(job.prepare(2).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(database.left_behind(), [""; 0]);
    job.start(2, None).unwrap();
    job.pass(3, 0..3).unwrap();
    assert_eq!(database.records().len(), 3);
}

/// Rows of a complete checkpoint that are gone.
fn lost(database: &Database, sink: PostgresSink<Record>, damage: impl Fn()) -> Error {
    let mut job = Job::new("job", sink);
    job.start(1, None).unwrap();
    job.write(0..3).unwrap();
    let committables = job.prepare(1).unwrap();
    damage();
    let error = job.commit(committables).unwrap_err();
    assert_eq!(database.records(), []);
    error
}

#[test]
fn rows_that_somebody_has_rolled_back_are_not_taken_for_committed() {
    let Some(prepared) = Database::new().map(Database::with_table) else {
        return;
    };
    let roll_back = || prepared.run("ROLLBACK PREPARED 'snapline/job/sink/1/0/1'");
    let Some(staged) = Database::new().map(Database::with_table) else {
        return;
    };
    let remove = || {
        let part = staged.left_behind().remove(0);
        let (table, _) = part.split_once('/').unwrap();
        staged.run(&format!("DELETE FROM {table}"));
    };
    let errors = [
        lost(&prepared, prepared.sink(), roll_back),
        lost(&staged, staged.sink().without_prepared_transactions(), remove),
    ];
    for error in errors {
        assert_eq!(
            (error.kind(), error.context("rows")),
            (ErrorKind::Invalid, Some("3"))
        );
        assert!(
            error.message().contains("somebody has rolled them back"),
            "{error}"
        );
    }
}

#[test]
fn a_job_may_start_over_beside_the_rows_of_before() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let mut first = Job::new("job", database.sink());
    first.start(7, None).unwrap();
    first.pass(1, 0..3).unwrap();
    first.write(3..5).unwrap();
    first.prepare(2).unwrap();
    let mut again = Job::new("job", database.sink().on_existing(ExistingRows::Keep));
    again.start(1, None).unwrap();
    assert_eq!(database.left_behind(), [""; 0]);
    again.pass(1, 10..12).unwrap();
    assert_eq!(database.records().len(), 5);
}

/// Its attempts have smaller numbers than the one that has the sink.
#[test]
fn a_job_may_start_over_that_has_committed_nothing_yet() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    let mut first = Job::new("job", database.sink());
    first.start(7, None).unwrap();
    first.write(0..3).unwrap();
    first.prepare(1).unwrap();
    let error = Job::new("job", database.sink()).start(1, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let mut again = Job::new("job", database.sink().on_existing(ExistingRows::Keep));
    again.start(1, None).unwrap();
    assert_eq!(database.left_behind(), [""; 0]);
    again.pass(1, 10..12).unwrap();
    assert_eq!(database.records().len(), 2);
}

/// The transaction that was open is gone, the one that was prepared is not, and commits wait for the server.
#[test]
fn what_was_prepared_survives_a_crash_of_the_server() {
    let Some(database) = Database::new().map(Database::with_table) else {
        return;
    };
    if !database.is_own() {
        return;
    }
    let patient = database.sink();
    let mut job: Job<PostgresSink<Record>> = Job::new("job", patient);
    job.start(1, None).unwrap();
    job.write(0..3).unwrap();
    let first: Vec<PostgresPart> = job.prepare(1).unwrap();
    database.crash();
    let server = database.server().patience(Duration::ZERO);
    let mut impatient = Job::new("job", table(server, "records", ["key", "value"]));
    assert_eq!(
        impatient.commit(first.clone()).unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    database.start_again();
    // No transaction was open: the writer goes on in a new session.
    job.write(3..5).unwrap();
    let second = job.prepare(2).unwrap();
    job.write(5..9).unwrap();
    let committed = job.commit(first.clone());
    if let Err(error) = committed {
        // The session was lost with the server: a job asks again.
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        job.commit(first).unwrap();
    }
    job.commit(second).unwrap();
    assert_eq!(database.records().len(), 5);
    database.crash();
    database.start_again();
    assert_eq!(job.prepare(3).unwrap_err().kind(), ErrorKind::Unavailable);
    job.start(2, Some(2)).unwrap();
    job.pass(3, 5..9).unwrap();
    assert_eq!(database.records().len(), 9);
    assert_eq!(database.left_behind(), [""; 0]);
}
