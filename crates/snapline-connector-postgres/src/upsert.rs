//! The newest row of each key.

mod apply;
mod recover;
mod writer;

use crate::encode::{Encode, encode_by};
use crate::outlet::Outlet;
use crate::owner::Owner;
use crate::row::Row;
use crate::server::PostgresServer;
use crate::table::Table;
use recover::UpsertCommitter;
use snapline_connector::{Committer, CommitterContext, Sink, SinkWriter, WriterContext};
use snapline_core::Result;
use std::sync::Arc;
use writer::UpsertWriter;

/// Keeps one row for each key in a table, the newest: a record whose key is there replaces its row.
///
/// | | |
/// |---|---|
/// | guarantee | at least once, and so effectively once by key: records that come again after a failure make the same rows again |
/// | needs | a table with a primary key or a unique index of the key columns; the right to create temporary tables, and `snapline_sink` and `snapline_commit` as for [`PostgresSink`](crate::PostgresSink) |
/// | in flight at a crash | rows since the last checkpoint may be visible already; their records come again and replace them |
///
/// Rows are visible a moment after they were written, not only when a checkpoint is complete: a reader may see a row go back to an
/// older value of its key after a failure, until the records have come again. Give records of one key to one writer, as `key_by`
/// does, or it is open which one is the newest.
///
/// While the server is away, for as long as [`PostgresServer::patience`] lasts, writers wait and write again.
///
/// # Examples
/// ```
/// use snapline_connector_postgres::{PostgresServer, PostgresUpsertSink, Row};
///
/// let server = PostgresServer::new("postgres://writer:secret@db.example.com/shop")?;
/// let sink = PostgresUpsertSink::new(
///     server,
///     "totals",
///     ["customer"],
///     ["total"],
///     |(customer, total): &(String, i64), row: &mut Row<'_>| {
///         row.put(customer).put(total);
///     },
/// );
/// # drop(sink);
/// # Ok::<(), snapline_core::Error>(())
/// ```
pub struct PostgresUpsertSink<T> {
    outlet: Arc<Outlet>,
    target: Arc<Target>,
    encode: Encode<T>,
}

/// Which columns are the key.
#[derive(Debug)]
struct Target {
    keys: Vec<String>,
    others: Vec<String>,
}

impl<T: 'static> PostgresUpsertSink<T> {
    /// Writes to a table, named as `table` or `schema.table`, what `fill` puts in the row of each record: first the key columns,
    /// then the others.
    pub fn new(
        server: PostgresServer,
        table: impl Into<String>,
        keys: impl IntoIterator<Item = impl Into<String>>,
        others: impl IntoIterator<Item = impl Into<String>>,
        fill: impl Fn(&T, &mut Row<'_>) + Send + Sync + 'static,
    ) -> Self {
        let names = |names: &mut dyn Iterator<Item = String>| names.collect::<Vec<_>>();
        let target = Target {
            keys: names(&mut keys.into_iter().map(Into::into)),
            others: names(&mut others.into_iter().map(Into::into)),
        };
        let columns = [target.keys.clone(), target.others.clone()].concat();
        Self {
            outlet: Arc::new(Outlet::new(server, Table::new(table, columns))),
            target: Arc::new(target),
            encode: encode_by(fill),
        }
    }
}

impl<T: 'static> Sink<T> for PostgresUpsertSink<T> {
    type Committable = ();

    fn writer(&self, context: WriterContext) -> Result<Box<dyn SinkWriter<T, ()>>> {
        let writer = UpsertWriter::start(&self.outlet, &self.target, self.encode.clone(), &context)?;
        Ok(Box::new(writer))
    }

    fn committer(&self, context: CommitterContext) -> Result<Box<dyn Committer<()>>> {
        let owner = Owner::new(&context.job, &context.operator);
        let (outlet, target) = (self.outlet.clone(), self.target.clone());
        Ok(Box::new(UpsertCommitter::new(outlet, target, owner)?))
    }
}

impl<T> std::fmt::Debug for PostgresUpsertSink<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresUpsertSink")
            .field("outlet", &self.outlet)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
