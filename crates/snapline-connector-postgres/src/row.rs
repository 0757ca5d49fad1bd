//! Rows in the binary format of COPY.

use crate::table::Column;
use bytes::{BufMut, Bytes, BytesMut};
use snapline_core::{Error, Result};
use tokio_postgres::types::{IsNull, ToSql};

/// How the data of a COPY begins and ends.
const BEGINNING: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
pub(crate) const END: &[u8] = &(-1_i16).to_be_bytes();

/// The row of one record: a value for each column, in the order in which the columns were named.
#[derive(Debug)]
pub struct Row<'a> {
    buffer: &'a mut BytesMut,
    columns: &'a [Column],
    next: usize,
    failure: Option<Error>,
}

impl Row<'_> {
    /// The value of the next column; `None` is NULL. A value that the column cannot have fails the job.
    pub fn put<V: ToSql>(&mut self, value: &V) -> &mut Self {
        if self.failure.is_none()
            && let Err(error) = self.try_put(value)
        {
            self.failure = Some(error);
        }
        self
    }

    fn try_put<V: ToSql>(&mut self, value: &V) -> Result<()> {
        let Some(column) = self.columns.get(self.next) else {
            return Err(
                Error::invalid("a row has more values than the sink has columns; give one for each")
                    .with("columns", self.columns.len()),
            );
        };
        self.next += 1;
        if !V::accepts(&column.kind) {
            return Err(Error::invalid(
                "a value does not have the type of its column; convert it, or change the table",
            )
            .with("column", &column.name)
            .with("type of the column", &column.kind)
            .with("type of the value", std::any::type_name::<V>()));
        }
        let start = self.buffer.len();
        self.buffer.put_i32(-1);
        let written = value.to_sql(&column.kind, self.buffer);
        let is_null = written.map_err(|error| {
            Error::invalid("a value cannot be written to its column")
                .with("column", &column.name)
                .because(error)
        })?;
        if let IsNull::No = is_null {
            let len = self.buffer.len() - start - size_of::<i32>();
            let len = i32::try_from(len)
                .map_err(|_| Error::invalid("a value is longer than 2 GiB").with("column", &column.name))?;
            self.buffer[start..start + size_of::<i32>()].copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }
}

/// Collects rows until they are worth a message.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    buffer: BytesMut,
}

impl Rows {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Appends one row; `first` is the value of a column before all others.
    pub(crate) fn push(
        &mut self,
        columns: &[Column],
        first: Option<&str>,
        fill: impl FnOnce(&mut Row<'_>),
    ) -> Result<()> {
        let count = columns.len() + usize::from(first.is_some());
        self.buffer.put_i16(count_of_columns(count)?);
        if let Some(first) = first {
            self.buffer.put_i32(first.len() as i32);
            self.buffer.put_slice(first.as_bytes());
        }
        let mut row = Row {
            buffer: &mut self.buffer,
            columns,
            next: 0,
            failure: None,
        };
        fill(&mut row);
        match (row.failure, row.next) {
            (Some(failure), _) => Err(failure),
            (None, next) if next < columns.len() => Err(Error::invalid(
                "a row has fewer values than the sink has columns; give one for each",
            )
            .with("columns", columns.len())
            .with("values", next)),
            _ => Ok(()),
        }
    }

    /// Takes all rows out.
    pub(crate) fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

/// What comes before the first row of a COPY.
pub(crate) fn beginning() -> Bytes {
    Bytes::from_static(BEGINNING)
}

/// What comes after the last one.
pub(crate) fn end() -> Bytes {
    Bytes::from_static(END)
}

fn count_of_columns(count: usize) -> Result<i16> {
    i16::try_from(count)
        .map_err(|_| Error::invalid("a table cannot have so many columns").with("count", count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;
    use tokio_postgres::types::Type;

    fn columns() -> Vec<Column> {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        vec![column("id", Type::INT8), column("name", Type::TEXT)]
    }

    #[test]
    fn a_row_has_its_columns_by_length_and_bytes() {
        let mut rows = Rows::default();
        rows.push(&columns(), None, |row| {
            row.put(&258_i64).put(&None::<String>);
        })
        .unwrap();
        let expected = [&[0, 2, 0, 0, 0, 8][..], &258_i64.to_be_bytes(), &[255; 4]].concat();
        assert_eq!(rows.take(), expected);
        rows.push(&columns()[1..], Some("p"), |row| {
            row.put(&"ab");
        })
        .unwrap();
        assert_eq!(
            rows.take(),
            [&[0, 2, 0, 0, 0, 1, b'p', 0, 0, 0, 2, b'a', b'b'][..]].concat()
        );
    }

    #[test]
    fn a_row_that_does_not_fit_is_refused_and_named() {
        let refused = |fill: fn(&mut Row<'_>)| Rows::default().push(&columns(), None, fill).unwrap_err();
        let cases = [
            (
                refused(|row| {
                    row.put(&1_i64);
                }),
                "fewer values",
            ),
            (
                refused(|row| {
                    row.put(&1_i64).put(&"a").put(&"b");
                }),
                "more values",
            ),
            (
                refused(|row| {
                    row.put(&1_i32).put(&"a");
                }),
                "id, type of the column: int8, type of the value: i32",
            ),
        ];
        for (error, part) in cases {
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
