//! A table, and the columns of it that are written.

use crate::failure::failed;
use snapline_core::{Error, Result};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

/// Names, as the program gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    name: String,
    columns: Vec<String>,
}

/// A column and its type in the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
}

impl Table {
    pub(crate) fn new(name: impl Into<String>, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            name: name.into(),
            columns: columns.into_iter().map(Into::into).collect(),
        }
    }

    /// As the program gave it.
    pub(crate) fn given(&self) -> &str {
        &self.name
    }

    /// The name in SQL; a dot divides a schema from a table.
    pub(crate) fn sql(&self) -> String {
        let parts: Vec<_> = self.name.split('.').map(identifier).collect();
        parts.join(".")
    }

    /// The columns in SQL, divided by commas.
    pub(crate) fn columns_sql(&self) -> String {
        list(&self.columns)
    }

    /// Asks the server for the types of the columns.
    ///
    /// # Errors
    /// `Invalid` when there is no such table or no such column, naming it.
    pub(crate) async fn types(&self, client: &Client) -> Result<Vec<Column>> {
        if self.columns.is_empty() {
            return Err(Error::invalid(
                "no columns are given; name those that the rows have",
            ));
        }
        let query = format!("SELECT {} FROM {}", self.columns_sql(), self.sql());
        let statement = client.prepare(&query).await.map_err(|error| {
            failed("the table cannot be used", error)
                .with("table", &self.name)
                .with("columns", self.columns.join(", "))
        })?;
        let columns = statement.columns().iter().map(|column| Column {
            name: column.name().to_owned(),
            kind: column.type_().clone(),
        });
        Ok(columns.collect())
    }
}

/// Names in SQL, divided by commas.
pub(crate) fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| identifier(name)).collect();
    quoted.join(", ")
}

/// A name in SQL.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_part_by_part() {
        let table = Table::new("shop.or\"ders", ["id", "Amount"]);
        assert_eq!(table.sql(), r#""shop"."or""ders""#);
        assert_eq!(table.columns_sql(), r#""id", "Amount""#);
        assert_eq!(literal("it's"), "'it''s'");
    }
}
