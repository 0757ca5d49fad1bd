//! Tables of PostgreSQL.

use super::outside::{Form, Outside, Row};
use snapline::Result;
use snapline::connectors::postgres::tokio_postgres::{Client, Config, NoTls};
use snapline::connectors::postgres::{PostgresServer, PostgresSink, PostgresUpsertSink, Row as Filled};
use snapline::prelude::*;
use snapline_testkit::services::Postgres;
use tokio::runtime::Runtime;

pub(crate) struct Tables {
    postgres: Postgres,
    runtime: Runtime,
}

impl Tables {
    pub(crate) fn start() -> Result<Self, String> {
        let postgres = Postgres::start()?;
        if !postgres.is_own() {
            return Err("the server of SNAPLINE_POSTGRES_URL is not ours to stop".to_owned());
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { postgres, runtime })
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> T) -> T {
        self.runtime.block_on(async {
            let config: Config = self.postgres.url().parse().unwrap();
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            question(&client).await
        })
    }
}

impl Outside for Tables {
    fn prepare(&mut self, form: Form, table: &str) -> String {
        let key = match form {
            Form::Upsert => "PRIMARY KEY",
            _ => "NOT NULL",
        };
        let create = format!("CREATE TABLE {table} (key bigint {key}, value bigint NOT NULL)");
        self.ask(async |client| client.batch_execute(&create).await.unwrap());
        self.postgres.url().to_owned()
    }

    fn restart(&mut self) {
        self.postgres.crash().unwrap();
        self.postgres.start_again().unwrap();
    }

    fn assert_exactly_once(&self, form: Form, table: &str) {
        let expected = form.rows();
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
}

pub(crate) fn write(rows: DataStream<Row>, form: Form, url: &str, table: &str) -> Result<()> {
    let server = PostgresServer::new(url)?;
    let fill = |(key, value): &Row, row: &mut Filled<'_>| {
        row.put(key).put(value);
    };
    let appending = || PostgresSink::new(server.clone(), table, ["key", "value"], fill);
    let sink = match form {
        Form::Staged => rows.sink_to(appending().without_prepared_transactions()),
        Form::Upsert => rows.sink_to(PostgresUpsertSink::new(
            server.clone(),
            table,
            ["key"],
            ["value"],
            fill,
        )),
        _ => rows.sink_to(appending()),
    };
    sink.uid("rows");
    Ok(())
}
