//! From a planned job to the chains of its subtasks, and the exchange between them.

use super::sleeper::ClockSleeper;
use super::snapshot::HarnessSnapshot;
use futures::executor::block_on;
use snapline_core::{AttemptId, BoxedBatch, Clock, Error, Result, SubtaskIndex};
use snapline_dataflow::{
    ErasedLink, JobGraph, JobVertex, NodeFactory, NodeId, OperatorContext, OutputPort, OutputSettings,
    PortSignal, RestoredState, SourceHead, TaskCounters, TaskHead, WatermarkGroups,
};
use snapline_state::CheckpointStorage;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// A chain of operators.
pub(super) enum Head {
    Source(Box<dyn SourceHead>),
    Gate(Box<dyn TaskHead>),
}

/// A channel by where it ends and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChannelId {
    pub(super) vertex: usize,
    pub(super) subtask: u32,
    pub(super) input: usize,
    pub(super) from: u32,
}

/// What is sent on a channel.
pub(super) enum Sent {
    Batch(BoxedBatch),
    Signal(PortSignal),
}

/// What was sent and not delivered yet.
#[derive(Clone, Default)]
pub(super) struct Exchange {
    queue: Arc<Mutex<VecDeque<(ChannelId, Sent)>>>,
}

impl Exchange {
    pub(super) fn next(&self) -> Option<(ChannelId, Sent)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }

    fn send(&self, channel: ChannelId, sent: Sent) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back((channel, sent));
    }
}

/// The channels from a subtask to those of a next vertex.
struct Port {
    channels: Vec<ChannelId>,
    exchange: Exchange,
}

impl OutputPort for Port {
    fn channels(&self) -> usize {
        self.channels.len()
    }

    fn send_batch(&mut self, channel: usize, batch: BoxedBatch) -> Option<BoxedBatch> {
        self.exchange.send(self.channels[channel], Sent::Batch(batch));
        None
    }

    fn send_to_all(&mut self, message: PortSignal) {
        for channel in &self.channels {
            self.exchange.send(*channel, Sent::Signal(message));
        }
    }

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Builds the chains of a job.
pub(super) struct Chains<'a> {
    pub(super) job: &'a JobGraph,
    pub(super) storage: Arc<dyn CheckpointStorage>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sleeper: Arc<ClockSleeper>,
    pub(super) watermarks: Arc<WatermarkGroups>,
    pub(super) counters: Arc<TaskCounters>,
    pub(super) snapshot: Option<&'a HarnessSnapshot>,
    pub(super) exchange: Exchange,
}

impl Chains<'_> {
    /// The chain of one subtask, from its ends to its head.
    pub(super) fn build(&self, vertex: &JobVertex, subtask: u32) -> Result<Head> {
        let mut links: BTreeMap<NodeId, ErasedLink> = BTreeMap::new();
        for id in vertex.members.iter().rev().copied() {
            let node = self.job.node(id);
            let mut nexts: Vec<ErasedLink> = self
                .job
                .chained_behind(id)
                .filter_map(|next| links.remove(&next))
                .collect();
            nexts.extend(self.ends(vertex, id, subtask)?);
            let context = self.context(id, subtask)?;
            let link = match &node.node.factory {
                NodeFactory::Source(source) => {
                    return Ok(Head::Source(source.head(context, self.join(id, nexts)?)?));
                }
                NodeFactory::Operator(operator) => block_on(operator.link(context, self.join(id, nexts)?)),
                NodeFactory::Sink(sink) => sink.link(context),
                _ => Err(Error::internal("an unknown kind of operator")),
            };
            links.insert(id, link.map_err(|error| error.with("operator", &node.node.name))?);
        }
        let upstream = vertex.inputs.first().map(|edge| self.job.node(edge.from));
        let output = upstream.and_then(|node| node.node.output.as_ref());
        match (links.remove(&vertex.head), output) {
            (Some(link), Some(output)) => Ok(Head::Gate(output.input(link)?)),
            _ => Err(Error::internal("a chain has no head")),
        }
    }

    /// The links that send the output of a node to other vertices.
    fn ends(&self, vertex: &JobVertex, from: NodeId, subtask: u32) -> Result<Vec<ErasedLink>> {
        let mut ends = Vec::new();
        for edge in vertex.outputs.iter().filter(|edge| edge.from == from) {
            let Some(output) = &self.job.node(from).node.output else {
                return Err(Error::internal("a sink has an output"));
            };
            let receivers = self.job.vertices[edge.vertex].parallelism;
            let receivers = edge
                .partitioning
                .receivers(subtask, vertex.parallelism, receivers);
            let channel = |receiver| ChannelId {
                vertex: edge.vertex,
                subtask: receiver,
                input: edge.input,
                from: subtask,
            };
            let port = Port {
                channels: receivers.map(channel).collect(),
                exchange: self.exchange.clone(),
            };
            let settings = OutputSettings {
                partitioning: edge.partitioning,
                max_parallelism: self.job.max_parallelism,
                batch_records: self.job.settings.batch_records,
                seed: u64::from(subtask),
            };
            ends.push(output.output(settings, Box::new(port)));
        }
        Ok(ends)
    }

    fn join(&self, id: NodeId, mut nexts: Vec<ErasedLink>) -> Result<ErasedLink> {
        match (nexts.len(), &self.job.node(id).node.output) {
            (1, _) => Ok(nexts.swap_remove(0)),
            (_, Some(output)) => output.tee(nexts),
            (_, None) => Err(Error::internal("a sink has an output")),
        }
    }

    fn context(&self, id: NodeId, subtask: u32) -> Result<OperatorContext> {
        let (node, subtask) = (self.job.node(id), SubtaskIndex(subtask));
        let restored = match (&node.node.factory, self.snapshot) {
            (NodeFactory::Source(_), _) | (_, None) => RestoredState::default(),
            (_, Some(snapshot)) => {
                snapshot.state_of(&node.uid, subtask, node.parallelism, self.job.max_parallelism)?
            }
        };
        Ok(OperatorContext {
            job: self.job.job.clone(),
            operator: node.uid.clone(),
            subtask,
            parallelism: node.parallelism,
            max_parallelism: self.job.max_parallelism,
            attempt: AttemptId(1),
            batch_records: self.job.settings.batch_records,
            restored,
            backend: self.job.components.backend.clone(),
            storage: self.storage.clone(),
            clock: self.clock.clone(),
            sleeper: self.sleeper.clone(),
            watermarks: self.watermarks.clone(),
            counters: self.counters.clone(),
        })
    }
}

/// The channels that end at a subtask.
pub(super) fn channels_to(job: &JobGraph, vertex: usize, subtask: u32) -> Vec<ChannelId> {
    let inputs = job.vertices[vertex].inputs.iter().enumerate();
    let channels = inputs.flat_map(|(input, edge)| {
        let senders = job.node(edge.from).parallelism;
        let receivers = job.vertices[vertex].parallelism;
        let senders = edge.partitioning.senders(subtask, senders, receivers);
        senders.map(move |from| ChannelId {
            vertex,
            subtask,
            input,
            from,
        })
    });
    channels.collect()
}
