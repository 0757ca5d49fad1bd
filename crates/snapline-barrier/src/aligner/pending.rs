//! The checkpoint that an aligner works on.

use crate::handler::{AlignmentAction, ChannelIndex};
use snapline_core::{BarrierAlignment, CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// A checkpoint that was started and waits for barriers.
#[derive(Debug, Clone, Hash)]
pub(super) struct Pending {
    /// As it came first.
    barrier: CheckpointBarrier,
    missing: BTreeSet<ChannelIndex>,
    phase: Phase,
}

#[derive(Debug, Clone, Hash)]
enum Phase {
    /// The snapshot is not taken yet. Channels whose barrier has arrived are blocked.
    Aligning {
        blocked: BTreeSet<ChannelIndex>,
        since: Timestamp,
        /// From when on barriers may overtake; never when it is `None`.
        overtake_at: Option<Timestamp>,
    },
    /// The snapshot is taken, what comes before the missing barriers is recorded. Nothing is blocked.
    Recording,
}

impl Pending {
    pub(super) fn new(barrier: CheckpointBarrier, open: &BTreeSet<ChannelIndex>, now: Timestamp) -> Self {
        Self {
            barrier,
            missing: open.clone(),
            phase: Phase::Aligning {
                blocked: BTreeSet::new(),
                since: now,
                overtake_at: overtake_at(&barrier),
            },
        }
    }

    pub(super) fn id(&self) -> CheckpointId {
        self.barrier.checkpoint
    }

    pub(super) fn missing(&self) -> &BTreeSet<ChannelIndex> {
        &self.missing
    }

    pub(super) fn is_recording(&self) -> bool {
        matches!(self.phase, Phase::Recording)
    }

    /// The channels that wait for this checkpoint; none when it is over.
    pub(super) fn into_blocked(self) -> BTreeSet<ChannelIndex> {
        match self.phase {
            Phase::Aligning { blocked, .. } => blocked,
            Phase::Recording => BTreeSet::new(),
        }
    }

    /// Notes that an upstream task has taken this checkpoint unaligned.
    pub(super) fn hear_of(&mut self, barrier: &CheckpointBarrier) {
        if let Phase::Aligning { overtake_at: at, .. } = &mut self.phase
            && barrier.options.alignment == BarrierAlignment::Unaligned
        {
            *at = overtake_at(barrier);
        }
    }

    /// Counts the barrier of a channel.
    pub(super) fn count(&mut self, channel: ChannelIndex, out: &mut Vec<AlignmentAction>) {
        self.remove(channel, out);
        if let Phase::Aligning { blocked, .. } = &mut self.phase {
            blocked.insert(channel);
        }
    }

    /// Waits no longer for a channel that has ended.
    pub(super) fn end(&mut self, channel: ChannelIndex, out: &mut Vec<AlignmentAction>) {
        self.remove(channel, out);
        if let Phase::Aligning { blocked, .. } = &mut self.phase {
            blocked.remove(&channel);
        }
    }

    fn remove(&mut self, channel: ChannelIndex, out: &mut Vec<AlignmentAction>) {
        if self.missing.remove(&channel) && self.is_recording() {
            let checkpoint = self.id();
            out.push(AlignmentAction::StopRecording { checkpoint, channel });
        }
    }

    /// From when on the snapshot can be taken although barriers are missing.
    pub(super) fn overtake_at(&self, forced: &BTreeSet<ChannelIndex>) -> Option<Timestamp> {
        match self.phase {
            Phase::Aligning { overtake_at, .. } if self.missing.is_disjoint(forced) => overtake_at,
            _ => None,
        }
    }

    /// All barriers are in.
    pub(super) fn complete(&self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.snapshot(self.barrier, now, out);
        let checkpoint = self.id();
        out.push(AlignmentAction::Complete { checkpoint });
    }

    /// Takes the snapshot before the missing barriers and returns the channels that need wait no
    /// longer.
    pub(super) fn overtake(
        &mut self,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) -> BTreeSet<ChannelIndex> {
        let mut barrier = self.barrier;
        barrier.options.alignment = BarrierAlignment::Unaligned;
        self.snapshot(barrier, now, out);
        let checkpoint = self.id();
        let record = |&channel| AlignmentAction::Record { checkpoint, channel };
        out.extend(self.missing.iter().map(record));
        match std::mem::replace(&mut self.phase, Phase::Recording) {
            Phase::Aligning { blocked, .. } => blocked,
            Phase::Recording => BTreeSet::new(),
        }
    }

    /// The snapshot, unless it is taken already.
    fn snapshot(&self, barrier: CheckpointBarrier, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        if let Phase::Aligning { since, .. } = self.phase {
            let alignment = Duration::from_millis(now.millis_since(since));
            out.push(AlignmentAction::Snapshot { barrier, alignment });
        }
    }
}

fn overtake_at(barrier: &CheckpointBarrier) -> Option<Timestamp> {
    match barrier.options.alignment {
        BarrierAlignment::Unaligned => Some(Timestamp::MIN),
        BarrierAlignment::AlignedWithTimeout { timeout_ms } => Some(barrier.created.plus_millis(timeout_ms)),
        _ => None,
    }
}
