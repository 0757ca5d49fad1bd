//! The exactly-once rule: a channel whose barrier has arrived waits for the others, or what the
//! others still have to deliver is recorded.

mod pending;

use crate::abort::AbortedCheckpoints;
use crate::handler::{AlignmentAction, BarrierHandler, ChannelIndex, DeclineReason, EndOfInputRule};
use pending::Pending;
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Aligns barriers by blocking channels (Carbone et al. 2015), or lets them overtake and records what
/// they overtook (FLIP-76), so that snapshot and channel state together hold exactly what came before
/// the barrier on every channel.
///
/// Each barrier says how its checkpoint is to be aligned. A checkpoint starts *aligned*: channels
/// whose barrier has arrived are blocked, and when all are, the snapshot is taken. It turns
/// *unaligned* if barriers are still missing when
///
/// * it is unaligned from the start, or its timeout has passed since the coordinator created it, or
///   an upstream task has taken it unaligned,
/// * and all forced channels have delivered their barrier or ended.
///
/// Then the snapshot is taken at once, everything is unblocked, announced barriers overtake what is
/// queued before them, and what comes before the missing barriers is recorded.
///
/// # Contract
///
/// Beyond that of [`BarrierHandler`]:
///
/// * At most one checkpoint is pending. A newer barrier gives the pending one up as subsumed; a
///   newer cancel marker drops it silently if its snapshot is not taken, because it tells everybody
///   downstream the same. A newer announcement waits until the pending one has ended.
/// * Every barrier is answered by a `Block` or an `Unblock` of its channel. So a gate may either
///   block channels when it is told to, or hold a channel at each barrier until it is answered.
/// * A channel is blocked only by the pending checkpoint before its snapshot. When that is taken or
///   the checkpoint ends, in whatever way, all are unblocked.
/// * The last barrier never turns a checkpoint unaligned, and neither does a late one, a cancel marker
///   or an abort. Barriers, announcements and ends of input do so as soon as they find that the
///   deadline has passed; without them [`BarrierHandler::on_time`] does.
/// * A barrier is prioritized at most once, only after the snapshot, and never on a forced channel.
/// * Within one call what becomes of older checkpoints comes first, then for the newest one `Snapshot`,
///   `Record`, `Prioritize`, `StopRecording`, `Complete` in this order, then each `Unblock`, then `Block`.
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
///
/// A checkpoint that may not take longer than 100 ms to align:
///
/// ```
/// use snapline_barrier::{AlignmentAction::*, BarrierAligner, BarrierHandler, ChannelIndex, EndOfInputRule};
/// use snapline_core::{BarrierAlignment, BarrierOptions, CheckpointBarrier, CheckpointId, Timestamp};
/// use std::time::Duration;
///
/// let mut barrier = CheckpointBarrier {
///     checkpoint: CheckpointId(1),
///     created: Timestamp(0),
///     options: BarrierOptions::default(),
/// };
/// barrier.options.alignment = BarrierAlignment::AlignedWithTimeout { timeout_ms: 100 };
/// let (fast, slow, checkpoint) = (ChannelIndex(0), ChannelIndex(1), barrier.checkpoint);
/// let mut aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
/// let mut actions = Vec::new();
///
/// aligner.on_barrier(fast, barrier, Timestamp(30), &mut actions);
/// aligner.on_announcement(slow, barrier, Timestamp(70), &mut actions);
/// assert_eq!(actions, [Block(fast)]);
/// assert_eq!(aligner.deadline(), Some(Timestamp(100)));
///
/// actions.clear();
/// aligner.on_time(Timestamp(100), &mut actions);
/// let mut forwarded = barrier;
/// forwarded.options.alignment = BarrierAlignment::Unaligned;
/// assert_eq!(
///     actions,
///     [
///         Snapshot { barrier: forwarded, alignment: Duration::from_millis(70) },
///         Record { checkpoint, channel: slow },
///         Prioritize(slow),
///         Unblock(fast),
///     ]
/// );
///
/// actions.clear();
/// aligner.on_barrier(slow, barrier, Timestamp(101), &mut actions);
/// let stop = StopRecording { checkpoint, channel: slow };
/// assert_eq!(actions, [stop, Complete { checkpoint }, Unblock(slow)]);
/// ```
#[derive(Debug, Clone, Hash)]
pub struct BarrierAligner {
    rule: EndOfInputRule,
    open: BTreeSet<ChannelIndex>,
    /// Channels that are aligned even by an unaligned checkpoint.
    forced: BTreeSet<ChannelIndex>,
    /// The newest checkpoint started or cancelled. Nothing up to it starts again.
    latest: CheckpointId,
    /// What `latest` waits for, until it is completed or given up.
    pending: Option<Pending>,
    /// Barriers that are queued, until they are delivered.
    announced: BTreeMap<ChannelIndex, CheckpointBarrier>,
    aborted: AbortedCheckpoints,
    /// Channels that need wait no longer after the current call.
    released: BTreeSet<ChannelIndex>,
}

impl BarrierAligner {
    /// An aligner for a task with this many input channels, all of them open.
    pub fn new(channels: u32, rule: EndOfInputRule) -> Self {
        Self::with_forced(channels, rule, [])
    }

    /// As [`Self::new`], with channels that are aligned even by an unaligned checkpoint, because what
    /// is in flight on them could not be given to other subtasks.
    pub fn with_forced(
        channels: u32,
        rule: EndOfInputRule,
        forced: impl IntoIterator<Item = ChannelIndex>,
    ) -> Self {
        Self {
            rule,
            open: (0..channels).map(ChannelIndex).collect(),
            forced: forced.into_iter().collect(),
            latest: CheckpointId::NONE,
            pending: None,
            announced: BTreeMap::new(),
            aborted: AbortedCheckpoints::default(),
            released: BTreeSet::new(),
        }
    }

    fn pending_id(&self) -> Option<CheckpointId> {
        self.pending.as_ref().map(Pending::id)
    }

    fn pending_mut(&mut self, checkpoint: CheckpointId) -> Option<&mut Pending> {
        self.pending.as_mut().filter(|pending| pending.id() == checkpoint)
    }

    /// Starts the checkpoint of a newer barrier, or gives it up at once when it was aborted. Both
    /// cancel markers that this can take go out before channels are unblocked.
    fn start(&mut self, barrier: CheckpointBarrier, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        let by = barrier.checkpoint;
        self.give_up(DeclineReason::Subsumed { by }, out);
        self.latest = by;
        if self.aborted.take(by) {
            out.push(AlignmentAction::ForwardCancel(by));
            return;
        }
        let mut pending = Pending::new(barrier, &self.open, now);
        let announced = self.announced.values();
        announced
            .filter(|announced| announced.checkpoint == by)
            .for_each(|announced| pending.hear_of(announced));
        self.pending = Some(pending);
    }

    /// Gives the pending checkpoint up, if there is one. Downstream learns of it only if it has not
    /// been sent the barrier.
    fn give_up(&mut self, reason: DeclineReason, out: &mut Vec<AlignmentAction>) {
        if let Some(checkpoint) = self.pending_id() {
            out.push(AlignmentAction::Decline { checkpoint, reason });
            self.retract(out);
        }
    }

    /// As [`Self::give_up`], without telling the coordinator.
    fn retract(&mut self, out: &mut Vec<AlignmentAction>) {
        if let Some(pending) = self.pending.take() {
            let checkpoint = pending.id();
            out.push(if pending.is_recording() {
                AlignmentAction::DropRecording { checkpoint }
            } else {
                AlignmentAction::ForwardCancel(checkpoint)
            });
            self.released.extend(pending.into_blocked());
        }
    }

    /// Completes the pending checkpoint if no barrier is missing any more, or lets barriers overtake
    /// if it is time to.
    fn advance(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        let complete = |pending: &mut Pending| pending.missing().is_empty();
        if let Some(pending) = self.pending.take_if(complete) {
            pending.complete(now, out);
            self.released.extend(pending.into_blocked());
        }
        if let Some(pending) = &mut self.pending
            && pending.overtake_at(&self.forced).is_some_and(|at| at <= now)
        {
            self.released.extend(pending.overtake(now, out));
            let queued = self.announced.iter();
            let queued = queued.filter(|(_, barrier)| barrier.checkpoint == pending.id());
            out.extend(queued.map(|(channel, _)| AlignmentAction::Prioritize(*channel)));
        }
    }

    /// Ends a call: starts the newest announced checkpoint if none is pending, then lets go of the
    /// channels that need wait no longer.
    fn settle(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        let newest = self.announced.values().max_by_key(|barrier| barrier.checkpoint);
        if let Some(&barrier) = newest
            && self.pending.is_none()
            && barrier.checkpoint > self.latest
        {
            self.start(barrier, now, out);
            self.advance(now, out);
        }
        let released = std::mem::take(&mut self.released);
        out.extend(released.into_iter().map(AlignmentAction::Unblock));
    }
}

impl BarrierHandler for BarrierAligner {
    fn on_barrier(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let checkpoint = barrier.checkpoint;
        let known = self.announced.get(&channel).map(|known| known.checkpoint);
        if known <= Some(checkpoint) {
            self.announced.remove(&channel);
        }
        if checkpoint > self.latest {
            self.start(barrier, now, out);
        }
        if let Some(pending) = self.pending_mut(checkpoint) {
            pending.hear_of(&barrier);
            pending.count(channel, out);
            self.advance(now, out);
        }
        // An obsolete barrier, and one that is recorded, is answered as well: a gate that holds the
        // channel at its barrier would wait for ever.
        let waits = self
            .pending_mut(checkpoint)
            .is_some_and(|pending| !pending.is_recording());
        if !waits {
            self.released.insert(channel);
        }
        self.settle(now, out);
        if waits {
            out.push(AlignmentAction::Block(channel));
        }
    }

    fn on_announcement(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let checkpoint = barrier.checkpoint;
        let is_awaited = self.waiting_for(checkpoint).contains(&channel);
        let is_newer = checkpoint > self.latest && self.open.contains(&channel);
        let known = self.announced.get(&channel).map(|known| known.checkpoint);
        let may_record = barrier.options.alignment.may_record();
        if !may_record || !is_awaited && !is_newer || known >= Some(checkpoint) {
            return;
        }
        self.announced.insert(channel, barrier);
        if let Some(pending) = self.pending_mut(checkpoint) {
            if pending.is_recording() {
                out.push(AlignmentAction::Prioritize(channel));
            } else {
                pending.hear_of(&barrier);
                self.advance(now, out);
            }
        }
        self.settle(now, out);
    }

    fn on_cancel(
        &mut self,
        _channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if self.pending_id() == Some(checkpoint) {
            self.give_up(DeclineReason::Cancelled, out);
        } else if checkpoint > self.latest {
            let by = checkpoint;
            match self.pending.take_if(|pending| !pending.is_recording()) {
                Some(pending) => self.released.extend(pending.into_blocked()),
                None => self.give_up(DeclineReason::Subsumed { by }, out),
            }
            self.latest = checkpoint;
            self.aborted.take(checkpoint);
            let reason = DeclineReason::Cancelled;
            out.push(AlignmentAction::Decline { checkpoint, reason });
            out.push(AlignmentAction::ForwardCancel(checkpoint));
        }
        self.settle(now, out);
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.open.remove(&channel);
        self.announced.remove(&channel);
        match (self.rule, &mut self.pending) {
            (EndOfInputRule::StandsIn, Some(pending)) => {
                pending.end(channel, out);
                self.advance(now, out);
            }
            (EndOfInputRule::Aborts, Some(pending)) => {
                pending.end(channel, &mut Vec::new());
                self.give_up(DeclineReason::EndOfInput, out);
            }
            (_, None) => {}
        }
        self.settle(now, out);
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        if checkpoint > self.latest {
            self.aborted.remember(checkpoint);
        } else if self.pending_id() == Some(checkpoint) {
            self.retract(out);
        }
        self.settle(now, out);
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.pending.as_ref()?.overtake_at(&self.forced)
    }

    fn on_time(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.advance(now, out);
        self.settle(now, out);
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
        let pending = self.pending.as_ref();
        pending
            .filter(|pending| pending.id() == checkpoint)
            .map_or_else(Vec::new, |pending| pending.missing().iter().copied().collect())
    }
}
