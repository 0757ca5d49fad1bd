//! The server, and what is in it.

use super::Form;
use super::job::Job;
use snapline::connectors::postgres::tokio_postgres::{Client, NoTls};
use snapline_testkit::services::Postgres;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct Outside {
    postgres: Postgres,
    runtime: Runtime,
    folder: TempDir,
}

impl Outside {
    pub(crate) fn start() -> Result<Self, String> {
        let postgres = Postgres::start()?;
        if !postgres.is_own() {
            return Err("the server of SNAPLINE_POSTGRES_URL is not ours to stop".to_owned());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self {
            postgres,
            runtime,
            folder,
        })
    }

    /// An empty table and a job that fills it.
    pub(crate) fn prepare(&self, form: Form, table: &str) -> Job {
        let key = match form {
            Form::Upsert => "PRIMARY KEY",
            _ => "NOT NULL",
        };
        let create = format!("CREATE TABLE {table} (key bigint {key}, value bigint NOT NULL)");
        self.ask(async |client| client.batch_execute(&create).await.unwrap());
        Job {
            url: self.postgres.url().to_owned(),
            form,
            table: table.to_owned(),
            checkpoints: self.folder.path().join(table),
        }
    }

    pub(crate) fn restart_server(&mut self) {
        self.postgres.crash().unwrap();
        self.postgres.start_again().unwrap();
    }

    /// Panics unless the table has every row once, and nothing is left of the transactions of the job.
    pub(crate) fn assert_exactly_once(&self, table: &str, expected: u64) {
        let query = format!(
            "SELECT count(*), count(DISTINCT key), count(*) FILTER (WHERE key < 0 OR key >= {expected} OR value <> key * 7),
                (SELECT count(*) FROM pg_prepared_xacts),
                (SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'snapline/%')
             FROM {table}"
        );
        let row = self.ask(async |client| client.query_one(&query, &[]).await.unwrap());
        let counts: [i64; 5] = std::array::from_fn(|column| row.get(column));
        let [rows, keys, wrong, prepared, sessions] = counts;
        assert_eq!(
            [rows, keys, wrong],
            [expected as i64, expected as i64, 0],
            "{table}: rows, keys, wrong ones"
        );
        assert_eq!(prepared, 0, "{table}: transactions were left behind");
        assert_eq!(sessions, 0, "{table}: sessions were left behind");
        let staged = "SELECT tablename::text FROM pg_tables WHERE tablename LIKE 'snapline_staged_%'";
        for table in self.ask(async |client| client.query(staged, &[]).await.unwrap()) {
            let table: String = table.get(0);
            let count = format!("SELECT count(*) FROM {table}");
            let row = self.ask(async |client| client.query_one(&count, &[]).await.unwrap());
            assert_eq!(row.get::<_, i64>(0), 0, "rows were left behind in {table}");
        }
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(async {
            let config: snapline::connectors::postgres::tokio_postgres::Config =
                self.postgres.url().parse().unwrap();
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            question(&client).await
        })
    }
}
