//! Makes what was prepared visible.

use super::PostgresPart;
use super::prepare::name;
use crate::failure::failed;
use crate::ledger::{Ledger, Token};
use crate::outlet::Outlet;
use crate::table::literal;
use snapline_core::{Error, Result};
use tokio_postgres::error::SqlState;

const COMMIT: &str = "rows cannot be committed";

impl PostgresPart {
    fn token(&self) -> Token {
        Token {
            checkpoint: self.checkpoint,
            subtask: self.subtask,
            attempt: self.attempt,
        }
    }
}

/// Commits what one writer has prepared, unless that was done.
///
/// # Errors
/// `Invalid` when it was neither done nor can be any more.
pub(super) async fn commit(ledger: Ledger<'_>, outlet: &Outlet, part: &PostgresPart) -> Result<()> {
    match &part.staged {
        None => commit_prepared(ledger, part).await,
        Some(staged) => commit_staged(ledger, outlet, part, staged).await,
    }
}

async fn commit_prepared(ledger: Ledger<'_>, part: &PostgresPart) -> Result<()> {
    let name = name(ledger.owner, part.token());
    let commit = format!("COMMIT PREPARED {}", literal(&name));
    match ledger.client.batch_execute(&commit).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => {
            match ledger.has(part.token()).await? {
                true => Ok(()),
                false => Err(gone().with("transaction", name).with("rows", part.rows)),
            }
        }
        Err(error) => Err(failed(COMMIT, error).with("transaction", name)),
    }
}

/// Moves the rows, and notes it, in one transaction.
async fn commit_staged(ledger: Ledger<'_>, outlet: &Outlet, part: &PostgresPart, staged: &str) -> Result<()> {
    let (client, cannot) = (ledger.client, |error| failed(COMMIT, error));
    client.batch_execute("BEGIN").await.map_err(cannot)?;
    if !ledger.note(part.token()).await? {
        return client.batch_execute("ROLLBACK").await.map_err(cannot);
    }
    let (staging, columns) = (ledger.owner.staging_table(), outlet.table.columns_sql());
    let table = outlet.table.sql();
    let copy =
        format!("INSERT INTO {table} ({columns}) SELECT {columns} FROM {staging} WHERE snapline_part = $1");
    let moved = client.execute(&copy, &[&staged]).await.map_err(cannot)?;
    if moved != part.rows {
        return Err(gone()
            .with("staging table", staging)
            .with("part", staged)
            .with("rows", part.rows)
            .with("found", moved));
    }
    let delete = format!("DELETE FROM {staging} WHERE snapline_part = $1");
    client.execute(&delete, &[&staged]).await.map_err(cannot)?;
    client.batch_execute("COMMIT").await.map_err(cannot)
}

fn gone() -> Error {
    Error::invalid(
        "rows of a complete checkpoint are neither visible nor waiting to be: somebody has rolled them back or removed \
         them; restore an older checkpoint with ExistingRows::Keep, or start over",
    )
}
