//! From a planned job to tasks: channels first, then the chains, each built where it will run.

use crate::executor::{Executor, ExecutorSleeper};
use crate::finished::{Finished, FinishedHead};
use crate::gate::{GateSender, InputGate, input_gate};
use crate::history::SharedHistory;
use crate::in_flight::{ChannelKey, Dealt, InFlight};
use crate::network::Network;
use crate::port::ResultPartition;
use crate::probe::Probe;
use crate::spill::Spill;
use crate::storing::{AT_ONCE, Storing};
use crate::task::{BackEdge, Channel, GateTask, Inputs, Reporter, SourceTask, TaskControl, TaskReport, Work};
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use snapline_barrier::ChannelSender;
use snapline_coordinator::CheckpointStore;
use snapline_core::{
    AttemptId, BarrierAlignment, BoxedBatch, Clock, Error, Frame, Result, StreamElement, SubtaskId,
    SubtaskIndex, stable_hash_bytes,
};
use snapline_dataflow::{
    ErasedLink, JobGraph, JobLoop, JobVertex, NodeFactory, NodeId, OperatorContext, OutputEdge,
    OutputSettings, RestoredState, SourceHead, TaskCounters, TaskHead, WatermarkGroups,
};
use snapline_state::{ChannelOrigin, CheckpointStorage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the tasks of one attempt share.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) job: Arc<JobGraph>,
    /// The attempt of these tasks.
    pub(crate) attempt: AttemptId,
    /// The attempt that leads the job.
    pub(crate) leading: AttemptId,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) network: Option<Arc<dyn Network>>,
    pub(crate) probe: Option<Arc<dyn Probe>>,
    pub(crate) store: Arc<CheckpointStore>,
    /// From where tasks restore their state.
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) reports: mpsc::UnboundedSender<(AttemptId, TaskReport)>,
    pub(crate) storing: Storing,
    /// How far the sources have come that wait for one another.
    pub(crate) watermarks: Arc<WatermarkGroups>,
}

/// A task that is ready to run.
pub(crate) struct DeployedTask {
    pub(crate) id: SubtaskId,
    pub(crate) is_source: bool,
    pub(crate) control: mpsc::UnboundedSender<TaskControl>,
    pub(crate) counters: Arc<TaskCounters>,
    pub(crate) run: BoxFuture<'static, Result<()>>,
}

/// A task that has its state, and whose source is not opened yet.
pub(crate) struct LoadedTask {
    builder: Builder,
    gate: Option<InputGate>,
    history: SharedHistory,
    chain: Chain,
}

/// The operators of a task.
enum Chain {
    Finished(FinishedHead),
    /// A source, and what is chained behind it.
    Source(NodeId, ErasedLink),
    Gate(Box<dyn TaskHead>),
}

/// What the tasks of a job begin with.
pub(crate) struct States {
    /// The states of the subtasks of each operator.
    pub(crate) operators: Vec<Vec<RestoredState>>,
    /// What the channels begin with.
    pub(crate) in_flight: InFlight,
    /// The operators that are not run again.
    pub(crate) finished: Finished,
}

/// The ends of all channels, waiting for their tasks.
struct Wiring {
    gates: BTreeMap<(usize, u32), InputGate>,
    /// For each input of each vertex and each upstream subtask, the senders in downstream order.
    senders: BTreeMap<(usize, usize, u32), Vec<Sender>>,
}

/// The sending end of a channel, and what counts its batches.
type Sender = (ChannelSender, GateSender);

impl Deployment {
    /// Loads the state of all tasks on the executor, of several subtasks at the same time. Nothing outside is touched.
    ///
    /// # Errors
    /// The first that any subtask met.
    pub(crate) async fn load(&self, states: Arc<States>) -> Result<Vec<LoadedTask>> {
        self.load_if(states, |_| true).await
    }

    /// Loads the state of these tasks, which have no channels to others.
    ///
    /// # Errors
    /// The first that any subtask met.
    pub(crate) async fn load_some(
        &self,
        states: Arc<States>,
        tasks: &BTreeSet<SubtaskId>,
    ) -> Result<Vec<LoadedTask>> {
        self.load_if(states, |task| tasks.contains(task)).await
    }

    /// Opens the sources of tasks, which are ready to run then.
    ///
    /// # Errors
    /// The first that any of them met.
    pub(crate) async fn open(&self, tasks: Vec<LoadedTask>) -> Result<Vec<DeployedTask>> {
        self.on_executor(async { tasks.into_iter().map(LoadedTask::open).collect() })
            .await
    }

    async fn load_if(
        &self,
        states: Arc<States>,
        is_wanted: impl Fn(&SubtaskId) -> bool + Send,
    ) -> Result<Vec<LoadedTask>> {
        let (job, restored) = (self.job.clone(), states.clone());
        let in_flight = self.on_executor(async move { restored.in_flight.deal(&job) });
        let mut wiring = self.wire(in_flight.await?);
        let mut builders = Vec::new();
        for (index, vertex) in self.job.vertices.iter().enumerate() {
            for subtask in 0..vertex.parallelism {
                if !is_wanted(&self.job.task(vertex, SubtaskIndex(subtask))) {
                    continue;
                }
                let gate = wiring.gates.remove(&(index, subtask));
                let mut take =
                    |output: &OutputEdge| wiring.senders.remove(&(output.vertex, output.input, subtask));
                let senders = vertex
                    .outputs
                    .iter()
                    .map(|output| take(output).unwrap_or_default())
                    .collect();
                let builder = Builder {
                    shared: self.clone(),
                    vertex: index,
                    subtask: SubtaskIndex(subtask),
                    states: states.clone(),
                    counters: Arc::new(TaskCounters::default()),
                };
                builders.push((builder, gate, senders));
            }
        }
        let load = |(builder, gate, senders): (Builder, _, _)| self.on_executor(builder.load(gate, senders));
        let loading = stream::iter(builders).map(load).buffered(AT_ONCE);
        loading.try_collect().await
    }

    /// Runs work on the executor; what comes back waits for its outcome.
    fn on_executor<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let (sender, receiver) = oneshot::channel();
        let work = std::panic::AssertUnwindSafe(work).catch_unwind();
        self.executor
            .spawn_io(work.map(|outcome| _ = sender.send(outcome)).boxed());
        let outcome = receiver.map(|outcome| match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(Error::panicked(&*panic)),
            Err(_) => Err(Error::cancelled("the executor has ended")),
        });
        outcome.boxed()
    }

    fn wire(&self, mut in_flight: Dealt) -> Wiring {
        let mut wiring = Wiring {
            gates: BTreeMap::new(),
            senders: BTreeMap::new(),
        };
        for (index, vertex) in self.job.vertices.iter().enumerate() {
            for subtask in 0..vertex.parallelism {
                self.wire_subtask(index, vertex, subtask, &mut in_flight, &mut wiring);
            }
        }
        wiring
    }

    fn wire_subtask(
        &self,
        index: usize,
        vertex: &JobVertex,
        subtask: u32,
        in_flight: &mut Dealt,
        wiring: &mut Wiring,
    ) {
        let sources = channel_sources(&self.job, vertex, subtask);
        if sources.is_empty() {
            return;
        }
        let (mut gate, senders) = input_gate(sources.len(), self.job.settings.channel_bytes);
        if let Some(network) = &self.network {
            let id = self.job.task(vertex, SubtaskIndex(subtask));
            gate = gate.with_network(id, network.clone());
        }
        for (channel, ((input, from), sender)) in sources.into_iter().zip(senders).enumerate() {
            let batches = in_flight.take(ChannelKey {
                vertex: index,
                input,
                from,
                to: subtask,
            });
            let mut counter = ChannelSender::new(self.attempt);
            gate.restore(
                channel,
                batches.into_iter().map(|batch| frame(&mut counter, batch)),
            );
            wiring
                .senders
                .entry((index, input, from))
                .or_default()
                .push((counter, sender));
        }
        wiring.gates.insert((index, subtask), gate);
    }
}

/// A restored batch, as if it was the next one that was sent.
fn frame(counter: &mut ChannelSender, batch: BoxedBatch) -> Frame<BoxedBatch> {
    Frame {
        header: counter.next_header(),
        clock: None,
        element: StreamElement::Batch(batch),
    }
}

/// For each channel of a subtask, the input that it belongs to and the upstream subtask.
pub(crate) fn channel_sources(job: &JobGraph, vertex: &JobVertex, subtask: u32) -> Vec<(usize, u32)> {
    let inputs = vertex.inputs.iter().enumerate();
    inputs
        .flat_map(|(input, edge)| {
            let senders = job.node(edge.from).parallelism;
            let upstream = edge.partitioning.senders(subtask, senders, vertex.parallelism);
            upstream.map(move |upstream| (input, upstream))
        })
        .collect()
}

/// The position of the first task of a vertex among all tasks of the job.
fn first_task(job: &JobGraph, vertex: usize) -> u32 {
    let earlier = &job.vertices[..vertex];
    earlier.iter().map(|vertex| vertex.parallelism).sum()
}

/// Builds one task.
struct Builder {
    shared: Deployment,
    vertex: usize,
    subtask: SubtaskIndex,
    states: Arc<States>,
    counters: Arc<TaskCounters>,
}

enum Head {
    Source(Box<dyn SourceHead>),
    Gate(Box<dyn TaskHead>),
}

impl LoadedTask {
    fn open(self) -> Result<DeployedTask> {
        let Self {
            builder,
            gate,
            history,
            chain,
        } = self;
        let head = match chain {
            Chain::Finished(head) => Head::Source(Box::new(head)),
            Chain::Source(id, next) => Head::Source(builder.source(id, next)?),
            Chain::Gate(head) => Head::Gate(head),
        };
        let (control, receiver) = mpsc::unbounded();
        let id = builder.job().task(builder.vertex(), builder.subtask);
        let is_source = matches!(head, Head::Source(_));
        let reporter = builder.reporter(id.clone());
        let run = match (head, gate) {
            (Head::Source(head), _) => SourceTask::new(head, history, receiver, reporter).boxed(),
            (Head::Gate(head), Some(gate)) => {
                GateTask::new(head, builder.inputs(gate), history, receiver, reporter).boxed()
            }
            (Head::Gate(_), None) => return Err(Error::internal("a task has no input").with("task", id)),
        };
        Ok(DeployedTask {
            id,
            is_source,
            control,
            counters: builder.counters,
            run,
        })
    }
}

impl Builder {
    async fn load(self, gate: Option<InputGate>, senders: Vec<Vec<Sender>>) -> Result<LoadedTask> {
        let history = self.history();
        let chain = match self.has_finished(self.vertex()) {
            true => Chain::Finished(self.finished_head(senders, &history)?),
            false => self.chain(senders, &history).await?,
        };
        Ok(LoadedTask {
            builder: self,
            gate,
            history,
            chain,
        })
    }

    fn inputs(&self, gate: InputGate) -> Inputs {
        let (job, vertex) = (self.job(), self.vertex());
        let channel = |(input, from): (usize, u32)| {
            let upstream = job.node(vertex.inputs[input].from);
            Channel {
                origin: ChannelOrigin {
                    operator: upstream.uid.clone(),
                    subtask: SubtaskIndex(from),
                    input: input as u32,
                },
                sender: first_task(job, upstream.vertex) + from,
                sent: 0,
                stays_aligned: job.stays_aligned(vertex.head, input),
                back_edge: (upstream.node.output.clone())
                    .filter(|_| vertex.inputs[input].is_back_edge(vertex.head))
                    .map(|output| BackEdge { output }),
            }
        };
        let channels = channel_sources(job, vertex, self.subtask.0);
        let checkpoints = job.settings.checkpoints.as_ref();
        let alignment =
            checkpoints.map_or(BarrierAlignment::Aligned, |settings| settings.barrier_alignment());
        let inputs = Inputs::new(gate, channels.into_iter().map(channel).collect(), alignment);
        let is_entry = |found: &JobLoop| found.entries.contains(&self.vertex);
        if job.loops().iter().any(is_entry) {
            inputs.of_loop_entry()
        } else {
            inputs
        }
    }

    fn history(&self) -> SharedHistory {
        let job = self.job();
        let task = first_task(job, self.vertex) + self.subtask.0;
        let tasks = first_task(job, job.vertices.len());
        SharedHistory::new(job.settings.checkpoints.as_ref(), task, tasks)
    }

    fn reporter(&self, task: SubtaskId) -> Reporter {
        Reporter {
            task,
            attempt: self.shared.attempt,
            leading: self.shared.leading,
            executor: self.shared.executor.clone(),
            clock: self.shared.clock.clone(),
            probe: self.shared.probe.clone(),
            store: self.shared.store.clone(),
            counters: self.counters.clone(),
            reports: self.shared.reports.clone(),
            storing: self.shared.storing.clone(),
            begun: BTreeMap::new(),
            running: BTreeMap::new(),
            work: Work::default(),
        }
    }

    /// The chain, from its ends to its head.
    async fn chain(&self, senders: Vec<Vec<Sender>>, history: &SharedHistory) -> Result<Chain> {
        let mut ends = self.ends(senders, history)?;
        let mut links: BTreeMap<NodeId, ErasedLink> = BTreeMap::new();
        for id in self.vertex().members.iter().rev().copied() {
            let node = self.job().node(id);
            let mut nexts: Vec<ErasedLink> = self
                .job()
                .chained_behind(id)
                .filter_map(|next| links.remove(&next))
                .collect();
            nexts.append(&mut ends.remove(&id).unwrap_or_default());
            let context = self.context(id);
            let link = match &node.node.factory {
                NodeFactory::Source(_) => return Ok(Chain::Source(id, self.join(id, nexts)?)),
                NodeFactory::Operator(operator) => operator.link(context, self.join(id, nexts)?).await,
                NodeFactory::Sink(sink) => sink.link(context),
                _ => Err(Error::internal("an unknown kind of operator")),
            };
            let link = link.map_err(|error| error.with("operator", &node.node.name))?;
            links.insert(id, link);
        }
        let head = self.vertex().head;
        let upstream = self
            .vertex()
            .inputs
            .first()
            .map(|edge| &self.job().node(edge.from).node.output);
        match (links.remove(&head), upstream) {
            (Some(link), Some(Some(output))) => Ok(Chain::Gate(output.input(link)?)),
            _ => Err(Error::internal("a chain has no head")),
        }
    }

    fn source(&self, id: NodeId, next: ErasedLink) -> Result<Box<dyn SourceHead>> {
        match &self.job().node(id).node.factory {
            NodeFactory::Source(source) => source.head(self.context(id), next),
            _ => Err(Error::internal("a task without inputs has no source")),
        }
    }

    /// In place of a chain that had finished.
    fn finished_head(&self, senders: Vec<Vec<Sender>>, history: &SharedHistory) -> Result<FinishedHead> {
        let mut outputs = Vec::new();
        for (from, links) in self.ends(senders, history)? {
            if let Some(output) = &self.job().node(from).node.output {
                for link in links {
                    outputs.push(output.input(link)?);
                }
            }
        }
        Ok(FinishedHead::new(outputs))
    }

    fn has_finished(&self, vertex: &JobVertex) -> bool {
        self.states.finished.contains(vertex.head)
    }

    /// The links that send the outputs of the members to other tasks, unless those had finished.
    fn ends(
        &self,
        senders: Vec<Vec<Sender>>,
        history: &SharedHistory,
    ) -> Result<BTreeMap<NodeId, Vec<ErasedLink>>> {
        let mut ends: BTreeMap<NodeId, Vec<ErasedLink>> = BTreeMap::new();
        for (edge, senders) in self.vertex().outputs.iter().zip(senders) {
            let Some(output) = &self.job().node(edge.from).node.output else {
                return Err(Error::internal("a sink has an output"));
            };
            let to = &self.job().vertices[edge.vertex];
            if self.has_finished(to) {
                continue;
            }
            let port = ResultPartition::resume(senders).with_history(history.clone());
            let port = if to.inputs[edge.input].is_back_edge(to.head) {
                Box::new(port.back_edge(Spill::new(&self.job().settings)))
            } else {
                Box::new(port)
            };
            let settings = OutputSettings {
                partitioning: edge.partitioning,
                max_parallelism: self.job().max_parallelism,
                batch_records: self.job().settings.batch_records,
                seed: self.seed(edge),
            };
            let link = output.output(settings, port);
            ends.entry(edge.from).or_default().push(link);
        }
        Ok(ends)
    }

    /// What chance begins with at an edge: another number in each subtask and each attempt, and the same when the same happens
    /// again.
    fn seed(&self, edge: &OutputEdge) -> u64 {
        let uid = self.job().node(edge.from).uid.as_str();
        let text = format!("{uid}/{}/{}/{}", edge.vertex, self.subtask, self.shared.attempt);
        stable_hash_bytes(text.as_bytes())
    }

    fn join(&self, id: NodeId, mut nexts: Vec<ErasedLink>) -> Result<ErasedLink> {
        match (nexts.len(), &self.job().node(id).node.output) {
            (1, _) => Ok(nexts.swap_remove(0)),
            (_, Some(output)) => output.tee(nexts),
            (_, None) => Err(Error::internal("a sink has an output")),
        }
    }

    fn context(&self, id: NodeId) -> OperatorContext {
        let (job, node) = (self.job(), self.job().node(id));
        OperatorContext {
            job: job.job.clone(),
            operator: node.uid.clone(),
            subtask: self.subtask,
            parallelism: node.parallelism,
            max_parallelism: job.max_parallelism,
            attempt: self.shared.attempt,
            batch_records: job.settings.batch_records,
            restored: self.states.operators[id.0]
                .get(self.subtask.as_usize())
                .cloned()
                .unwrap_or_default(),
            backend: job.components.backend.clone(),
            storage: self.shared.storage.clone(),
            clock: self.shared.clock.clone(),
            sleeper: Arc::new(ExecutorSleeper(self.shared.executor.clone())),
            watermarks: self.shared.watermarks.clone(),
            counters: self.counters.clone(),
        }
    }

    fn job(&self) -> &JobGraph {
        &self.shared.job
    }

    fn vertex(&self) -> &JobVertex {
        &self.shared.job.vertices[self.vertex]
    }
}
