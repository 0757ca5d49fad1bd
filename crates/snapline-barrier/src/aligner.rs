//! The exactly-once rule: a channel whose barrier has arrived waits for the others.

use crate::abort::AbortedCheckpoints;
use crate::handler::{AlignmentAction, BarrierHandler, ChannelIndex, DeclineReason, EndOfInputRule};
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// Aligns barriers by blocking channels, so that a snapshot holds exactly what came before the
/// barrier on every channel (Carbone et al. 2015).
///
/// With a single channel a snapshot is taken at each new barrier, and nothing ever waits.
///
/// # Contract
///
/// Beyond that of [`BarrierHandler`]:
///
/// * At most one checkpoint is pending. A newer barrier gives the pending one up as subsumed; a
///   newer cancel marker drops it silently, because it tells everybody downstream the same.
/// * Every barrier is answered by a `Block` or an `Unblock` of its channel. So a gate may either
///   block channels when it is told to, or hold a channel at each barrier until it is answered.
/// * A channel is blocked only by the pending checkpoint. When that ends, in whatever way, all are
///   unblocked.
///
/// # Examples
///
/// A newer barrier on another channel takes the place of a pending one:
///
/// ```
/// use snapline_barrier::{AlignmentAction::*, BarrierAligner, BarrierHandler, ChannelIndex, DeclineReason};
/// use snapline_barrier::EndOfInputRule;
/// use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, Timestamp};
///
/// let barrier = |id| CheckpointBarrier {
///     checkpoint: CheckpointId(id),
///     created: Timestamp(0),
///     options: BarrierOptions::default(),
/// };
/// let (left, right) = (ChannelIndex(0), ChannelIndex(1));
/// let mut aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
/// let mut actions = Vec::new();
/// aligner.on_barrier(left, barrier(1), Timestamp(0), &mut actions);
/// aligner.on_barrier(right, barrier(2), Timestamp(0), &mut actions);
/// let reason = DeclineReason::Subsumed { by: CheckpointId(2) };
/// assert_eq!(
///     actions,
///     [
///         Block(left),
///         Decline { checkpoint: CheckpointId(1), reason },
///         ForwardCancel(CheckpointId(1)),
///         Unblock(left),
///         Block(right),
///     ]
/// );
/// assert_eq!(aligner.waiting_for(CheckpointId(2)), [left]);
/// ```
#[derive(Debug, Clone)]
pub struct BarrierAligner {
    rule: EndOfInputRule,
    open: BTreeSet<ChannelIndex>,
    /// The newest checkpoint started or cancelled. Nothing up to it starts again.
    latest: CheckpointId,
    /// The alignment of `latest`, until it is completed or given up.
    pending: Option<Alignment>,
    aborted: AbortedCheckpoints,
    /// Channels that are aligned even by an unaligned checkpoint.
    #[expect(dead_code, reason = "no barrier is announced yet")]
    forced: BTreeSet<ChannelIndex>,
}

#[derive(Debug, Clone)]
struct Alignment {
    barrier: CheckpointBarrier,
    missing: BTreeSet<ChannelIndex>,
    blocked: BTreeSet<ChannelIndex>,
    since: Timestamp,
}

impl BarrierAligner {
    /// An aligner for a task with this many input channels, all of them open.
    pub fn new(channels: u32, rule: EndOfInputRule) -> Self {
        Self::with_forced(channels, rule, [])
    }

    /// As [`Self::new`], with channels that are aligned even by an unaligned checkpoint.
    pub fn with_forced(
        channels: u32,
        rule: EndOfInputRule,
        forced: impl IntoIterator<Item = ChannelIndex>,
    ) -> Self {
        Self {
            rule,
            open: (0..channels).map(ChannelIndex).collect(),
            latest: CheckpointId::NONE,
            pending: None,
            aborted: AbortedCheckpoints::default(),
            forced: forced.into_iter().collect(),
        }
    }

    fn pending_id(&self) -> Option<CheckpointId> {
        self.pending
            .as_ref()
            .map(|alignment| alignment.barrier.checkpoint)
    }

    /// Starts the checkpoint of a newer barrier, or gives it up at once when it was aborted. Both
    /// cancel markers that this can take go out before channels are unblocked.
    fn start(&mut self, barrier: CheckpointBarrier, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.latest = barrier.checkpoint;
        let subsumed = self.pending.take();
        if let Some(alignment) = &subsumed {
            let reason = DeclineReason::Subsumed {
                by: barrier.checkpoint,
            };
            decline(alignment.barrier.checkpoint, reason, out);
        }
        if self.aborted.take(barrier.checkpoint) {
            out.push(AlignmentAction::ForwardCancel(barrier.checkpoint));
        } else {
            self.pending = Some(Alignment {
                barrier,
                missing: self.open.clone(),
                blocked: BTreeSet::new(),
                since: now,
            });
        }
        unblock(subsumed, out);
    }

    /// Takes the snapshot if no barrier is missing any more.
    fn snapshot_if_aligned(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        if let Some(alignment) = self.pending.take_if(|alignment| alignment.missing.is_empty()) {
            out.push(AlignmentAction::Snapshot {
                barrier: alignment.barrier,
                alignment: Duration::from_millis(now.millis_since(alignment.since)),
            });
            out.push(AlignmentAction::Complete {
                checkpoint: alignment.barrier.checkpoint,
            });
            unblock(Some(alignment), out);
        }
    }
}

fn decline(checkpoint: CheckpointId, reason: DeclineReason, out: &mut Vec<AlignmentAction>) {
    out.push(AlignmentAction::Decline { checkpoint, reason });
    out.push(AlignmentAction::ForwardCancel(checkpoint));
}

fn unblock(ended: Option<Alignment>, out: &mut Vec<AlignmentAction>) {
    let channels = ended.into_iter().flat_map(|alignment| alignment.blocked);
    out.extend(channels.map(AlignmentAction::Unblock));
}

impl BarrierHandler for BarrierAligner {
    fn on_barrier(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if barrier.checkpoint > self.latest {
            self.start(barrier, now, out);
        }
        match &mut self.pending {
            Some(alignment) if alignment.barrier.checkpoint == barrier.checkpoint => {
                alignment.missing.remove(&channel);
                alignment.blocked.insert(channel);
                if alignment.missing.is_empty() {
                    self.snapshot_if_aligned(now, out);
                } else {
                    out.push(AlignmentAction::Block(channel));
                }
            }
            // Obsolete or given up. A gate that holds the channel at its barrier would wait for ever.
            _ => out.push(AlignmentAction::Unblock(channel)),
        }
    }

    fn on_cancel(
        &mut self,
        _channel: ChannelIndex,
        checkpoint: CheckpointId,
        _now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if checkpoint > self.latest || self.pending_id() == Some(checkpoint) {
            self.latest = checkpoint;
            self.aborted.take(checkpoint);
            decline(checkpoint, DeclineReason::Cancelled, out);
            unblock(self.pending.take(), out);
        }
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.open.remove(&channel);
        if let Some(alignment) = &mut self.pending {
            alignment.missing.remove(&channel);
            alignment.blocked.remove(&channel);
        }
        match (self.rule, self.pending_id()) {
            (EndOfInputRule::StandsIn, _) => self.snapshot_if_aligned(now, out),
            (EndOfInputRule::Aborts, None) => {}
            (EndOfInputRule::Aborts, Some(checkpoint)) => {
                decline(checkpoint, DeclineReason::EndOfInput, out);
                unblock(self.pending.take(), out);
            }
        }
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, _now: Timestamp, out: &mut Vec<AlignmentAction>) {
        if checkpoint > self.latest {
            self.aborted.remember(checkpoint);
        } else if self.pending_id() == Some(checkpoint) {
            out.push(AlignmentAction::ForwardCancel(checkpoint));
            unblock(self.pending.take(), out);
        }
    }

    fn open_channels(&self) -> usize {
        self.open.len()
    }

    fn latest(&self) -> CheckpointId {
        self.latest
    }

    fn pending(&self) -> Vec<CheckpointId> {
        self.pending_id().into_iter().collect()
    }

    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex> {
        match &self.pending {
            Some(alignment) if alignment.barrier.checkpoint == checkpoint => {
                alignment.missing.iter().copied().collect()
            }
            _ => Vec::new(),
        }
    }
}
