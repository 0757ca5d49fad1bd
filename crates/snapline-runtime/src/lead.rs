//! What outlives an attempt: whose job it is, and how often it may restart.

use crate::cluster::ClusterParts;
use snapline_coordinator::{AttemptInfo, CheckpointStore, RestartStrategy};
use snapline_core::{AttemptId, Clock, Result};
use snapline_dataflow::JobGraph;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Claims attempts for this process, and notices when another process has claimed one meanwhile; counts
/// restarts, of the whole job and of its regions together.
#[derive(Debug)]
pub(crate) struct Lead {
    store: Arc<CheckpointStore>,
    clock: Arc<dyn Clock>,
    nonce: u64,
    parallelism: u32,
    last: Mutex<Option<AttemptId>>,
    strategy: Mutex<RestartStrategy>,
}

impl Lead {
    pub(crate) fn new(job: &JobGraph, store: Arc<CheckpointStore>, cluster: &ClusterParts) -> Self {
        Self {
            store,
            clock: cluster.clock.clone(),
            nonce: cluster.nonce,
            parallelism: job.settings.parallelism,
            last: Mutex::new(None),
            strategy: Mutex::new(RestartStrategy::new(
                &job.settings.restart_strategy(),
                cluster.nonce,
            )),
        }
    }

    /// How long to wait before a restart after a failure at this monotonic time; `None`: no restart.
    pub(crate) fn restart_delay(&self, now: Duration) -> Option<Duration> {
        self.strategy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .on_failure(now)
    }

    /// The next attempt. A restart must not take the job away from another process that took it over.
    ///
    /// # Errors
    /// `Conflict` when another process has claimed an attempt since; otherwise the storage's error.
    pub(crate) async fn claim(&self) -> Result<AttemptId> {
        let info = AttemptInfo {
            host: host(),
            nonce: self.nonce,
            started: self.clock.now(),
            parallelism: self.parallelism,
        };
        let attempt = self.store.claim_attempt(&info).await?;
        if let Some(last) = self.last() {
            self.store.check_no_rival(last, attempt, self.nonce).await?;
        }
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(attempt);
        Ok(attempt)
    }

    /// The newest attempt of this process.
    pub(crate) fn last(&self) -> Option<AttemptId> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
