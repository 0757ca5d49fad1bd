//! How a cluster is reached.

use crate::client::{ConnectKafka, KafkaClient};
use crate::krafka_client::Krafka;
use krafka::auth::AuthConfig;
use krafka::{Kafka, KafkaBuilder};
use snapline_core::Result;
use std::sync::Arc;

/// A cluster, and as whom it is reached. Cheap to clone; opens nothing by itself.
#[derive(Debug, Clone)]
pub struct KafkaConnection {
    connect: Arc<dyn ConnectKafka>,
}

impl KafkaConnection {
    /// The cluster of these servers, separated by commas, as `host:port`; without encryption and credentials.
    pub fn to(servers: impl Into<String>) -> Self {
        let servers = servers.into();
        Self::with_client(Krafka::new(move || builder(&servers)))
    }

    /// The cluster of these servers, with TLS and SASL as they are set.
    pub fn secured(servers: impl Into<String>, security: AuthConfig) -> Self {
        let servers = servers.into();
        Self::with_client(Krafka::new(move || builder(&servers).security(security.clone())))
    }

    /// Uses a client that is set up differently, or another one.
    pub fn with_client(connect: impl ConnectKafka) -> Self {
        Self {
            connect: Arc::new(connect),
        }
    }

    pub(crate) async fn connect(&self) -> Result<Arc<dyn KafkaClient>> {
        self.connect.connect().await
    }
}

fn builder(servers: &str) -> KafkaBuilder {
    Kafka::builder(servers).client_id("snapline")
}
