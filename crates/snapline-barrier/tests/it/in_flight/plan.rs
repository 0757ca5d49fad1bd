//! What is going to be delivered, and how the checkpoints in it are to be aligned.

use crate::gate::Element;
use snapline_barrier::{ChannelIndex, EndOfInputRule};
use snapline_core::{BarrierAlignment, CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::BTreeSet;

/// How long checkpoints align that have a timeout.
pub(super) const TIMEOUT: u64 = 10;

/// Everything about one run but the order.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) rule: EndOfInputRule,
    /// What each channel delivers.
    pub(super) inputs: Vec<Vec<Element>>,
    /// How checkpoint 1, 2, ... is to be aligned; the last one stands for all that follow.
    pub(super) modes: Vec<BarrierAlignment>,
    /// Barriers whose sender has turned to unaligned, by channel and checkpoint. Nothing but
    /// checkpoints with a timeout turns.
    pub(super) turned: BTreeSet<(usize, u64)>,
    pub(super) forced: BTreeSet<usize>,
    /// By how much the clock advances, step by step.
    pub(super) clock: Vec<u64>,
    /// Checkpoints that the coordinator aborts.
    pub(super) aborts: Vec<u64>,
    /// How often the handler is told the time although it did not ask for it.
    pub(super) needless_times: usize,
}

impl Plan {
    pub(super) fn new(inputs: &[Vec<Element>], modes: &[BarrierAlignment]) -> Self {
        Self {
            rule: EndOfInputRule::StandsIn,
            inputs: inputs.to_vec(),
            modes: modes.to_vec(),
            turned: BTreeSet::new(),
            forced: BTreeSet::new(),
            clock: Vec::new(),
            aborts: Vec::new(),
            needless_times: 0,
        }
    }

    pub(super) fn channels(&self) -> u32 {
        u32::try_from(self.inputs.len()).unwrap()
    }

    pub(super) fn forced_channels(&self) -> impl Iterator<Item = ChannelIndex> {
        self.forced.iter().map(|&k| channel(k))
    }

    /// As the coordinator sent it. Checkpoints are created one millisecond after the other.
    pub(super) fn mode(&self, id: u64) -> BarrierAlignment {
        let index = usize::try_from(id - 1).unwrap();
        *self.modes.get(index).or(self.modes.last()).unwrap()
    }

    pub(super) fn barrier(&self, k: usize, id: u64) -> CheckpointBarrier {
        let mut barrier = crate::gate::barrier(id);
        barrier.created = Timestamp(i64::try_from(id).unwrap());
        barrier.options.alignment = match self.mode(id) {
            BarrierAlignment::AlignedWithTimeout { .. } if self.turned.contains(&(k, id)) => {
                BarrierAlignment::Unaligned
            }
            mode => mode,
        };
        barrier
    }

    /// From when on a checkpoint may overtake, if that depends on the time.
    pub(super) fn deadline(&self, id: u64) -> Option<Timestamp> {
        match self.mode(id) {
            BarrierAlignment::AlignedWithTimeout { timeout_ms } => {
                Some(self.barrier(0, id).created.plus_millis(timeout_ms))
            }
            _ => None,
        }
    }
}

pub(super) fn channel(k: usize) -> ChannelIndex {
    ChannelIndex(u32::try_from(k).unwrap())
}

pub(super) fn with_timeout() -> BarrierAlignment {
    BarrierAlignment::AlignedWithTimeout { timeout_ms: TIMEOUT }
}

pub(super) fn id(checkpoint: CheckpointId) -> u64 {
    checkpoint.0
}
