//! The environment with defaults filled in.

use snapline_connector_file::TextFileSource;
use snapline_core::{ClaimMode, JobSettings, MaxParallelism, RestartSettings, RestoreSettings, Result};
use snapline_dataflow::{Components, DataStream, JobRunner};
use snapline_runtime::LocalCluster;
use snapline_state::{CheckpointStorage, StateBackend};
use snapline_state_memory::{MemoryCheckpointStorage, MemoryStateBackend};
use std::ops::Deref;
use std::sync::Arc;

/// Where a program describes its streams and starts its jobs.
///
/// It is a [`snapline_dataflow::StreamExecutionEnvironment`], whose methods are all here, with a
/// builder that fills in what a program does not choose: state in memory, checkpoints in memory, a
/// [`LocalCluster`].
#[derive(Debug, Clone)]
pub struct StreamExecutionEnvironment {
    inner: snapline_dataflow::StreamExecutionEnvironment,
}

impl StreamExecutionEnvironment {
    /// Begins to choose.
    pub fn builder() -> EnvironmentBuilder {
        EnvironmentBuilder::default()
    }

    /// A stream of the lines of a text file, of all files of a directory, or of all that match a
    /// pattern: `file:///var/log/app.log`, `logs/`, `logs/*.log`.
    ///
    /// A missing file is an error of the job, not of this call.
    pub fn read_text_file(&self, path: &str) -> DataStream<String> {
        self.inner.from_source(TextFileSource::new(path), "text-file")
    }
}

impl Deref for StreamExecutionEnvironment {
    type Target = snapline_dataflow::StreamExecutionEnvironment;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

/// Chooses the settings and the parts of an environment.
#[derive(Debug, Default)]
pub struct EnvironmentBuilder {
    settings: JobSettings,
    storage: Option<Arc<dyn CheckpointStorage>>,
    backend: Option<Arc<dyn StateBackend>>,
    runner: Option<Arc<dyn JobRunner>>,
    savepoints: Option<Arc<dyn CheckpointStorage>>,
}

impl EnvironmentBuilder {
    /// Starts from these settings, for instance read from a file with serde.
    #[must_use]
    pub fn settings(mut self, settings: JobSettings) -> Self {
        self.settings = settings;
        self
    }

    /// How many subtasks an operator has unless it says otherwise; 1 when not set.
    #[must_use]
    pub fn parallelism(mut self, parallelism: u32) -> Self {
        self.settings.parallelism = parallelism;
        self
    }

    /// The most subtasks that the job can ever have: it is fixed by the first checkpoint. Chosen from
    /// the parallelism, at least 128, when not set.
    #[must_use]
    pub fn max_parallelism(mut self, max_parallelism: MaxParallelism) -> Self {
        self.settings.max_parallelism = Some(max_parallelism);
        self
    }

    /// What happens after a task failed.
    #[must_use]
    pub fn restart(mut self, restart: RestartSettings) -> Self {
        self.settings.restart = Some(restart);
        self
    }

    /// Ignores existing checkpoints and starts at the beginning.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.settings.fresh = true;
        self
    }

    /// Starts from a savepoint in the checkpoint storage instead of the newest checkpoint. A run that
    /// was started from it before and has taken checkpoints since resumes from these.
    #[must_use]
    pub fn restore_from(mut self, path: impl Into<String>, claim: ClaimMode) -> Self {
        let path = path.into();
        self.settings.restore = Some(RestoreSettings { path, claim });
        self
    }

    /// The storage of the savepoint that [`Self::restore_from`] names; the checkpoint storage when not set.
    #[must_use]
    pub fn savepoint_storage(mut self, storage: impl CheckpointStorage) -> Self {
        self.savepoints = Some(Arc::new(storage));
        self
    }

    /// Where snapshots go; memory when not set, which survives failures of tasks but not the end of
    /// the process.
    #[must_use]
    pub fn checkpoint_storage(mut self, storage: impl CheckpointStorage) -> Self {
        self.storage = Some(Arc::new(storage));
        self
    }

    /// Where live state is; memory when not set.
    #[must_use]
    pub fn state_backend(mut self, backend: impl StateBackend) -> Self {
        self.backend = Some(Arc::new(backend));
        self
    }

    /// What runs jobs; a [`LocalCluster`] when not set.
    #[must_use]
    pub fn runner(mut self, runner: impl JobRunner) -> Self {
        self.runner = Some(Arc::new(runner));
        self
    }

    /// The environment.
    ///
    /// # Errors
    /// `Invalid` naming a setting that cannot be.
    pub fn build(self) -> Result<StreamExecutionEnvironment> {
        self.settings.validate()?;
        let components = Components {
            storage: self
                .storage
                .unwrap_or_else(|| Arc::new(MemoryCheckpointStorage::new())),
            backend: self
                .backend
                .unwrap_or_else(|| Arc::new(MemoryStateBackend::new())),
            runner: self.runner.unwrap_or_else(|| Arc::new(LocalCluster::new())),
            savepoints: self.savepoints,
        };
        let inner = snapline_dataflow::StreamExecutionEnvironment::new(self.settings, components);
        Ok(StreamExecutionEnvironment { inner })
    }
}
