//! What the server is asked.

use crate::failure::failed;
use crate::table::{Table, identifier};
use snapline_core::{Error, Result};
use tokio_postgres::types::Kind;
use tokio_postgres::{Client, Row};

const READ: &str = "rows cannot be read from the table";

/// A table and its key, as the program gave them.
#[derive(Debug)]
pub(super) struct Query {
    table: Table,
    key: String,
    /// How many rows to ask for at a time.
    pub(super) limit: u32,
}

/// The greatest key at a moment, and which transactions there were.
#[derive(Debug, Clone)]
pub(super) struct Horizon {
    /// `None` when there are no rows.
    pub(super) key: Option<String>,
    /// All transactions below have ended.
    ended: u64,
    /// All transactions below had begun.
    begun: u64,
}

impl Horizon {
    /// Whether no row can come any more whose key was drawn before the greatest one of then.
    pub(super) fn has_settled_by(&self, now: &Self) -> bool {
        now.ended >= self.begun
    }
}

impl Query {
    pub(super) fn new(table: impl Into<String>, key: impl Into<String>) -> Self {
        let key = key.into();
        Self {
            table: Table::new(table, [key.clone()]),
            key,
            limit: 10_000,
        }
    }

    pub(super) fn name(&self, error: Error) -> Error {
        error.with("table", self.table.given()).with("key", &self.key)
    }

    pub(super) async fn horizon(&self, client: &Client) -> Result<Horizon> {
        let (table, key) = (self.table.sql(), identifier(&self.key));
        // The column of the table, not that of the result, which is a text: the order is another one.
        let query = format!(
            "SELECT (SELECT own.{key}::text FROM {table} AS own
                    WHERE own.{key} IS NOT NULL ORDER BY own.{key} DESC LIMIT 1),
                pg_snapshot_xmin(snapshot)::text, pg_snapshot_xmax(snapshot)::text
             FROM pg_current_snapshot() AS snapshot"
        );
        let row = client.query_one(&query, &[]).await;
        let row = row.map_err(|error| self.name(failed(READ, error)))?;
        let number = |column| {
            let text: &str = row.get(column);
            text.parse()
                .map_err(|_| Error::internal("not the number of a transaction").with("given", text))
        };
        Ok(Horizon {
            key: row.get(0),
            ended: number(1)?,
            begun: number(2)?,
        })
    }

    /// The next rows behind one key and up to another, and as a last column their keys as texts.
    pub(super) async fn page(&self, client: &Client, after: Option<&str>, until: &str) -> Result<Vec<Row>> {
        let (table, key, limit) = (self.table.sql(), identifier(&self.key), self.limit);
        let kind = self.kind(client).await?;
        let behind = match after {
            Some(_) => format!("own.{key} > $2::text::{kind}"),
            None => "$2::text IS NULL".to_owned(),
        };
        let query = format!(
            "SELECT own.*, own.{key}::text AS snapline_key FROM {table} AS own
             WHERE own.{key} <= $1::text::{kind} AND {behind} ORDER BY own.{key} LIMIT {limit}"
        );
        let rows = client.query(&query, &[&until, &after]).await;
        rows.map_err(|error| self.name(failed(READ, error)))
    }

    /// The type of the key in SQL.
    async fn kind(&self, client: &Client) -> Result<String> {
        let columns = self.table.types(client).await?;
        let kind = columns.into_iter().next().map(|column| column.kind);
        let kind = kind.ok_or_else(|| Error::internal("a column without a type"))?;
        match kind.kind() {
            Kind::Simple | Kind::Enum(_) | Kind::Domain(_) => Ok(format!(
                "{}.{}",
                identifier(kind.schema()),
                identifier(kind.name())
            )),
            _ => Err(self
                .name(Error::invalid(
                    "the key must be of a simple type, such as bigint or timestamptz",
                ))
                .with("type", &kind)),
        }
    }
}

/// The key of a row of a page.
pub(super) fn key_of(row: &Row) -> String {
    row.get(row.len() - 1)
}
