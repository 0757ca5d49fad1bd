//! Two small tables in the database: which attempt has a sink, and what was committed.
//!
//! A row of `snapline_commit` is written in the transaction that makes rows visible. So a commit that is repeated finds it, and
//! a transaction that somebody has rolled back can be told from one that was committed.

use crate::failure::failed;
use crate::owner::Owner;
use crate::table::literal;
use snapline_core::{AttemptId, CheckpointId, Error, Result, SubtaskIndex};
use tokio_postgres::Client;

const CREATE: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(7307199719034229345);
    CREATE TABLE IF NOT EXISTS snapline_sink (
        job text, operator text, attempt bigint NOT NULL, holder bigint NOT NULL, PRIMARY KEY (job, operator));
    CREATE TABLE IF NOT EXISTS snapline_commit (
        job text, operator text, checkpoint bigint, subtask bigint, attempt bigint,
        PRIMARY KEY (job, operator, checkpoint, subtask, attempt));
    COMMIT";

/// Commits of older checkpoints than this many ago are forgotten.
const REMEMBERED: u64 = 10_000;

/// What one writer has prepared for one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) subtask: SubtaskIndex,
    pub(crate) attempt: AttemptId,
}

/// The two tables, as one sink sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ledger<'a> {
    pub(crate) client: &'a Client,
    pub(crate) owner: &'a Owner,
}

impl Ledger<'_> {
    /// Creates the tables when they are not there.
    pub(crate) async fn create(self) -> Result<()> {
        let there =
            "SELECT to_regclass('snapline_sink') IS NOT NULL AND to_regclass('snapline_commit') IS NOT NULL";
        let cannot = |error| {
            failed(
                "the tables snapline_sink and snapline_commit cannot be created",
                error,
            )
        };
        let row = self.client.query_one(there, &[]).await.map_err(cannot)?;
        if row.get(0) {
            return Ok(());
        }
        self.client.batch_execute(CREATE).await.map_err(cannot)
    }

    /// Makes the sink this attempt's, unless a newer one has it. The holder tells processes apart that have the same
    /// attempt, which are two jobs of one name.
    ///
    /// # Errors
    /// `Conflict` when it is another's.
    pub(crate) async fn claim(self, attempt: AttemptId, holder: i64) -> Result<()> {
        let claim =
            "INSERT INTO snapline_sink AS own (job, operator, attempt, holder) VALUES ($1, $2, $3, $4)
            ON CONFLICT (job, operator) DO UPDATE SET attempt = excluded.attempt, holder = excluded.holder
            WHERE own.attempt < excluded.attempt
                OR own.attempt = excluded.attempt AND own.holder = excluded.holder";
        let (job, operator) = (self.owner.job.as_str(), self.owner.operator.as_str());
        let claimed = self
            .client
            .execute(claim, &[&job, &operator, &signed(attempt.0)?, &holder])
            .await
            .map_err(|error| failed("the sink cannot be claimed in the table snapline_sink", error))?;
        match claimed {
            0 => Err(self.taken(attempt)),
            _ => Ok(()),
        }
    }

    /// Sees whether the sink is still this attempt's.
    ///
    /// # Errors
    /// `Conflict` when a newer one has it.
    pub(crate) async fn check(self, attempt: AttemptId) -> Result<()> {
        let newest = format!(
            "SELECT attempt FROM snapline_sink WHERE {}",
            self.owner.condition()
        );
        let row = self.client.query_opt(&newest, &[]).await;
        let row = row.map_err(|error| failed("the table snapline_sink cannot be read", error))?;
        let newest: i64 = row.map_or(0, |row| row.get(0));
        match newest > signed(attempt.0)? {
            true => Err(self.taken(attempt)),
            false => Ok(()),
        }
    }

    fn taken(self, attempt: AttemptId) -> Error {
        Error::conflict(
            "another process has this sink: a newer attempt of the job, or another job of the same name; give jobs that \
             write to one database names of their own",
        )
        .with("job", &self.owner.job)
        .with("operator", &self.owner.operator)
        .with("attempt", attempt)
    }

    /// Notes that what a writer has prepared is visible, when the transaction is that makes it so. Whether that was not
    /// noted before.
    pub(crate) async fn note(self, token: Token) -> Result<bool> {
        let note = "INSERT INTO snapline_commit (job, operator, checkpoint, subtask, attempt)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let (job, operator) = (self.owner.job.as_str(), self.owner.operator.as_str());
        let (checkpoint, attempt) = (signed(token.checkpoint.0)?, signed(token.attempt.0)?);
        let noted = self
            .client
            .execute(
                note,
                &[
                    &job,
                    &operator,
                    &checkpoint,
                    &i64::from(token.subtask.0),
                    &attempt,
                ],
            )
            .await
            .map_err(|error| failed("the table snapline_commit cannot be written", error))?;
        Ok(noted > 0)
    }

    /// Whether what a writer has prepared is visible.
    pub(crate) async fn has(self, token: Token) -> Result<bool> {
        let query = format!(
            "SELECT 1 FROM snapline_commit WHERE {} AND checkpoint = $1 AND subtask = $2 AND attempt = $3",
            self.owner.condition()
        );
        let (checkpoint, attempt) = (signed(token.checkpoint.0)?, signed(token.attempt.0)?);
        let row = self
            .client
            .query_opt(&query, &[&checkpoint, &i64::from(token.subtask.0), &attempt])
            .await;
        let row = row.map_err(|error| failed("the table snapline_commit cannot be read", error))?;
        Ok(row.is_some())
    }

    /// The newest checkpoint of which anything is visible.
    pub(crate) async fn newest(self) -> Result<Option<CheckpointId>> {
        let newest = format!(
            "SELECT max(checkpoint) FROM snapline_commit WHERE {}",
            self.owner.condition()
        );
        let row = self.client.query_one(&newest, &[]).await;
        let row = row.map_err(|error| failed("the table snapline_commit cannot be read", error))?;
        let newest: Option<i64> = row.get(0);
        Ok(newest.map(|checkpoint| CheckpointId(checkpoint.unsigned_abs())))
    }

    /// Forgets what was committed after a checkpoint, and with `None` also who has the sink.
    pub(crate) async fn forget_after(self, checkpoint: Option<CheckpointId>) -> Result<()> {
        let condition = self.owner.condition();
        let after = checkpoint.unwrap_or(CheckpointId::NONE);
        let mut forget = format!("DELETE FROM snapline_commit WHERE {condition} AND checkpoint > {after}");
        if checkpoint.is_none() {
            forget += &format!("; DELETE FROM snapline_sink WHERE {condition}");
        }
        let forgotten = self.client.batch_execute(&forget).await;
        forgotten.map_err(|error| failed("the tables of Snapline cannot be written", error))
    }

    /// Forgets commits that no restore can ask for any more.
    pub(crate) async fn prune(self, newest: CheckpointId) -> Result<()> {
        let Some(oldest) = newest.0.checked_sub(REMEMBERED) else {
            return Ok(());
        };
        let prune = format!(
            "DELETE FROM snapline_commit WHERE {} AND checkpoint < {oldest}",
            self.owner.condition()
        );
        let pruned = self.client.batch_execute(&prune).await;
        pruned.map_err(|error| failed("the table snapline_commit cannot be written", error))
    }

    /// Ends the sessions of writers of older attempts and waits until they are gone: from then on, nothing of theirs comes.
    pub(crate) async fn end_sessions(self, older: impl Fn(AttemptId) -> bool) -> Result<()> {
        let prefix = literal(&self.owner.session_prefix());
        let query = format!(
            "SELECT pid, application_name FROM pg_stat_activity
             WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
                AND left(application_name, length({prefix})) = {prefix}"
        );
        loop {
            let sessions = self.client.query(&query, &[]).await;
            let sessions = sessions.map_err(|error| failed("the sessions cannot be listed", error))?;
            let is_older = |name: &str| crate::owner::attempt_of(name).is_some_and(&older);
            let pids: Vec<i32> = sessions
                .iter()
                .filter(|row| is_older(row.get(1)))
                .map(|row| row.get(0))
                .collect();
            if pids.is_empty() {
                return Ok(());
            }
            let end = "SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid";
            let ended = self.client.query(end, &[&pids]).await;
            ended.map_err(|error| failed("the sessions of older attempts cannot be ended", error))?;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

/// The server has no unsigned numbers.
fn signed(number: u64) -> Result<i64> {
    i64::try_from(number)
        .map_err(|_| Error::internal("a number is too large for the server").with("number", number))
}
