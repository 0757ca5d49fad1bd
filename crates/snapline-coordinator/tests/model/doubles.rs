//! The receiving rules of tasks, and broken ones.

use crate::flaw::Flaw;
use crate::job::{EdgeKind, Job};
use crate::part::print_of;
use snapline_barrier::{
    AlignmentAction, BarrierAligner, BarrierHandler, BarrierTracker, ChannelIndex, EndOfInputRule, LoopHead,
};
use snapline_core::{BarrierAlignment, CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// A handler of which a state of the world can have a copy.
pub(crate) trait Machine: BarrierHandler + Debug {
    fn copy(&self) -> Box<dyn Machine>;
    fn print(&self) -> u128;
}

impl<H: BarrierHandler + Debug + Clone + Hash + 'static> Machine for H {
    fn copy(&self) -> Box<dyn Machine> {
        Box::new(self.clone())
    }

    fn print(&self) -> u128 {
        print_of(self)
    }
}

impl Clone for Box<dyn Machine> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

impl Hash for Box<dyn Machine> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128((**self).print());
    }
}

/// The handler that the runtime would give to a task, or what is broken on purpose.
pub(crate) fn handler(job: &Job, task: usize) -> Box<dyn Machine> {
    let inputs = job.tasks[task]
        .inputs
        .iter()
        .map(|channel| job.channels[*channel]);
    let of_kind = |kind| {
        let inputs = (0..).map(ChannelIndex).zip(inputs.clone());
        inputs.filter_map(move |(input, edge)| (edge.kind == kind).then_some(input))
    };
    let channels = u32::try_from(inputs.len()).unwrap();
    let rule = EndOfInputRule::StandsIn;
    let aligner = BarrierAligner::with_forced(channels, rule, of_kind(EdgeKind::StaysAligned));
    let counted = channels - u32::from(job.flaw == Some(Flaw::CountOneLess(task)));
    let tracker = BarrierTracker::new(counted, rule);
    let back: Vec<ChannelIndex> = of_kind(EdgeKind::Back).collect();
    let is_head = !back.is_empty() && job.flaw != Some(Flaw::AlignBackEdge);
    let machine: Box<dyn Machine> = match job.alignment {
        BarrierAlignment::AtLeastOnce if is_head => Box::new(LoopHead::new(tracker, back)),
        BarrierAlignment::AtLeastOnce => Box::new(tracker),
        _ if is_head => Box::new(LoopHead::new(aligner, back)),
        _ => Box::new(aligner),
    };
    match job.flaw {
        Some(flaw) if flaw.is_of(job, task) => Box::new(Broken {
            machine,
            flaw,
            early: BTreeSet::new(),
        }),
        _ => machine,
    }
}

impl Flaw {
    fn is_of(self, job: &Job, task: usize) -> bool {
        match self {
            Self::SkipAlignment(broken, _)
            | Self::ForgetRecord(broken, _)
            | Self::AcknowledgeEarly(broken)
            | Self::DropCancel(broken)
            | Self::SleepOn(broken) => broken == task,
            Self::ForwardAgain => job.is_head(task),
            _ => false,
        }
    }
}

/// Alters what a handler decides.
#[derive(Debug, Clone, Hash)]
struct Broken {
    machine: Box<dyn Machine>,
    flaw: Flaw,
    /// Acknowledged before it was complete.
    early: BTreeSet<CheckpointId>,
}

impl Broken {
    fn alter(
        &mut self,
        out: &mut Vec<AlignmentAction>,
        decide: impl FnOnce(&mut dyn Machine, &mut Vec<AlignmentAction>),
    ) {
        let mut decided = Vec::new();
        decide(&mut *self.machine, &mut decided);
        let mut early = None;
        for action in decided {
            match (self.flaw, action) {
                (Flaw::SkipAlignment(_, input), AlignmentAction::Block(ChannelIndex(blocked)))
                    if input == blocked => {}
                (Flaw::ForgetRecord(_, input), AlignmentAction::Record { channel, .. })
                    if channel.0 == input => {}
                (Flaw::DropCancel(_), AlignmentAction::ForwardCancel(_)) => {}
                (Flaw::AcknowledgeEarly(_), AlignmentAction::Snapshot { barrier, .. }) => {
                    early = Some(barrier.checkpoint);
                    out.push(action);
                }
                (Flaw::AcknowledgeEarly(_), AlignmentAction::Complete { checkpoint }) => {
                    if early == Some(checkpoint) {
                        early = None;
                    }
                    if !self.early.contains(&checkpoint) {
                        out.push(action);
                    }
                }
                _ => out.push(action),
            }
        }
        if let Some(checkpoint) = early {
            self.early.insert(checkpoint);
            out.push(AlignmentAction::Complete { checkpoint });
        }
    }
}

impl BarrierHandler for Broken {
    fn on_barrier(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        let is_regular = channel.as_usize() + 1 < self.machine.open_channels();
        self.alter(out, |machine, out| machine.on_barrier(channel, barrier, now, out));
        if self.flaw == Flaw::ForwardAgain && !is_regular {
            let (checkpoint, alignment) = (barrier.checkpoint, Duration::ZERO);
            out.push(AlignmentAction::Snapshot { barrier, alignment });
            out.push(AlignmentAction::Complete { checkpoint });
        }
    }

    fn on_announcement(
        &mut self,
        channel: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        self.alter(out, |machine, out| {
            machine.on_announcement(channel, barrier, now, out)
        });
    }

    fn on_cancel(
        &mut self,
        channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        self.alter(out, |machine, out| {
            machine.on_cancel(channel, checkpoint, now, out)
        });
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.alter(out, |machine, out| machine.on_end_of_input(channel, now, out));
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.alter(out, |machine, out| machine.on_abort(checkpoint, now, out));
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.machine.deadline()
    }

    fn on_time(&mut self, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        if !matches!(self.flaw, Flaw::SleepOn(_)) {
            self.alter(out, |machine, out| machine.on_time(now, out));
        }
    }

    fn open_channels(&self) -> usize {
        self.machine.open_channels()
    }

    fn latest(&self) -> CheckpointId {
        self.machine.latest()
    }

    fn pending(&self) -> Vec<CheckpointId> {
        self.machine.pending()
    }

    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex> {
        self.machine.waiting_for(checkpoint)
    }
}
