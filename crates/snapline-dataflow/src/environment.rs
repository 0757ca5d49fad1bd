//! Where a program begins.

use crate::explain::ExplainedJob;
use crate::factory::OutputOf;
use crate::graph::{NodeFactory, NodeId, StreamGraph, StreamNode};
use crate::job::{JobHandle, JobResult, JobRunner};
use crate::operator::source::SourceOf;
use crate::plan::JobGraph;
use crate::stream::DataStream;
use crate::time::strategy::WatermarkStrategy;
use snapline_connector::Source;
use snapline_core::{CheckpointSettings, JobSettings, Result};
use snapline_state::{CheckpointStorage, StateBackend};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The parts that a job is assembled from.
#[derive(Debug, Clone)]
pub struct Components {
    /// Where snapshots go.
    pub storage: Arc<dyn CheckpointStorage>,
    /// Where live state is.
    pub backend: Arc<dyn StateBackend>,
    /// What runs jobs.
    pub runner: Arc<dyn JobRunner>,
    /// Where the savepoint of `JobSettings::restore` is; in `storage` when unset.
    pub savepoints: Option<Arc<dyn CheckpointStorage>>,
}

impl Components {
    /// These parts, with savepoints where checkpoints are.
    pub fn new(
        storage: Arc<dyn CheckpointStorage>,
        backend: Arc<dyn StateBackend>,
        runner: Arc<dyn JobRunner>,
    ) -> Self {
        Self {
            storage,
            backend,
            runner,
            savepoints: None,
        }
    }
}

/// Where a program describes its streams and starts its jobs.
///
/// A clone describes the same job.
#[derive(Debug, Clone)]
pub struct StreamExecutionEnvironment {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    components: Components,
}

#[derive(Debug)]
struct State {
    graph: StreamGraph,
    settings: JobSettings,
}

impl StreamExecutionEnvironment {
    /// An environment with these settings and parts. The facade has a builder with defaults.
    pub fn new(settings: JobSettings, components: Components) -> Self {
        let state = Mutex::new(State {
            graph: StreamGraph::default(),
            settings,
        });
        Self {
            shared: Arc::new(Shared { state, components }),
        }
    }

    /// Takes a checkpoint each `interval`.
    ///
    /// Other settings of checkpoints stay as they are.
    pub fn enable_checkpointing(&self, interval: Duration) -> &Self {
        let mut state = self.state();
        let given = state.settings.checkpoints.take().unwrap_or_default();
        let interval_ms = CheckpointSettings::every(interval).interval_ms;
        state.settings.checkpoints = Some(CheckpointSettings { interval_ms, ..given });
        drop(state);
        self
    }

    /// Changes the settings of the job.
    pub fn configure(&self, change: impl FnOnce(&mut JobSettings)) -> &Self {
        change(&mut self.state().settings);
        self
    }

    /// The settings of the job.
    pub fn settings(&self) -> JobSettings {
        self.state().settings.clone()
    }

    /// A stream of everything that a source reads.
    pub fn from_source<S: Source>(&self, source: S, name: &str) -> DataStream<S::Item> {
        self.source(SourceOf::new(source, None), name)
    }

    /// A stream of everything that a source reads, whose event time is that of the slowest of its splits.
    ///
    /// Each split is watched by itself. So records of a split that is behind are not late, and event time stands
    /// still while a split is not even begun: a source that reads its splits one after the other advances it with
    /// the last one. To see what a subtask reads as one stream, use
    /// [`DataStream::assign_timestamps_and_watermarks`]. Sources that are not to run away from one another are
    /// [aligned](WatermarkStrategy::with_watermark_alignment).
    ///
    /// ```
    /// use snapline_connector::GeneratorSource;
    /// use snapline_core::Timestamp;
    /// use snapline_dataflow::{DataStream, StreamExecutionEnvironment, WatermarkStrategy};
    ///
    /// /// Two readings each millisecond.
    /// fn readings(env: &StreamExecutionEnvironment) -> DataStream<u64> {
    ///     let strategy = WatermarkStrategy::<u64>::for_monotonous_timestamps()
    ///         .with_timestamp_assigner(|reading| Timestamp((reading / 2) as i64));
    ///     env.from_source_with_watermarks(GeneratorSource::new(1_000, |n| n), strategy, "readings")
    /// }
    /// ```
    pub fn from_source_with_watermarks<S: Source>(
        &self,
        source: S,
        strategy: WatermarkStrategy<S::Item>,
        name: &str,
    ) -> DataStream<S::Item> {
        self.require(strategy.check(), name);
        self.source(SourceOf::new(source, Some(strategy)), name)
    }

    /// Notes a mistake in the description of the operator of this name.
    pub(crate) fn require(&self, checked: Result<()>, operator: &str) {
        if let Err(mistake) = checked {
            self.with_graph(|graph| graph.mistake(mistake.with("operator", operator)));
        }
    }

    fn source<S: Source>(&self, source: SourceOf<S>, name: &str) -> DataStream<S::Item> {
        let node = self.add(StreamNode {
            name: name.to_owned(),
            uid: None,
            parallelism: None,
            inputs: Vec::new(),
            factory: NodeFactory::Source(Arc::new(source)),
            output: Some(Arc::new(OutputOf::<S::Item>::new())),
        });
        DataStream::new(self.clone(), node)
    }

    /// Runs what was described since the last call, to its end.
    ///
    /// # Errors
    /// A mistake in the description, or what made the job fail. That a function has failed or panicked is told with the
    /// `operator`, the number of its `subtask` and the `record`: 1 is the first that this subtask was given since it was last
    /// started. Where a batch is worked on as a whole it is one of the `records` of that. A timer has neither.
    pub async fn execute(&self, name: &str) -> Result<JobResult> {
        self.execute_async(name).await?.wait().await
    }

    /// Starts what was described since the last call.
    ///
    /// # Errors
    /// A mistake in the description, or what keeps the job from starting.
    pub async fn execute_async(&self, name: &str) -> Result<JobHandle> {
        let job = self.plan(name)?;
        let runner = self.shared.components.runner.clone();
        runner.submit(job).await
    }

    /// Plans what was described since the last call, without running it.
    ///
    /// # Errors
    /// A mistake in the description.
    pub fn plan(&self, name: &str) -> Result<JobGraph> {
        let (graph, settings) = {
            let mut state = self.state();
            (std::mem::take(&mut state.graph), state.settings.clone())
        };
        JobGraph::plan(graph, name, settings, self.shared.components.clone())
    }

    /// How what was described since the last call that took it would run. The description stays for `execute`.
    ///
    /// ```
    /// use snapline_connector::{DiscardSink, SequenceSource};
    /// use snapline_core::Result;
    /// use snapline_dataflow::StreamExecutionEnvironment;
    ///
    /// fn show(env: &StreamExecutionEnvironment) -> Result<()> {
    ///     env.from_source(SequenceSource::new(0..10), "numbers").sink_to(DiscardSink);
    ///     let plan = env.explain("numbers")?;
    ///     println!("{plan}");
    ///     println!("{}", plan.to_mermaid());
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// A mistake in the description, as `execute` would find it.
    pub fn explain(&self, name: &str) -> Result<ExplainedJob> {
        let (graph, settings) = {
            let state = self.state();
            (state.graph.clone(), state.settings.clone())
        };
        let job = JobGraph::plan(graph, name, settings, self.shared.components.clone())?;
        Ok(job.explain())
    }

    pub(crate) fn add(&self, node: StreamNode) -> NodeId {
        self.state().graph.add(node)
    }

    pub(crate) fn with_graph<R>(&self, change: impl FnOnce(&mut StreamGraph) -> R) -> R {
        change(&mut self.state().graph)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
