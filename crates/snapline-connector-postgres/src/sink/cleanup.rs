//! Removes what older attempts have left behind.

use super::{Delivery, Waiting};
use crate::failure::failed;
use crate::ledger::Ledger;
use crate::outlet::Outlet;
use crate::owner::attempt_of;
use crate::table::literal;
use snapline_core::{AttemptId, Result};
use tokio_postgres::error::SqlState;

/// Takes their sessions from older attempts, then rolls back what they have prepared and staged. What a checkpoint
/// has promised is committed by then.
pub(super) async fn clean_up(
    ledger: Ledger<'_>,
    delivery: &Delivery,
    older: impl Fn(AttemptId) -> bool,
) -> Result<()> {
    ledger.end_sessions(&older).await?;
    roll_back(ledger, &older).await?;
    remove_staged(ledger, &older).await?;
    match delivery.waiting {
        Waiting::Prepared => Ok(()),
        Waiting::Staged => create_staging_table(ledger, &delivery.outlet).await,
    }
}

async fn roll_back(ledger: Ledger<'_>, older: impl Fn(AttemptId) -> bool) -> Result<()> {
    let prefix = literal(&ledger.owner.prefix());
    let query = format!(
        "SELECT gid FROM pg_prepared_xacts
         WHERE database = current_database() AND left(gid, length({prefix})) = {prefix}"
    );
    let cannot = |error| failed("transactions of older attempts cannot be rolled back", error);
    for row in ledger.client.query(&query, &[]).await.map_err(cannot)? {
        let name: &str = row.get(0);
        if !attempt_of(name).is_some_and(&older) {
            continue;
        }
        tracing::info!(
            transaction = name,
            "rolling back a transaction that belongs to no checkpoint"
        );
        let rolled_back = ledger
            .client
            .batch_execute(&format!("ROLLBACK PREPARED {}", literal(name)))
            .await;
        match rolled_back {
            Err(error) if error.code() != Some(&SqlState::UNDEFINED_OBJECT) => return Err(cannot(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The name of a part begins with its attempt.
async fn remove_staged(ledger: Ledger<'_>, older: impl Fn(AttemptId) -> bool) -> Result<()> {
    let staging = ledger.owner.staging_table();
    let cannot = |error| {
        failed(
            "rows of older attempts cannot be removed from the staging table",
            error,
        )
    };
    let exists = format!("SELECT to_regclass('{staging}') IS NOT NULL");
    let row = ledger.client.query_one(&exists, &[]).await.map_err(cannot)?;
    if !row.get::<_, bool>(0) {
        return Ok(());
    }
    let parts = format!("SELECT DISTINCT snapline_part FROM {staging}");
    let parts = ledger.client.query(&parts, &[]).await.map_err(cannot)?;
    let attempt = |part: &str| part.split('.').next()?.parse().ok().map(AttemptId);
    let old: Vec<&str> = parts
        .iter()
        .map(|row| row.get::<_, &str>(0))
        .filter(|part| attempt(part).is_some_and(&older))
        .collect();
    let remove = format!("DELETE FROM {staging} WHERE snapline_part = ANY($1)");
    ledger
        .client
        .execute(&remove, &[&old])
        .await
        .map(drop)
        .map_err(cannot)
}

/// A table with the columns of the sink, and one that says which part a row belongs to. When the columns of the sink have
/// changed, it is made anew: by now it is empty.
async fn create_staging_table(ledger: Ledger<'_>, outlet: &Outlet) -> Result<()> {
    let staging = ledger.owner.staging_table();
    let (columns, table) = (outlet.table.columns_sql(), outlet.table.sql());
    let fits = format!("SELECT snapline_part, {columns} FROM {staging} LIMIT 0");
    if let Ok(statement) = ledger.client.prepare(&fits).await {
        let known = outlet.columns()?;
        let mut kinds = statement.columns().iter().skip(1).zip(known.iter());
        if kinds.all(|(staged, column)| *staged.type_() == column.kind) {
            return Ok(());
        }
    }
    let create = format!(
        "BEGIN;
         DROP TABLE IF EXISTS {staging};
         CREATE TABLE {staging} AS SELECT ''::text AS snapline_part, {columns} FROM {table} WITH NO DATA;
         CREATE INDEX ON {staging} (snapline_part);
         COMMIT"
    );
    let created = ledger.client.batch_execute(&create).await;
    created.map_err(|error| failed("the staging table cannot be created", error).with("table", staging))
}
