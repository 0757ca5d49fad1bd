//! A database of the test's own, and how to look into it.

use snapline_connector_postgres::tokio_postgres::{Client, Config, NoTls, Row};
use snapline_connector_postgres::{PostgresServer, PostgresSink};
use snapline_testkit::services::{Postgres, skip};
use snapline_testkit::sink::Record;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;

pub(crate) struct Database {
    runtime: Runtime,
    /// A session that is kept.
    client: Mutex<Option<Client>>,
    /// The server ends when the database is dropped.
    postgres: Arc<Mutex<Postgres>>,
    config: Config,
}

impl Database {
    /// A new one; `None` when there is no server, which is said.
    pub(crate) fn new() -> Option<Self> {
        Self::with(&[])
    }

    /// A new one on a server with these settings.
    pub(crate) fn with(settings: &[&str]) -> Option<Self> {
        let postgres = Postgres::start_with(settings).map_err(skip).ok()?;
        let mut config: Config = postgres.url().parse().unwrap();
        let name = format!("test_{:x}", RandomState::new().hash_one(0));
        let database = Self {
            runtime: runtime(),
            client: Mutex::default(),
            postgres: Arc::new(Mutex::new(postgres)),
            config: config.clone(),
        };
        database.run(&format!("CREATE DATABASE {name}"));
        config.dbname(&name);
        Some(Self {
            config,
            client: Mutex::default(),
            ..database
        })
    }

    /// The same database, looked into by a session of its own.
    pub(crate) fn another_session(&self) -> Self {
        Self {
            runtime: runtime(),
            client: Mutex::default(),
            postgres: self.postgres.clone(),
            config: self.config(),
        }
    }

    /// Whether the server can be stopped.
    pub(crate) fn is_own(&self) -> bool {
        self.postgres.lock().unwrap().is_own()
    }

    /// Ends the server as a crash does.
    pub(crate) fn crash(&self) {
        self.client.lock().unwrap().take();
        self.postgres.lock().unwrap().crash().unwrap();
    }

    pub(crate) fn start_again(&self) {
        self.postgres.lock().unwrap().start_again().unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        self.config.clone()
    }

    pub(crate) fn server(&self) -> PostgresServer {
        PostgresServer::from_config(self.config()).patience(Duration::from_secs(20))
    }

    /// A table of keys and values, empty.
    pub(crate) fn with_table(self) -> Self {
        self.run("CREATE TABLE records (key bigint NOT NULL, value bigint NOT NULL, note text)");
        self
    }

    pub(crate) fn sink(&self) -> PostgresSink<Record> {
        PostgresSink::new(
            self.server(),
            "records",
            ["key", "value"],
            |record: &Record, row| {
                row.put(&(record.key as i64)).put(&(record.value as i64));
            },
        )
    }

    /// Runs statements.
    pub(crate) fn run(&self, statements: &str) {
        self.on_session(async |client| client.batch_execute(statements).await.unwrap());
    }

    pub(crate) fn query(&self, query: &str) -> Vec<Row> {
        self.on_session(async |client| client.query(query, &[]).await.unwrap())
    }

    /// The rows of the table.
    pub(crate) fn records(&self) -> Vec<Record> {
        let number = |row: &Row, column| row.get::<_, i64>(column) as u64;
        let rows = self.query("SELECT key, value FROM records");
        rows.iter()
            .map(|row| Record {
                key: number(row, 0),
                value: number(row, 1),
            })
            .collect()
    }

    /// Prepared transactions, and parts in staging tables.
    pub(crate) fn left_behind(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()")
            .iter()
            .map(|row| row.get(0))
            .collect();
        let tables = self.query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'snapline_staged_%'");
        for table in tables {
            let table: String = table.get(0);
            let parts = self.query(&format!("SELECT DISTINCT snapline_part FROM {table}"));
            names.extend(
                parts
                    .iter()
                    .map(|row| format!("{table}/{}", row.get::<_, String>(0))),
            );
        }
        names
    }

    fn on_session<T>(&self, work: impl AsyncFnOnce(&Client) -> T) -> T {
        let mut kept = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        self.runtime.block_on(async {
            let client = match kept.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => {
                    let (client, connection) = self.config.connect(NoTls).await.unwrap();
                    tokio::spawn(connection);
                    client
                }
            };
            let outcome = work(&client).await;
            *kept = Some(client);
            outcome
        })
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}
