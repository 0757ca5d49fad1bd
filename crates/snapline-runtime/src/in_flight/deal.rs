//! Dealing out what was in flight, by the same code that deals out new records.

use super::{InFlight, OldChannel};
use snapline_core::{BoxedBatch, Error, Result};
use snapline_dataflow::{
    JobGraph, OutputFactory, OutputPort, OutputSettings, Partitioning, PortSignal, Signal,
};
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// The batches with which the channels of an attempt begin.
#[derive(Debug, Default)]
pub(crate) struct Dealt {
    batches: BTreeMap<ChannelKey, Vec<BoxedBatch>>,
}

/// A channel by the vertex and the input where it ends, and the subtasks at both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChannelKey {
    pub(crate) vertex: usize,
    pub(crate) input: usize,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl InFlight {
    /// Deals everything out to the channels of this job, which has a channel on every edge that needs
    /// one. Batches of one old channel keep their order.
    ///
    /// # Errors
    /// `Invalid` when the records are not of the type that the edge carries now.
    pub(crate) fn deal(&self, job: &JobGraph) -> Result<Dealt> {
        let mut dealt = Dealt::default();
        for channel in &self.channels {
            dealt.add(channel, job).map_err(|error| {
                error
                    .with("operator", &job.node(channel.edge.0).uid)
                    .with("from", channel.from)
                    .with("to", channel.to)
            })?;
        }
        Ok(dealt)
    }
}

impl Dealt {
    /// What a channel begins with.
    pub(crate) fn take(&mut self, channel: ChannelKey) -> Vec<BoxedBatch> {
        self.batches.remove(&channel).unwrap_or_default()
    }

    fn add(&mut self, channel: &OldChannel, job: &JobGraph) -> Result<()> {
        let (node, input) = channel.edge;
        let (to, edge) = (job.node(node), job.node(node).node.inputs[input]);
        let from = job.node(edge.from);
        let Some(output) = &from.node.output else {
            return Err(Error::internal("a sink has an output"));
        };
        let decode = |bytes| output.decode(bytes).map_err(another_type);
        let batches = channel.batches.iter().map(|bytes| decode(bytes));
        let batches: Vec<BoxedBatch> = batches.collect::<Result<_>>()?;
        let goes_where_it_was = !matches!(edge.partitioning, Partitioning::Broadcast | Partitioning::Global);
        let is_kept = channel.parallelism == to.parallelism && goes_where_it_was;
        let dealt = match edge.partitioning {
            _ if is_kept => batches.into_iter().map(|batch| (channel.to.0, batch)).collect(),
            pointwise if pointwise.is_pointwise() => {
                deal(batches, Partitioning::Rebalance, &**output, job, to.parallelism)?
            }
            partitioning => deal(batches, partitioning, &**output, job, to.parallelism)?,
        };
        for (subtask, batch) in dealt {
            let key = ChannelKey {
                vertex: to.vertex,
                input,
                from: {
                    let senders = edge
                        .partitioning
                        .senders(subtask, from.parallelism, to.parallelism);
                    senders.start + channel.from.0 % senders.len() as u32
                },
                to: subtask,
            };
            self.batches.entry(key).or_default().push(batch);
        }
        Ok(())
    }
}

fn another_type(error: Error) -> Error {
    Error::invalid(
        "records in flight are not of the type that the program sends there now; run the old program until it \
         has taken a savepoint, and start from that",
    )
    .because(error)
}

/// Deals batches out to so many subtasks, in order.
fn deal(
    batches: Vec<BoxedBatch>,
    partitioning: Partitioning,
    output: &dyn OutputFactory,
    job: &JobGraph,
    subtasks: u32,
) -> Result<Vec<(u32, BoxedBatch)>> {
    let port = Keep {
        channels: subtasks as usize,
        kept: Arc::default(),
    };
    let kept = port.kept.clone();
    let settings = OutputSettings {
        partitioning,
        max_parallelism: job.max_parallelism,
        batch_records: job.settings.batch_records,
        seed: 0,
    };
    let link = output.output(settings, Box::new(port));
    let mut head = output.input(link)?;
    for mut batch in batches {
        head.on_batch(&mut batch)?;
    }
    head.on_signal(&mut Signal::Flush)?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(take(&mut *kept))
}

/// A port that keeps what is sent.
struct Keep {
    channels: usize,
    kept: Arc<Mutex<Vec<(u32, BoxedBatch)>>>,
}

impl OutputPort for Keep {
    fn channels(&self) -> usize {
        self.channels
    }

    fn send_batch(&mut self, channel: usize, batch: BoxedBatch) -> Option<BoxedBatch> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((channel as u32, batch));
        None
    }

    fn send_to_all(&mut self, _message: PortSignal) {}

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
