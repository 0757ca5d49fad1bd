//! What a task acknowledges.

use crate::outside::committable;
use crate::record::Record;
use crate::task::Taken;
use bytes::Bytes;
use snapline_barrier::{RecordedChannel, TaskCut};
use snapline_coordinator::{Acknowledgement, SubtaskStatistics};
use snapline_core::{AttemptId, CheckpointId, SubtaskId};
use snapline_state::{HandleKind, StateHandle, SubtaskState};

/// What a task has to acknowledge.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Sent {
    taken: Taken,
    /// What was in flight, by input.
    recorded: Vec<(usize, Vec<Record>)>,
    cut: TaskCut,
}

impl Sent {
    pub(crate) fn new(taken: Taken, recorded: Vec<RecordedChannel<Record>>, cut: TaskCut) -> Self {
        let records = |channel: RecordedChannel<Record>| {
            let records = channel.batches.into_iter().map(|(_, record)| record);
            (channel.channel.as_usize(), records.collect())
        };
        let recorded = recorded.into_iter().map(records).collect();
        Self { taken, recorded, cut }
    }

    pub(crate) fn acknowledge(
        self,
        task: SubtaskId,
        attempt: AttemptId,
        checkpoint: CheckpointId,
    ) -> Acknowledgement {
        let Self { taken, recorded, cut } = self;
        let inline = |json: serde_json::Result<Vec<u8>>, kind| {
            StateHandle::inline(Bytes::from(json.unwrap()), kind, None)
        };
        let channels = inline(serde_json::to_vec(&recorded), HandleKind::ChannelState);
        let state = SubtaskState {
            operator: Some(inline(
                serde_json::to_vec(&taken.state),
                HandleKind::OperatorState,
            )),
            channels: (!recorded.is_empty()).then_some(channels),
            committables: taken.transactions.iter().map(committable).collect(),
            ..SubtaskState::default()
        };
        Acknowledgement {
            operators: vec![(task.operator.clone(), task.index, state)],
            task,
            attempt,
            checkpoint,
            cut,
            statistics: SubtaskStatistics::default(),
        }
    }
}
