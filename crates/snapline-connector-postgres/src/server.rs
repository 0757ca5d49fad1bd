//! A server, and how to reach it.

use crate::failure::{failed, too_late};
use futures::FutureExt;
use futures::future::BoxFuture;
use snapline_connector::Patience;
use snapline_core::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error as PostgresError, NoTls, Socket};

/// A server that has vanished without a word is noticed after about this long.
const SILENCE: Duration = Duration::from_secs(30);
/// Transactions stay open from one checkpoint to the next, whatever the server's defaults say.
const OPTIONS: &str = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=0";

/// Where a PostgreSQL server is, and as whom to speak to it.
///
/// # Examples
/// ```
/// use snapline_connector_postgres::PostgresServer;
///
/// let server = PostgresServer::new("postgres://reader:secret@db.example.com/shop")?;
/// assert!(!format!("{server:?}").contains("secret"));
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct PostgresServer {
    config: Config,
    connect: Arc<Connect>,
    patience: Patience,
}

type Connect = dyn Fn(Config) -> BoxFuture<'static, Result<Client, PostgresError>> + Send + Sync;

impl PostgresServer {
    /// The server of a URL, `postgres://user:password@host:port/database`, or of a text as `host=... user=...`.
    /// Nothing is encrypted on the way unless [`PostgresServer::tls`] says how.
    ///
    /// # Errors
    /// `Invalid` when the text is neither.
    pub fn new(url: &str) -> Result<Self> {
        let config = Config::from_str(url).map_err(|error| {
            Error::invalid(
                "not the address of a PostgreSQL server, as postgres://user:password@host/database",
            )
            .because(error)
        })?;
        Ok(Self::from_config(config))
    }

    /// The server of a configuration that the program has built.
    pub fn from_config(config: Config) -> Self {
        Self {
            config,
            connect: connect_by(NoTls),
            patience: Patience::default(),
        }
    }

    /// Encrypts what is on the way by this connector, as those of `postgres-native-tls` or `tokio-postgres-rustls`.
    #[must_use]
    pub fn tls<M>(self, connector: M) -> Self
    where
        M: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        M::Stream: Send,
        M::TlsConnect: Send,
        <M::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self {
            connect: connect_by(connector),
            ..self
        }
    }

    /// How long to go on when the server is not there or does not answer, before the call fails and the job says what
    /// is next. 30 seconds unless set.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self {
            patience: Patience::of(patience),
            ..self
        }
    }

    /// Opens a session, which the server lists under this name. On an event loop.
    pub(crate) async fn connect(&self, name: &str) -> Result<Client> {
        let mut config = self.config.clone();
        let options = config.get_options().unwrap_or_default();
        let options = format!("{OPTIONS} {options}");
        config.options(options.trim());
        config.application_name(name);
        config.keepalives_idle(SILENCE);
        config.tcp_user_timeout(SILENCE);
        let connecting = (self.connect)(config);
        match tokio::time::timeout(Patience::CONNECTS_WITHIN, connecting).await {
            Ok(connected) => connected
                .map_err(|error| self.name(failed("cannot open a session of the PostgreSQL server", error))),
            Err(_) => Err(self.name(too_late("cannot open a session of the PostgreSQL server"))),
        }
    }

    /// Does this again while the server is not there, as long as patience lasts. On an event loop.
    pub(crate) async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let again = |error: &Error| tracing::debug!(%error, "the PostgreSQL server is asked again");
        self.patience.retry(|| self.bounded(call()), again).await
    }

    /// Gives up when patience ends. On an event loop.
    pub(crate) async fn bounded<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let outcome = self.patience.bounded(call).await;
        outcome.unwrap_or_else(|| Err(self.name(too_late("the PostgreSQL server is slow"))))
    }

    fn name(&self, error: Error) -> Error {
        let hosts: Vec<_> = self
            .config
            .get_hosts()
            .iter()
            .map(|host| format!("{host:?}"))
            .collect();
        let database = self.config.get_dbname().unwrap_or("of the user's name");
        error
            .with("host", hosts.join(", "))
            .with("port", ports(&self.config))
            .with("database", database)
    }
}

fn ports(config: &Config) -> String {
    let ports: Vec<_> = config.get_ports().iter().map(ToString::to_string).collect();
    match ports.is_empty() {
        true => "5432".to_owned(),
        false => ports.join(", "),
    }
}

/// Sessions end when their client is dropped.
fn connect_by<M>(connector: M) -> Arc<Connect>
where
    M: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    M::Stream: Send,
    M::TlsConnect: Send,
    <M::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    Arc::new(move |config| {
        let connector = connector.clone();
        async move {
            let (client, connection) = config.connect(connector).await?;
            tokio::spawn(connection.map(drop));
            Ok(client)
        }
        .boxed()
    })
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresServer")
            .field("config", &self.config)
            .field("patience", &self.patience.limit())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapline_core::ErrorKind;

    #[test]
    fn an_address_that_is_none_is_refused() {
        let error = PostgresServer::new("postgres://host:port/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.message().contains("postgres://user:password@host/database"),
            "{error}"
        );
    }
}
