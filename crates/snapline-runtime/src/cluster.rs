//! Jobs in this process.

use crate::attempt::{AttemptEnd, Loaded, Start};
use crate::executor::{Executor, TokioExecutor};
use crate::lead::Lead;
use crate::network::Network;
use crate::probe::{JobStep, Probe};
use crate::restore::check_fits;
use crate::status::Shared;
use async_trait::async_trait;
use futures::FutureExt;
use futures::future::{Either, select};
use snapline_coordinator::{CheckpointStore, CoordinatorAction, Restored, Savepoint, Verification};
use snapline_core::{
    AttemptId, Clock, Error, ErrorKind, MaxParallelism, RestartSettings, RestoreSettings, Result,
    SystemClock, Timestamp,
};
use snapline_dataflow::{FailureAnswer, JobFailure, JobGraph, JobHandle, JobRunner, JobState};
use snapline_state::{StorageKey, check_codec};
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
        if let Some(checkpoints) = &job.settings.checkpoints {
            check_codec(checkpoints.compression)?;
        }
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
            let outcome = outcome.unwrap_or_else(|panic| Err(Error::panicked(&*panic)));
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
    lead: Arc<Lead>,
    /// Whether an attempt of this process has restored its state, or begun without.
    has_begun: bool,
}

impl Master {
    fn new(mut job: JobGraph, cluster: ClusterParts, shared: Arc<Shared>) -> Self {
        let mut store = CheckpointStore::new(job.components.storage.clone(), job.job.clone());
        if let Some(checkpoints) = &job.settings.checkpoints {
            store = store.compressed_by(checkpoints.compression);
        }
        if job.settings.local_recovery && job.settings.restart_strategy() != RestartSettings::None {
            store = store.with_local_copies();
            // Tasks restore from where the copies are.
            job.components.storage = store.storage().clone();
        }
        let store = Arc::new(store);
        let lead = Arc::new(Lead::new(&job, store.clone(), &cluster));
        Self {
            job: Arc::new(job),
            cluster,
            shared,
            store,
            lead,
            has_begun: false,
        }
    }

    async fn run(mut self) -> Result<AttemptEnd> {
        loop {
            let error = match self.run_attempt().await {
                Ok(end) => return Ok(end),
                Err(error) => error,
            };
            self.shared.on_attempt_end();
            self.cluster
                .probe(self.lead.last().unwrap_or(AttemptId(0)), &JobStep::Fail(&error));
            let delay = match may_pass(&error) {
                true => self.lead.restart_delay(self.cluster.clock.monotonic()),
                false => None,
            };
            let answer = delay.map_or(FailureAnswer::Ended, |_| FailureAnswer::RestartedJob);
            self.note_failure(&error, answer);
            let Some(delay) = delay else {
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

    async fn run_attempt(&mut self) -> Result<AttemptEnd> {
        let shared = self.shared.clone();
        let loaded = Box::pin(self.load());
        let loaded = match select(Box::pin(shared.cancelled()), loaded).await {
            Either::Left(_) => return Err(Error::cancelled("the job was cancelled")),
            Either::Right((loaded, _)) => loaded?,
        };
        self.on_loaded(loaded.restored());
        loaded.run().await
    }

    /// Takes the job over and loads its state, which is verified as it comes, so that it is read once.
    ///
    /// Where that shows damage, all checkpoints are verified before another one is loaded; or this one again, when the damage
    /// was elsewhere. A savepoint is verified before it takes the place of the checkpoints that there are.
    async fn load(&mut self) -> Result<Loaded> {
        let verification = match self.check_savepoint().await? {
            true => Verification::Checksums,
            false => Verification::Manifest,
        };
        let attempt = self.lead.claim().await?;
        match self.load_verifying(attempt, verification).await {
            Err(error) if error.kind() == ErrorKind::Corrupted && verification == Verification::Manifest => {
                tracing::warn!(%error, "state is damaged; checkpoints are verified before one is loaded");
                self.load_verifying(attempt, Verification::Checksums).await
            }
            outcome => outcome,
        }
    }

    async fn load_verifying(&mut self, attempt: AttemptId, verification: Verification) -> Result<Loaded> {
        let restored = self.restore(attempt, verification).await?;
        if let Some(manifest) = &restored.manifest {
            adopt_max_parallelism(&mut self.job, manifest.max_parallelism);
        }
        let start = Start {
            cluster: self.cluster.clone(),
            job: self.job.clone(),
            attempt,
            store: self.store.clone(),
            shared: self.shared.clone(),
            lead: self.lead.clone(),
            restored,
        };
        start.load().await
    }

    /// From now on it is certain what is restored.
    fn on_loaded(&self, restored: &Restored) {
        for (checkpoint, error) in &restored.skipped {
            tracing::warn!(%checkpoint, %error, "a checkpoint cannot be read; an older one is used");
            self.shared.incident(format!(
                "checkpoint {checkpoint} cannot be read, an older one is used: {error}"
            ));
        }
        let (attempt, checkpoint) = (self.lead.last().unwrap_or(AttemptId(0)), restored.checkpoint());
        self.cluster
            .probe(attempt, &JobStep::Start { restored: checkpoint });
        self.shared.change(|status| {
            status.attempt = attempt;
            status.restored = checkpoint;
        });
    }

    fn note_failure(&self, error: &Error, answer: FailureAnswer) {
        if error.kind() != ErrorKind::Cancelled {
            let attempt = self.lead.last().unwrap_or(AttemptId(0));
            let at = self.cluster.clock.now();
            self.shared
                .failure(failure_of(&self.job, at, attempt, error, answer));
        }
    }

    async fn restore(&mut self, attempt: AttemptId, verification: Verification) -> Result<Restored> {
        let settings = &self.job.settings;
        let restored = match &settings.restore {
            Some(restore) => self.restore_from(attempt, restore, verification).await,
            None if settings.fresh && !self.has_begun => self.store.start_over(attempt).await,
            None => self.store.take_over(attempt, verification).await,
        };
        self.has_begun |= restored.is_ok();
        restored
    }

    /// Whether the job is to start from a savepoint now. Refuses a program that does not fit it before anything is
    /// written.
    async fn check_savepoint(&mut self) -> Result<bool> {
        let restore = self.job.settings.restore.clone();
        let Some(restore) = restore.filter(|_| !self.has_begun) else {
            return Ok(false);
        };
        let savepoint = self.savepoint(&restore)?;
        let found = self.store.look_at_savepoint(&savepoint, restore.claim).await?;
        if let Some(manifest) = &found {
            adopt_max_parallelism(&mut self.job, manifest.max_parallelism);
            check_fits(&self.job, manifest)?;
        }
        Ok(found.is_some())
    }

    fn savepoint(&self, restore: &RestoreSettings) -> Result<Savepoint> {
        let components = &self.job.components;
        let storage = components.savepoints.as_ref().unwrap_or(&components.storage);
        let path = StorageKey::new(restore.path.clone())?;
        Ok(Savepoint::new(storage.clone(), path))
    }

    async fn restore_from(
        &self,
        attempt: AttemptId,
        restore: &RestoreSettings,
        verification: Verification,
    ) -> Result<Restored> {
        let savepoint = self.savepoint(restore)?;
        let store = &self.store;
        store
            .take_over_from(attempt, &savepoint, restore.claim, verification)
            .await
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
pub(crate) fn may_pass(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Internal | ErrorKind::Corrupted
    )
}

/// A failure with the task and the operators that its error names.
pub(crate) fn failure_of(
    job: &JobGraph,
    at: Timestamp,
    attempt: AttemptId,
    error: &Error,
    answer: FailureAnswer,
) -> JobFailure {
    let mut failure = JobFailure::new(at, attempt, error.clone());
    failure.answer = answer;
    let vertices = job.vertices.iter();
    let tasks = vertices.flat_map(|vertex| job.tasks(vertex).map(move |task| (vertex, task)));
    let named = error.context("task").unwrap_or_default();
    for (vertex, task) in tasks.filter(|(_, task)| task.to_string() == named) {
        failure.task = Some(task);
        failure.operators = vertex
            .members
            .iter()
            .map(|id| job.node(*id).node.name.clone())
            .collect();
    }
    failure
}
