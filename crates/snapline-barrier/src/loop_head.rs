//! The head of a loop: it aligns what comes from outside and logs what comes back.

mod termination;

pub use termination::{LoopState, LoopTermination, TaskActivity};

use crate::handler::{AlignmentAction, BarrierHandler, ChannelIndex, DeclineReason};
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The receiving rule of a task that is fed by a loop: exactly once on cyclic dataflows (Carbone et
/// al. 2015, section 4.3).
///
/// A task that waited for the barrier of a back edge would wait for ever: that barrier comes only
/// round the loop, after the task itself has forwarded it. So only the *regular* inputs are aligned,
/// by the handler that a task without a loop would have. At its snapshot the back edges begin to be
/// recorded, and every batch that comes back before the barrier does was inside the loop at the cut:
/// it is processed as ever *and* becomes channel state. When the barrier is back on every back
/// edge, the log is whole and the task may acknowledge.
///
/// ```text
///   regular  ... 4 |1 3 ──┐                     |1 has arrived: freeze, forward |1, log from here on
///                         ├── head ──▶ body ──┐
///   back edge  |1 y x ────┘                   │ x and y are processed and logged; then |1 is back,
///        ▲                                    │ the log [x, y] is complete
///        └────────────────────────────────────┘
/// ```
///
/// After a restore the log is delivered on the back edge before anything else, divided by key where
/// the edge is, so that the parallelism may change.
///
/// # Contract
///
/// Beyond that of [`BarrierHandler`], and of the handler of the regular inputs:
///
/// * Each `Snapshot` is followed by a `Record` for each back edge, and `Complete` waits for the
///   `StopRecording` of all of them. What is recorded on a back edge is exactly what its sender put
///   on it before the barrier and this task had not received at the snapshot.
/// * A back edge is not blocked, unless its barrier comes before the cut. In a loop with a single
///   entry that cannot happen. Elsewhere it is held until the cut, or until the checkpoint is given
///   up, and nothing of it is logged.
/// * Nothing that a back edge delivers is forwarded as a marker once the regular inputs have decided
///   on that checkpoint, so no marker goes round twice.
/// * Newer barriers do not disturb a log: several can be open, and a batch is in each of them.
/// * A newer cancel marker gives up all open logs, and so does a newer marker on a back edge that
///   skipped the one which a log waits for. A log that is given up is dropped and declined, but no
///   cancel marker follows: the barrier is downstream already.
/// * The end of a back edge stands in for its barriers, whatever the rule of the regular inputs is.
///
/// # Examples
///
/// ```
/// use snapline_barrier::{AlignmentAction::*, BarrierAligner, BarrierHandler, ChannelIndex, LoopHead};
/// use snapline_barrier::EndOfInputRule;
/// use snapline_core::{BarrierOptions, CheckpointBarrier, CheckpointId, Timestamp};
/// use std::time::Duration;
///
/// let (regular, back) = (ChannelIndex(0), ChannelIndex(1));
/// let aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
/// let mut head = LoopHead::new(aligner, [back]);
/// let (checkpoint, now) = (CheckpointId(1), Timestamp(0));
/// let barrier = CheckpointBarrier { checkpoint, created: now, options: BarrierOptions::default() };
///
/// let mut actions = Vec::new();
/// head.on_barrier(regular, barrier, now, &mut actions);
/// assert_eq!(actions[0], Snapshot { barrier, alignment: Duration::ZERO });
/// assert!(actions.contains(&Record { checkpoint, channel: back }));
/// assert!(!actions.contains(&Complete { checkpoint }));
/// assert_eq!(head.waiting_for(checkpoint), [back]);
///
/// actions.clear();
/// head.on_barrier(back, barrier, now, &mut actions);
/// assert_eq!(
///     actions,
///     [StopRecording { checkpoint, channel: back }, Complete { checkpoint }, Unblock(back)]
/// );
/// ```
#[derive(Debug, Clone, Hash)]
pub struct LoopHead<H> {
    /// Decides for the regular inputs. To it the back edges ended before the first checkpoint.
    regular: H,
    /// The back edges that have not ended.
    back_edges: BTreeMap<ChannelIndex, BackEdge>,
    /// The snapshots that cannot be acknowledged yet.
    logs: BTreeMap<CheckpointId, Log>,
}

#[derive(Debug, Clone, Copy, Hash)]
struct BackEdge {
    /// The newest marker that it delivered.
    latest: CheckpointId,
    /// Its barrier came before the cut of this checkpoint.
    held: Option<CheckpointId>,
}

#[derive(Debug, Clone, Hash)]
struct Log {
    /// The back edges whose barrier is not back yet.
    missing: BTreeSet<ChannelIndex>,
    regular: Regular,
}

/// What the handler of the regular inputs has said about a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Regular {
    Recording,
    Complete,
}

impl<H: BarrierHandler> LoopHead<H> {
    /// A head whose regular inputs are decided upon by `handler`, made for all channels of the task,
    /// before any of them has delivered anything.
    pub fn new(mut handler: H, back_edges: impl IntoIterator<Item = ChannelIndex>) -> Self {
        let mut nothing = Vec::new();
        let mut open = |channel| {
            handler.on_end_of_input(channel, Timestamp(0), &mut nothing);
            let (latest, held) = (CheckpointId::NONE, None);
            (channel, BackEdge { latest, held })
        };
        Self {
            back_edges: back_edges.into_iter().map(&mut open).collect(),
            regular: handler,
            logs: BTreeMap::new(),
        }
    }

    /// The coordinator triggers a checkpoint at this task itself, because no regular input is open
    /// that could deliver a barrier while the loop still turns (FLIP-147). Ignored otherwise.
    pub fn on_trigger(&mut self, barrier: CheckpointBarrier, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        let back_edge = self.back_edges.keys().next().copied();
        if let Some(channel) = back_edge.filter(|_| self.open_inputs() == 0) {
            // With nothing open, a barrier of any channel is the last one.
            self.decide(out, |regular, out| regular.on_barrier(channel, barrier, now, out));
        }
    }

    /// How many regular inputs have not ended.
    pub fn open_inputs(&self) -> usize {
        self.regular.open_channels()
    }

    /// Lets the handler of the regular inputs decide, and adds what follows for the back edges.
    fn decide(
        &mut self,
        out: &mut Vec<AlignmentAction>,
        event: impl FnOnce(&mut H, &mut Vec<AlignmentAction>),
    ) {
        let mut decided = Vec::new();
        event(&mut self.regular, &mut decided);
        for action in decided {
            match action {
                AlignmentAction::Snapshot { barrier, .. } => {
                    out.push(action);
                    self.start_log(barrier.checkpoint, out);
                }
                AlignmentAction::Complete { checkpoint } => {
                    if let Some(log) = self.logs.get_mut(&checkpoint) {
                        log.regular = Regular::Complete;
                    }
                    self.complete_if_whole(checkpoint, out);
                }
                AlignmentAction::DropRecording { checkpoint } => {
                    self.logs.remove(&checkpoint);
                    out.push(action);
                }
                _ => out.push(action),
            }
        }
    }

    fn start_log(&mut self, checkpoint: CheckpointId, out: &mut Vec<AlignmentAction>) {
        // A back edge that is held has delivered all that belongs to the cut.
        let waits =
            |(channel, edge): (&ChannelIndex, &BackEdge)| (edge.latest < checkpoint).then_some(*channel);
        let missing: BTreeSet<ChannelIndex> = self.back_edges.iter().filter_map(waits).collect();
        let record = |channel: &ChannelIndex| AlignmentAction::Record {
            checkpoint,
            channel: *channel,
        };
        out.extend(missing.iter().map(record));
        let regular = Regular::Recording;
        self.logs.insert(checkpoint, Log { missing, regular });
    }

    /// A back edge has delivered everything that belongs to a log.
    fn stop(&mut self, checkpoint: CheckpointId, channel: ChannelIndex, out: &mut Vec<AlignmentAction>) {
        if let Some(log) = self.logs.get_mut(&checkpoint)
            && log.missing.remove(&channel)
        {
            out.push(AlignmentAction::StopRecording { checkpoint, channel });
            self.complete_if_whole(checkpoint, out);
        }
    }

    fn complete_if_whole(&mut self, checkpoint: CheckpointId, out: &mut Vec<AlignmentAction>) {
        let whole = |log: &Log| log.missing.is_empty() && log.regular == Regular::Complete;
        if self.logs.get(&checkpoint).is_some_and(whole) {
            self.logs.remove(&checkpoint);
            out.push(AlignmentAction::Complete { checkpoint });
        }
    }

    /// Gives up the open logs older than `marker` that wait for this channel, or all of them.
    fn give_up_older(
        &mut self,
        marker: CheckpointId,
        channel: Option<ChannelIndex>,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let waits = |log: &Log| channel.is_none_or(|channel| log.missing.contains(&channel));
        let older = self.logs.range(..marker);
        let older: Vec<CheckpointId> = older.filter(|(_, log)| waits(log)).map(|(id, _)| *id).collect();
        for checkpoint in older {
            self.give_up(checkpoint, DeclineReason::Subsumed { by: marker }, now, out);
        }
    }

    fn give_up(
        &mut self,
        checkpoint: CheckpointId,
        reason: DeclineReason,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        out.push(AlignmentAction::Decline { checkpoint, reason });
        self.on_abort(checkpoint, now, out);
    }

    /// Whether the regular inputs may still decide to take a snapshot for this checkpoint.
    fn is_undecided(&self, checkpoint: CheckpointId) -> bool {
        let pending = |id| id > self.regular.latest() || self.regular.pending().contains(&id);
        self.open_inputs() > 0 && !self.logs.contains_key(&checkpoint) && pending(checkpoint)
    }

    /// Goes on with the back edges that were held for a checkpoint which is decided by now.
    fn release(&mut self, out: &mut Vec<AlignmentAction>) {
        let decided = |edge: &BackEdge| edge.held.is_some_and(|held| !self.is_undecided(held));
        let channels = self.back_edges.iter().filter(|(_, edge)| decided(edge));
        let channels: Vec<ChannelIndex> = channels.map(|(channel, _)| *channel).collect();
        for channel in channels {
            if let Some(edge) = self.back_edges.get_mut(&channel) {
                edge.held = None;
            }
            out.push(AlignmentAction::Unblock(channel));
        }
    }

    /// Notes a marker of a back edge. Those that it skipped will never come.
    fn pass(
        &mut self,
        channel: ChannelIndex,
        marker: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if let Some(edge) = self.back_edges.get_mut(&channel) {
            edge.latest = edge.latest.max(marker);
        }
        self.give_up_older(marker, Some(channel), now, out);
    }

    fn waits_for(&self, checkpoint: CheckpointId, back_edge: ChannelIndex) -> bool {
        let log = self.logs.get(&checkpoint);
        log.is_some_and(|log| log.missing.contains(&back_edge))
    }
}

impl<H: BarrierHandler> BarrierHandler for LoopHead<H> {
    fn on_barrier(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let checkpoint = barrier.checkpoint;
        if !self.back_edges.contains_key(&channel) {
            self.decide(out, |regular, out| regular.on_barrier(channel, barrier, now, out));
            self.release(out);
            return;
        }
        self.pass(channel, checkpoint, now, out);
        self.stop(checkpoint, channel, out);
        let early = self.is_undecided(checkpoint).then_some(checkpoint);
        if let Some(edge) = self.back_edges.get_mut(&channel) {
            edge.held = early;
        }
        out.push(match early {
            Some(_) => AlignmentAction::Block(channel),
            None => AlignmentAction::Unblock(channel),
        });
    }

    fn on_announcement(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if !self.back_edges.contains_key(&channel) {
            self.decide(out, |regular, out| {
                regular.on_announcement(channel, barrier, now, out)
            });
        } else if self.waits_for(barrier.checkpoint, channel) {
            out.push(AlignmentAction::Prioritize(channel));
        }
    }

    fn on_cancel(
        &mut self,
        channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        if self.back_edges.contains_key(&channel) {
            self.pass(channel, checkpoint, now, out);
        }
        if self.logs.contains_key(&checkpoint) {
            self.give_up(checkpoint, DeclineReason::Cancelled, now, out);
        } else if self.is_undecided(checkpoint) {
            self.give_up_older(checkpoint, None, now, out);
            self.decide(out, |regular, out| {
                regular.on_cancel(channel, checkpoint, now, out)
            });
        }
        self.release(out);
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        if self.back_edges.remove(&channel).is_some() {
            let logs: Vec<CheckpointId> = self.logs.keys().copied().collect();
            for checkpoint in logs {
                self.stop(checkpoint, channel, out);
            }
        } else {
            self.decide(out, |regular, out| regular.on_end_of_input(channel, now, out));
            self.release(out);
        }
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.decide(out, |regular, out| regular.on_abort(checkpoint, now, out));
        if self.logs.remove(&checkpoint).is_some() {
            out.push(AlignmentAction::DropRecording { checkpoint });
        }
        self.release(out);
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.regular.deadline()
    }

    fn on_time(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.decide(out, |regular, out| regular.on_time(now, out));
        self.release(out);
    }

    fn open_channels(&self) -> usize {
        self.regular.open_channels() + self.back_edges.len()
    }

    fn latest(&self) -> CheckpointId {
        self.regular.latest()
    }

    fn pending(&self) -> Vec<CheckpointId> {
        let pending = self.regular.pending();
        let all: BTreeSet<CheckpointId> = pending.iter().chain(self.logs.keys()).copied().collect();
        all.into_iter().collect()
    }

    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex> {
        let mut missing = self.regular.waiting_for(checkpoint);
        missing.extend(
            self.logs
                .get(&checkpoint)
                .into_iter()
                .flat_map(|log| &log.missing),
        );
        missing
    }
}
