//! From records to rows.

use crate::row::{Row, Rows};
use crate::table::Column;
use snapline_core::Result;
use std::sync::Arc;

/// Appends the rows of a whole batch, so that the code for one record is inlined in its loop. The text is the value of a
/// column before those of the sink.
pub(crate) type Encode<T> = Arc<dyn Fn(&[T], &[Column], Option<&str>, &mut Rows) -> Result<()> + Send + Sync>;

/// Lets a closure fill the row of each record.
pub(crate) fn encode_by<T>(fill: impl Fn(&T, &mut Row<'_>) + Send + Sync + 'static) -> Encode<T> {
    Arc::new(move |records, columns, first, rows| {
        records
            .iter()
            .try_for_each(|record| rows.push(columns, first, |row| fill(record, row)))
    })
}
