//! Records as rows, exactly once.

mod cleanup;
mod commit;
mod committer;
mod prepare;
mod writer;

use crate::encode::{Encode, encode_by};
use crate::outlet::Outlet;
use crate::owner::Owner;
use crate::row::Row;
use crate::server::PostgresServer;
use crate::table::Table;
use committer::PostgresCommitter;
use serde::{Deserialize, Serialize};
use snapline_connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline_core::{AttemptId, CheckpointId, Result, SubtaskIndex};
use std::sync::Arc;
use writer::PostgresWriter;

/// Appends a row for each record to a table, exactly once, by COPY.
///
/// | | |
/// |---|---|
/// | guarantee | exactly once: the rows of a checkpoint become visible when it is complete, those of one writer in one transaction |
/// | needs | a table; the right to create tables beside it, or `snapline_sink` and `snapline_commit` as they are created else; `max_prepared_transactions` of at least twice the number of writers, or [`PostgresSink::without_prepared_transactions`] |
/// | in flight at a crash | rows of open transactions are gone with their sessions, prepared ones of no checkpoint are rolled back at the next start; their records are written anew |
///
/// Each writer copies its rows into a transaction and prepares it at a barrier, under the name
/// `snapline/{job}/{operator}/{checkpoint}/{subtask}/{attempt}`. The commit of a checkpoint commits those transactions. In each
/// of them stands a row of the table `snapline_commit`, by which a commit that is repeated knows that it was done, and one whose
/// transaction somebody has rolled back fails instead of losing rows silently.
///
/// A new attempt claims the sink in the table `snapline_sink`, ends the sessions of older writers, and rolls back what they have
/// prepared. Transactions and rows of other jobs are never touched. Of two jobs of one name the later one takes over or is refused.
///
/// A job that is stopped while a checkpoint runs, and never started again, leaves prepared transactions, which keep the server
/// from cleaning up: `ROLLBACK PREPARED` ends those that `pg_prepared_xacts` lists under the name of the job.
///
/// When a connection breaks in the middle of a transaction, the rows since the last checkpoint are gone, and the job restarts
/// from there. Between transactions, and in commits, the server may be away for as long as
/// [`PostgresServer::patience`] lasts.
///
/// When a job has to restore an older checkpoint than the newest that is committed, its rows cannot be told from others any
/// more, and it is refused unless [`ExistingRows::Keep`] says otherwise.
///
/// # Examples
/// ```
/// use snapline_connector_postgres::{PostgresServer, PostgresSink, Row};
///
/// struct Order {
///     id: i64,
///     customer: String,
///     note: Option<String>,
/// }
///
/// let server = PostgresServer::new("postgres://writer:secret@db.example.com/shop")?;
/// let sink = PostgresSink::new(
///     server,
///     "orders",
///     ["id", "customer", "note"],
///     |order: &Order, row: &mut Row<'_>| {
///         row.put(&order.id).put(&order.customer).put(&order.note);
///     },
/// );
/// # drop(sink);
/// # Ok::<(), snapline_core::Error>(())
/// ```
pub struct PostgresSink<T> {
    delivery: Arc<Delivery>,
    encode: Encode<T>,
}

/// What happens with rows that the restored checkpoint does not account for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExistingRows {
    /// The job does not start.
    #[default]
    Refuse,
    /// They stay, and the records of a restored checkpoint are written to the table again. A job that starts at the beginning
    /// takes the sink over from any other of its name.
    Keep,
}

/// Where rows wait until their checkpoint is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// In a prepared transaction.
    Prepared,
    /// In a table beside.
    Staged,
}

/// The server side of a sink in two phases.
#[derive(Debug)]
struct Delivery {
    outlet: Outlet,
    waiting: Waiting,
    existing: ExistingRows,
}

/// What a writer has prepared for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresPart {
    checkpoint: CheckpointId,
    subtask: SubtaskIndex,
    attempt: AttemptId,
    rows: u64,
    /// The part of the staging table, when the rows wait there.
    staged: Option<String>,
}

impl<T: 'static> PostgresSink<T> {
    /// Writes to these columns of a table, named as `table` or `schema.table`, what `fill` puts in the row of each record.
    pub fn new(
        server: PostgresServer,
        table: impl Into<String>,
        columns: impl IntoIterator<Item = impl Into<String>>,
        fill: impl Fn(&T, &mut Row<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self {
            delivery: Arc::new(Delivery {
                outlet: Outlet::new(server, Table::new(table, columns)),
                waiting: Waiting::Prepared,
                existing: ExistingRows::default(),
            }),
            encode: encode_by(fill),
        }
    }

    /// Lets rows wait in a table, for servers that have `max_prepared_transactions = 0`, as many in clouds do.
    ///
    /// At a barrier the rows are durable in `snapline_staged_{hash of job and operator}`, which is created when it is missing. The
    /// commit moves them to the table of the sink in one transaction. So each row is written twice in the server; the
    /// checkpoint only names them and stays small.
    #[must_use]
    pub fn without_prepared_transactions(self) -> Self {
        self.with(|delivery| delivery.waiting = Waiting::Staged)
    }

    /// Does this with rows of checkpoints that the job does not know, or does not know any more.
    #[must_use]
    pub fn on_existing(self, existing: ExistingRows) -> Self {
        self.with(|delivery| delivery.existing = existing)
    }

    fn with(mut self, change: impl FnOnce(&mut Delivery)) -> Self {
        // Nobody else has it before the job is built.
        if let Some(delivery) = Arc::get_mut(&mut self.delivery) {
            change(delivery);
        }
        self
    }
}

impl Delivery {
    /// The COPY that takes a writer's rows.
    fn copy(&self, owner: &Owner) -> String {
        let table = &self.outlet.table;
        let columns = table.columns_sql();
        match self.waiting {
            Waiting::Prepared => format!("COPY {} ({columns}) FROM STDIN BINARY", table.sql()),
            Waiting::Staged => format!(
                "COPY {} (snapline_part, {columns}) FROM STDIN BINARY",
                owner.staging_table()
            ),
        }
    }
}

impl<T: 'static> Sink<T> for PostgresSink<T> {
    type Committable = PostgresPart;

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, PostgresPart>>> {
        let writer = PostgresWriter::start(&self.delivery, self.encode.clone(), context)?;
        Ok(Box::new(writer))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<PostgresPart>>> {
        let owner = Owner::new(&context.job, &context.operator);
        Ok(Box::new(PostgresCommitter::new(self.delivery.clone(), owner)?))
    }
}

impl<T> std::fmt::Debug for PostgresSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSink")
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}
