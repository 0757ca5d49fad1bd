//! Rows as records, in the order of a key.

mod enumerator;
mod fetch;
mod query;
mod reader;

use crate::events::Events;
use crate::server::PostgresServer;
use enumerator::PostgresEnumerator;
use query::Query;
use reader::PostgresReader;
use serde::{Deserialize, Serialize};
use snapline_connector::{ReaderContext, Source, SourceReader, SourceSplit, SplitEnumerator};
use snapline_core::{Data, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::{Error as PostgresError, Row};

/// Reads the rows of a table in the order of a key that grows, such as a serial number.
///
/// | | |
/// |---|---|
/// | guarantee | exactly once for rows that are inserted with growing keys; rows that change or go after they were read are not read again |
/// | needs | PostgreSQL 13; the right to read the table, and an index of the key, without which every page sorts the table |
/// | in flight at a crash | the checkpoint has the key of the last row; reading goes on behind it |
///
/// It asks for a page of rows behind the last key after the other (`WHERE key > $1 ORDER BY key LIMIT n`), and reads up to the
/// greatest key there is when the job starts, or for ever with [`PostgresSource::unbounded`].
///
/// A transaction that is open may yet insert a row with a smaller key than one that is there already. So no row is read
/// before all transactions have ended that were open when its key was the greatest one; one that is open for long holds reading back.
/// Keys must be drawn in order by those who insert: a sequence with `CACHE 1`, in the statement that inserts. Rows whose key is NULL
/// are passed over.
///
/// One reader reads the whole table; others are idle.
///
/// # Examples
/// ```
/// use snapline_connector_postgres::{PostgresServer, PostgresSource};
///
/// let server = PostgresServer::new("postgres://reader:secret@db.example.com/shop")?;
/// let source = PostgresSource::new(server, "orders", "id", |row| {
///     Ok((row.try_get("id")?, row.try_get("customer")?))
/// });
/// # let _: PostgresSource<(i64, String)> = source;
/// # Ok::<(), snapline_core::Error>(())
/// ```
pub struct PostgresSource<T> {
    inlet: Arc<Inlet>,
    read: Read<T>,
}

/// Makes a record of a row.
type Read<T> = Arc<dyn Fn(&Row) -> Result<T, PostgresError> + Send + Sync>;

/// The server side of a source.
#[derive(Debug)]
struct Inlet {
    server: PostgresServer,
    query: Query,
    /// Asks for new rows at this interval; `None` when there is an end.
    poll: Option<Duration>,
    events: Events,
}

/// Which rows of the table are still to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresSplit {
    /// Those behind this key, as the server writes it.
    after: Option<String>,
    /// Up to this one, and it too; `None` when there is no end.
    until: Option<String>,
}

impl SourceSplit for PostgresSplit {
    fn weight(&self) -> u64 {
        1
    }
}

impl<T> PostgresSource<T> {
    /// Reads a table, named as `table` or `schema.table`, by the column `key`. `read` makes a record of each row; an error
    /// fails the job.
    pub fn new(
        server: PostgresServer,
        table: impl Into<String>,
        key: impl Into<String>,
        read: impl Fn(&Row) -> Result<T, PostgresError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inlet: Arc::new(Inlet {
                server,
                query: Query::new(table, key),
                poll: None,
                events: Events::default(),
            }),
            read: Arc::new(read),
        }
    }

    /// Goes on for ever: asks for new rows at this interval when all are read.
    #[must_use]
    pub fn unbounded(self, poll: Duration) -> Self {
        self.with(|inlet| inlet.poll = Some(poll))
    }

    /// Asks for this many rows at a time, at least one. 10,000 unless set.
    #[must_use]
    pub fn page(self, rows: u32) -> Self {
        self.with(|inlet| inlet.query.limit = rows.max(1))
    }

    fn with(mut self, change: impl FnOnce(&mut Inlet)) -> Self {
        // Nobody else has it before the job is built.
        if let Some(inlet) = Arc::get_mut(&mut self.inlet) {
            change(inlet);
        }
        self
    }
}

impl<T: Data> Source for PostgresSource<T> {
    type Item = T;
    type Split = PostgresSplit;

    fn enumerator(&self) -> Result<Box<dyn SplitEnumerator<PostgresSplit>>> {
        Ok(Box::new(PostgresEnumerator(self.inlet.clone())))
    }

    fn reader(&self, _: ReaderContext) -> Result<Box<dyn SourceReader<T, PostgresSplit>>> {
        Ok(Box::new(PostgresReader::new(
            self.inlet.clone(),
            self.read.clone(),
        )))
    }
}

impl<T> std::fmt::Debug for PostgresSource<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSource")
            .field("inlet", &self.inlet)
            .finish_non_exhaustive()
    }
}
