//! Jobs in this process.

use crate::attempt::Start;
use crate::executor::{Executor, TokioExecutor};
use crate::network::Network;
use crate::probe::{JobStep, Probe};
use crate::status::Shared;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{Either, select};
use snapline_coordinator::{
    AttemptInfo, CheckpointStore, CoordinatorAction, RestartStrategy, Restored, Verification,
};
use snapline_core::{
    AttemptId, Clock, Error, ErrorKind, MaxParallelism, RestartSettings, Result, SystemClock,
};
use snapline_dataflow::{JobGraph, JobHandle, JobRunner, JobState};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Runs jobs in this process, each on threads of its own.
#[derive(Debug, Clone)]
pub struct LocalCluster {
    parts: Option<ClusterParts>,
}

/// What a job runs on.
#[derive(Debug, Clone)]
pub struct ClusterParts {
    /// Runs everything that a job does.
    pub executor: Arc<dyn Executor>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Decides which channel of a task delivers next; they take turns when `None`.
    pub network: Option<Arc<dyn Network>>,
    /// Is told of every step.
    pub probe: Option<Arc<dyn Probe>>,
    /// Tells this process from all others that may run the same job.
    pub nonce: u64,
}

impl ClusterParts {
    /// This executor and clock; channels take turns, and nobody is told of steps.
    pub fn new(executor: Arc<dyn Executor>, clock: Arc<dyn Clock>) -> Self {
        Self {
            executor,
            clock,
            network: None,
            probe: None,
            nonce: RandomState::new().hash_one(std::process::id()),
        }
    }

    /// Tells the probe of a step of the job.
    pub(crate) fn probe(&self, attempt: AttemptId, step: &JobStep<'_>) {
        if let Some(probe) = &self.probe {
            probe.on_job(attempt, step);
        }
    }

    pub(crate) fn probe_action(&self, attempt: AttemptId, action: &CoordinatorAction) {
        if let Some(step) = JobStep::of_action(action) {
            self.probe(attempt, &step);
        }
    }
}

impl LocalCluster {
    /// Each job gets a tokio runtime of its own with one worker per core, and the machine's clock.
    pub fn new() -> Self {
        Self { parts: None }
    }

    /// All jobs run on this executor and live by this clock.
    pub fn with_parts(executor: Arc<dyn Executor>, clock: Arc<dyn Clock>) -> Self {
        Self::assemble(ClusterParts::new(executor, clock))
    }

    /// All jobs run on these parts.
    pub fn assemble(parts: ClusterParts) -> Self {
        Self { parts: Some(parts) }
    }

    fn cluster(&self) -> Result<ClusterParts> {
        match &self.parts {
            Some(parts) => Ok(parts.clone()),
            None => Ok(ClusterParts::new(
                Arc::new(TokioExecutor::new()?),
                Arc::new(SystemClock::new()),
            )),
        }
    }
}

impl Default for LocalCluster {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl JobRunner for LocalCluster {
    async fn submit(&self, job: JobGraph) -> Result<JobHandle> {
        Ok(launch(job, self.cluster()?))
    }
}

fn launch(job: JobGraph, cluster: ClusterParts) -> JobHandle {
    let shared = Arc::new(Shared::new(job.job.clone()));
    let master = Master::new(job, cluster.clone(), shared.clone());
    let ended = shared.clone();
    let run = std::panic::AssertUnwindSafe(master.run())
        .catch_unwind()
        .map(move |outcome| {
            let outcome = outcome.unwrap_or_else(|panic| Err(crate::deploy::panicked(&*panic)));
            ended.end(outcome);
        });
    cluster.executor.spawn(run.boxed());
    JobHandle::new(shared)
}

/// Leads a job through its attempts.
struct Master {
    job: Arc<JobGraph>,
    cluster: ClusterParts,
    shared: Arc<Shared>,
    store: Arc<CheckpointStore>,
    strategy: RestartStrategy,
    /// The newest attempt of this process.
    attempt: Option<AttemptId>,
    /// Whether an attempt of this process has restored its state, or begun without.
    has_begun: bool,
}

impl Master {
    fn new(mut job: JobGraph, cluster: ClusterParts, shared: Arc<Shared>) -> Self {
        let restart = job.settings.restart_strategy();
        let mut store = CheckpointStore::new(job.components.storage.clone(), job.job.clone());
        if job.settings.local_recovery && restart != RestartSettings::None {
            store = store.with_local_copies();
            // Tasks restore from where the copies are.
            job.components.storage = store.storage().clone();
        }
        let strategy = RestartStrategy::from(&restart);
        Self {
            job: Arc::new(job),
            cluster,
            shared,
            store: Arc::new(store),
            strategy,
            attempt: None,
            has_begun: false,
        }
    }

    async fn run(mut self) -> Result<()> {
        loop {
            let error = match self.run_attempt().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.shared.on_attempt_end();
            self.cluster
                .probe(self.attempt.unwrap_or(AttemptId(0)), &JobStep::Fail(&error));
            if !may_pass(&error) {
                return Err(error);
            }
            let Some(delay) = self.strategy.on_failure(self.cluster.clock.monotonic()) else {
                return Err(error);
            };
            tracing::warn!(job = %self.job.job, %error, ?delay, "the job failed and restarts");
            self.shared
                .incident(format!("the job failed and restarts: {error}"));
            self.shared.change(|status| {
                status.state = JobState::Restarting;
                status.restarts += 1;
            });
            let shared = self.shared.clone();
            let cancelled = Box::pin(shared.cancelled());
            if let Either::Left(_) = select(cancelled, self.cluster.executor.sleep(delay)).await {
                return Err(Error::cancelled("the job was cancelled"));
            }
        }
    }

    async fn run_attempt(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        let started = Box::pin(self.start());
        let start = match select(Box::pin(shared.cancelled()), started).await {
            Either::Left(_) => return Err(Error::cancelled("the job was cancelled")),
            Either::Right((start, _)) => start?,
        };
        start.run().await
    }

    async fn start(&mut self) -> Result<Start> {
        let attempt = self.claim_attempt().await?;
        let restored = self.restore(attempt).await?;
        for (checkpoint, error) in &restored.skipped {
            tracing::warn!(%checkpoint, %error, "a checkpoint cannot be read; an older one is used");
            self.shared.incident(format!(
                "checkpoint {checkpoint} cannot be read, an older one is used: {error}"
            ));
        }
        if let Some(manifest) = &restored.manifest {
            adopt_max_parallelism(&mut self.job, manifest.max_parallelism);
        }
        let checkpoint = restored.checkpoint();
        self.cluster
            .probe(attempt, &JobStep::Start { restored: checkpoint });
        self.shared.change(|status| {
            status.attempt = attempt;
            status.restored = restored.checkpoint();
        });
        Ok(Start {
            cluster: self.cluster.clone(),
            job: self.job.clone(),
            attempt,
            store: self.store.clone(),
            shared: self.shared.clone(),
            restored,
        })
    }

    /// The next attempt. A restart must not take the job away from another process that took it over.
    async fn claim_attempt(&mut self) -> Result<AttemptId> {
        let info = AttemptInfo {
            host: host(),
            nonce: self.cluster.nonce,
            started: self.cluster.clock.now(),
            parallelism: self.job.settings.parallelism,
        };
        let attempt = self.store.claim_attempt(&info).await?;
        if let Some(last) = self.attempt {
            self.store.check_no_rival(last, attempt, info.nonce).await?;
        }
        self.attempt = Some(attempt);
        Ok(attempt)
    }

    async fn restore(&mut self, attempt: AttemptId) -> Result<Restored> {
        let restored = match self.job.settings.fresh && !self.has_begun {
            true => self.store.start_over(attempt).await,
            false => self.store.take_over(attempt, Verification::Checksums).await,
        };
        self.has_begun |= restored.is_ok();
        restored
    }
}

/// A job that did not choose a maximum parallelism follows its checkpoint, as long as it fits.
fn adopt_max_parallelism(job: &mut Arc<JobGraph>, stored: MaxParallelism) {
    let fits = job.nodes.iter().all(|node| node.parallelism <= stored.get());
    if job.settings.max_parallelism.is_none()
        && fits
        && let Some(job) = Arc::get_mut(job)
    {
        job.max_parallelism = stored;
    }
}

/// Whether a restart may help. Wrong programs and lost leadership stay what they are.
fn may_pass(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Corrupted
    )
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
