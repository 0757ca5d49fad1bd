//! Records that were in flight at a checkpoint, on their way back to the channels of now.

mod deal;

pub(crate) use deal::{ChannelKey, Dealt};

use bytes::Bytes;
use snapline_coordinator::Manifest;
use snapline_core::{Error, OperatorUid, Result, SubtaskIndex};
use snapline_dataflow::{JobGraph, NodeId};
use snapline_state::{ChannelOrigin, ChannelState, CheckpointStorage};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The channel state of a checkpoint, and the edges of the job of now that it belongs to.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    channels: Vec<OldChannel>,
}

/// What was in flight on one channel.
#[derive(Debug)]
struct OldChannel {
    /// The operator that it leads to, and which of its inputs.
    edge: (NodeId, usize),
    from: SubtaskIndex,
    to: SubtaskIndex,
    /// How many subtasks the receiving operator had.
    parallelism: u32,
    batches: Vec<Bytes>,
}

impl InFlight {
    /// Reads the channel state of a checkpoint.
    ///
    /// # Errors
    /// What keeps it from being read, `Invalid` when the job has no such edge and must not drop it.
    pub(crate) async fn load(
        job: &JobGraph,
        manifest: &Manifest,
        storage: &dyn CheckpointStorage,
    ) -> Result<Self> {
        let mut in_flight = Self::default();
        for (uid, operator) in &manifest.operators {
            for (to, state) in (0..).map(SubtaskIndex).zip(&operator.subtasks) {
                let Some(handle) = &state.channels else { continue };
                let state = handle.read(storage).await;
                let state = state.and_then(|file| ChannelState::decode(&file));
                let state = state.map_err(|error| error.with("operator", uid).with("subtask", to))?;
                for channel in state.channels {
                    let Some(edge) = edge(job, uid, &channel.origin) else {
                        require_allowed(job, manifest, uid, &channel.origin)?;
                        continue;
                    };
                    in_flight.channels.push(OldChannel {
                        edge,
                        from: channel.origin.subtask,
                        to,
                        parallelism: operator.parallelism,
                        batches: channel.batches,
                    });
                }
            }
        }
        Ok(in_flight)
    }

    /// The job with a channel wherever something was in flight.
    ///
    /// # Errors
    /// `Invalid` when it has too many.
    pub(crate) fn plan(&self, job: &Arc<JobGraph>) -> Result<Arc<JobGraph>> {
        let edges: BTreeSet<_> = self.channels.iter().map(|channel| channel.edge).collect();
        if edges.is_empty() {
            return Ok(job.clone());
        }
        job.with_channels(&edges).map(Arc::new)
    }
}

/// The edge of the job of now that a channel to this operator belonged to.
fn edge(job: &JobGraph, to: &OperatorUid, origin: &ChannelOrigin) -> Option<(NodeId, usize)> {
    let node = job.nodes.iter().position(|node| node.uid == *to)?;
    let inputs = job.nodes[node].node.inputs.iter().enumerate();
    let mut same = inputs.filter(|(_, edge)| job.node(edge.from).uid == origin.operator);
    let first = same.next()?.0;
    let exact = same.find(|(input, _)| *input == origin.input as usize);
    Some((NodeId(node), exact.map_or(first, |(input, _)| input)))
}

fn require_allowed(
    job: &JobGraph,
    manifest: &Manifest,
    to: &OperatorUid,
    origin: &ChannelOrigin,
) -> Result<()> {
    if job.settings.allow_non_restored_state {
        return Ok(());
    }
    Err(Error::invalid(
        "the checkpoint has records in flight between two operators that the program does not connect; connect \
         them again, or set allow_non_restored_state to drop these records",
    )
    .with("from", &origin.operator)
    .with("operator", to)
    .with("checkpoint", manifest.checkpoint))
}
