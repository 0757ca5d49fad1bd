//! The suite of all sinks.

use crate::database::Database;
use snapline_connector_postgres::PostgresSink;
use snapline_testkit::sink::{Record, Subject};
use std::sync::Arc;

/// The table of a new database, written to by this kind of sink.
fn subject(
    make: impl Fn(PostgresSink<Record>) -> PostgresSink<Record> + Send + Sync + 'static,
) -> Option<Subject> {
    let database = Arc::new(Database::new()?.with_table());
    let (read, listed) = (database.clone(), database.clone());
    let open = move || make(database.sink());
    Some(Subject::exactly_once(open, move || read.records()).left_behind(move || listed.left_behind()))
}

snapline_testkit::sink_suite!(prepared, {
    let Some(subject) = subject(|sink| sink) else {
        return;
    };
    subject
});
snapline_testkit::sink_suite!(staged, {
    let Some(subject) = subject(PostgresSink::without_prepared_transactions) else {
        return;
    };
    subject
});
