//! The server side of a sink, which its writers and its committer share.

use crate::events::Events;
use crate::server::PostgresServer;
use crate::table::{Column, Table};
use snapline_connector::EventLoop;
use snapline_core::{Error, Result};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// How many bytes of rows are worth a message.
pub(crate) const MESSAGE: usize = 128 * 1024;

#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) server: PostgresServer,
    pub(crate) table: Table,
    /// Tells this process from another one that has the same job and attempt.
    pub(crate) holder: i64,
    events: Events,
    /// As the last recovery has found them.
    columns: Mutex<Option<Arc<[Column]>>>,
}

impl Outlet {
    pub(crate) fn new(server: PostgresServer, table: Table) -> Self {
        let holder = RandomState::new().hash_one(std::process::id());
        Self {
            server,
            table,
            holder: i64::from_ne_bytes(holder.to_ne_bytes()),
            events: Events::default(),
            columns: Mutex::default(),
        }
    }

    pub(crate) fn events(&self) -> Result<EventLoop> {
        self.events.start()
    }

    pub(crate) fn set_columns(&self, columns: Vec<Column>) {
        let mut known = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(columns.into());
    }

    /// # Errors
    /// `Internal` before the sink has recovered, which it does before it has writers.
    pub(crate) fn columns(&self) -> Result<Arc<[Column]>> {
        let known = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .clone()
            .ok_or_else(|| Error::internal("a writer was opened before its sink has recovered"))
    }
}
