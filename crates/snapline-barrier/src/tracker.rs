//! The at-least-once rule: nothing waits, barriers are only counted.

use crate::abort::AbortedCheckpoints;
use crate::handler::{AlignmentAction, BarrierHandler, ChannelIndex, DeclineReason, EndOfInputRule};
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How many checkpoints are counted at a time.
const MAX_PENDING: usize = 50;

/// Counts barriers without blocking a channel. A snapshot holds everything before the barriers and
/// perhaps more, which comes again after a restore.
///
/// # Contract
///
/// Beyond that of [`BarrierHandler`]:
///
/// * No channel is ever blocked or unblocked.
/// * Newer barriers do not disturb a checkpoint that is being counted, but one that completes
///   removes all older ones silently: they could only restore less.
/// * A cancel marker gives up its checkpoint and all older ones.
/// * An end of input that completes several checkpoints triggers the newest.
/// * At most 50 checkpoints are counted. Then the oldest is forgotten silently.
///
/// # Examples
///
/// ```
/// use snapline_barrier::{AlignmentAction::*, BarrierHandler, BarrierTracker, ChannelIndex, EndOfInputRule};
/// use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, Timestamp};
/// use std::time::Duration;
///
/// let barrier = CheckpointBarrier {
///     checkpoint: CheckpointId(1),
///     created: Timestamp(0),
///     options: BarrierOptions::default(),
/// };
/// let mut tracker = BarrierTracker::new(2, EndOfInputRule::StandsIn);
/// let mut actions = Vec::new();
/// tracker.on_barrier(ChannelIndex(0), barrier, Timestamp(0), &mut actions);
/// assert_eq!(actions, []);
/// tracker.on_end_of_input(ChannelIndex(1), Timestamp(8), &mut actions);
/// let snapshot = Snapshot { barrier, alignment: Duration::from_millis(8) };
/// assert_eq!(actions, [snapshot, Complete { checkpoint: CheckpointId(1) }]);
/// ```
#[derive(Debug, Clone, Hash)]
pub struct BarrierTracker {
    rule: EndOfInputRule,
    open: BTreeSet<ChannelIndex>,
    /// The newest checkpoint counted or cancelled. Nothing up to it starts again.
    latest: CheckpointId,
    /// In growing order of the id.
    entries: VecDeque<Entry>,
    aborted: AbortedCheckpoints,
}

#[derive(Debug, Clone, Hash)]
struct Entry {
    checkpoint: CheckpointId,
    missing: BTreeSet<ChannelIndex>,
    fate: Fate,
}

/// What happens when all barriers of an entry are in.
#[derive(Debug, Clone, Copy, Hash)]
enum Fate {
    Snapshot {
        barrier: CheckpointBarrier,
        since: Timestamp,
    },
    /// The coordinator aborted it: the cancel marker takes the place of the snapshot. It is not sent
    /// earlier, because an older checkpoint may still complete and has to go out first.
    Cancel,
}

impl BarrierTracker {
    /// A tracker for a task with this many input channels, all of them open.
    pub fn new(channels: u32, rule: EndOfInputRule) -> Self {
        Self {
            rule,
            open: (0..channels).map(ChannelIndex).collect(),
            latest: CheckpointId::NONE,
            entries: VecDeque::new(),
            aborted: AbortedCheckpoints::default(),
        }
    }

    fn position(&self, checkpoint: CheckpointId) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.checkpoint == checkpoint)
    }

    fn start(&mut self, barrier: CheckpointBarrier, now: Timestamp) {
        self.latest = barrier.checkpoint;
        if self.entries.len() == MAX_PENDING {
            self.entries.pop_front();
        }
        let fate = if self.aborted.take(barrier.checkpoint) {
            Fate::Cancel
        } else {
            Fate::Snapshot { barrier, since: now }
        };
        self.entries.push_back(Entry {
            checkpoint: barrier.checkpoint,
            missing: self.open.clone(),
            fate,
        });
    }

    /// Counts a channel for a checkpoint, if that is pending.
    fn count(
        &mut self,
        channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if let Some(position) = self.position(checkpoint)
            && self.entries[position].completes_with(channel)
        {
            self.complete(position, now, out);
        }
    }

    fn complete(&mut self, position: usize, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        let Some(entry) = self.entries.drain(..=position).next_back() else {
            return;
        };
        match entry.fate {
            Fate::Snapshot { barrier, since } => {
                out.push(AlignmentAction::Snapshot {
                    barrier,
                    alignment: Duration::from_millis(now.millis_since(since)),
                });
                out.push(AlignmentAction::Complete {
                    checkpoint: entry.checkpoint,
                });
            }
            Fate::Cancel => out.push(AlignmentAction::ForwardCancel(entry.checkpoint)),
        }
    }

    /// Gives up all checkpoints older than `checkpoint`.
    fn give_up_older(
        &mut self,
        checkpoint: CheckpointId,
        reason: DeclineReason,
        out: &mut Vec<AlignmentAction>,
    ) {
        let older = self
            .entries
            .partition_point(|entry| entry.checkpoint < checkpoint);
        for entry in self.entries.drain(..older) {
            entry.give_up(reason, out);
        }
    }
}

impl Entry {
    /// Counts the channel and tells whether that was the last one missing.
    fn completes_with(&mut self, channel: ChannelIndex) -> bool {
        self.missing.remove(&channel);
        self.missing.is_empty()
    }

    fn give_up(self, reason: DeclineReason, out: &mut Vec<AlignmentAction>) {
        let checkpoint = self.checkpoint;
        if let Fate::Snapshot { .. } = self.fate {
            out.push(AlignmentAction::Decline { checkpoint, reason });
        }
        out.push(AlignmentAction::ForwardCancel(checkpoint));
    }
}

impl BarrierHandler for BarrierTracker {
    fn on_barrier(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if barrier.checkpoint > self.latest {
            self.start(barrier, now);
        }
        self.count(channel, barrier.checkpoint, now, out);
    }

    fn on_cancel(
        &mut self,
        _channel: ChannelIndex,
        checkpoint: CheckpointId,
        _now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let older = DeclineReason::Subsumed { by: checkpoint };
        let reason = DeclineReason::Cancelled;
        if checkpoint > self.latest {
            self.give_up_older(checkpoint, older, out);
            self.latest = checkpoint;
            self.aborted.take(checkpoint);
            out.push(AlignmentAction::Decline { checkpoint, reason });
            out.push(AlignmentAction::ForwardCancel(checkpoint));
        } else if self.position(checkpoint).is_some() {
            self.give_up_older(checkpoint, older, out);
            // What is left starts with the checkpoint itself.
            self.give_up_older(checkpoint.next(), reason, out);
        }
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.open.remove(&channel);
        match self.rule {
            EndOfInputRule::StandsIn => {
                let mut newest_first = self.entries.iter_mut().enumerate().rev();
                let newest = newest_first
                    .find_map(|(position, entry)| entry.completes_with(channel).then_some(position));
                if let Some(position) = newest {
                    self.complete(position, now, out);
                }
            }
            EndOfInputRule::Aborts => {
                self.give_up_older(self.latest.next(), DeclineReason::EndOfInput, out);
            }
        }
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, _now: Timestamp, _out: &mut Vec<AlignmentAction>) {
        if checkpoint > self.latest {
            self.aborted.remember(checkpoint);
        } else if let Some(position) = self.position(checkpoint) {
            self.entries[position].fate = Fate::Cancel;
        }
    }

    fn open_channels(&self) -> usize {
        self.open.len()
    }

    fn latest(&self) -> CheckpointId {
        self.latest
    }

    fn pending(&self) -> Vec<CheckpointId> {
        self.entries.iter().map(|entry| entry.checkpoint).collect()
    }

    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex> {
        let entry = self.entries.iter().find(|entry| entry.checkpoint == checkpoint);
        entry.map_or_else(Vec::new, |entry| entry.missing.iter().copied().collect())
    }
}
