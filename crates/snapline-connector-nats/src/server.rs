//! A server or a cluster, and how to reach it.

use crate::failure::{connecting, too_late};
use crate::session::Session;
use async_nats::{ConnectOptions, ServerAddr};
use snapline_connector::Patience;
use snapline_core::{Error, Result};
use std::fmt;
use std::time::Duration;
use tokio::sync::watch;

/// A server that has vanished without a word is noticed after about twice this long.
const PING: Duration = Duration::from_secs(10);

/// Where a NATS server is, and as whom to speak to it.
///
/// # Examples
/// ```
/// use snapline_connector_nats::NatsServer;
///
/// let server = NatsServer::new("nats://writer:secret@nats.example.com:4222")?;
/// assert!(!format!("{server:?}").contains("secret"));
/// # Ok::<(), snapline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct NatsServer {
    addresses: Vec<ServerAddr>,
    options: ConnectOptions,
    patience: Patience,
}

impl NatsServer {
    /// The server of a URL, `nats://user:password@host:port`, `nats://token@host:port` or `tls://...`, or several servers of one
    /// cluster, with commas between.
    ///
    /// # Errors
    /// `Invalid` when a part of the text is no such URL.
    pub fn new(url: &str) -> Result<Self> {
        let addresses = url.split(',').map(|part| part.trim().parse());
        let addresses: Result<_, _> = addresses.collect();
        Ok(Self {
            addresses: addresses.map_err(|error| {
                Error::invalid("not the address of a NATS server, as nats://user:password@host:4222")
                    .because(error)
            })?,
            options: ConnectOptions::new(),
            patience: Patience::default(),
        })
    }

    /// Connects with these options, such as credentials, keys or certificates. How often to connect again, and whom to
    /// tell, is set by the connector.
    #[must_use]
    pub fn options(self, options: ConnectOptions) -> Self {
        Self { options, ..self }
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

    /// The client leaves aside who is named in an address.
    fn authenticated(&self) -> ConnectOptions {
        let options = self.options.clone();
        let named = self.addresses.iter().find_map(|address| {
            let user = address.username()?;
            Some((user.to_owned(), address.password().map(str::to_owned)))
        });
        match named {
            Some((user, Some(password))) => options.user_and_password(user, password),
            Some((token, None)) => options.token(token),
            None => options,
        }
    }

    pub(crate) fn how_patient(&self) -> Duration {
        self.patience.limit()
    }

    /// Opens a connection, which the server lists under this name. On an event loop.
    pub(crate) async fn connect(&self, name: &str) -> Result<Session> {
        let (sender, has_ended) = watch::channel(false);
        let options = self
            .authenticated()
            .name(name)
            .ping_interval(PING)
            .connection_timeout(Patience::CONNECTS_WITHIN)
            .max_reconnects(self.addresses.len())
            .event_callback(move |event| {
                // What was sent before may be lost: whoever uses the connection begins with a new one.
                if matches!(event, async_nats::Event::Disconnected | async_nats::Event::Closed) {
                    sender.send_replace(true);
                }
                async {}
            });
        let connecting_to = options.connect(self.addresses.clone());
        match tokio::time::timeout(Patience::CONNECTS_WITHIN, connecting_to).await {
            Ok(Ok(client)) => Ok(Session::new(client, has_ended)),
            Ok(Err(error)) => Err(self.name(connecting(error))),
            Err(_) => Err(self.name(too_late("cannot connect to the NATS server"))),
        }
    }

    /// Does this again while the server is not there, as long as patience lasts. On an event loop.
    pub(crate) async fn patiently<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let again = |error: &Error| tracing::debug!(%error, "the NATS server is asked again");
        self.patience.retry(|| self.bounded(call()), again).await
    }

    /// Gives up when patience ends. On an event loop.
    pub(crate) async fn bounded<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let outcome = self.patience.bounded(call).await;
        outcome.unwrap_or_else(|| Err(self.name(too_late("the NATS server is slow"))))
    }

    fn name(&self, error: Error) -> Error {
        let places = self.addresses.iter();
        let places: Vec<_> = places
            .map(|address| format!("{}:{}", address.host(), address.port()))
            .collect();
        error.with("server", places.join(", "))
    }
}

impl fmt::Debug for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self
            .addresses
            .iter()
            .map(|address| (address.host(), address.port()));
        f.debug_struct("NatsServer")
            .field("addresses", &places.collect::<Vec<_>>())
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
        let error = NatsServer::new("nats://one:4222, http:// x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.message().contains("nats://user:password@host:4222"),
            "{error}"
        );
    }
}
