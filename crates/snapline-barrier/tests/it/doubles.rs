//! Deliberately broken aligners: the suite has to find each of them.

use crate::gate::{Element, Hold};
use crate::history::Mode;
use crate::interleavings::{deal, explore, inputs};
use snapline_barrier::AlignmentAction::{Block, Decline, ForwardCancel, Snapshot, Unblock};
use snapline_barrier::{AlignmentAction, BarrierAligner, BarrierHandler, ChannelIndex, EndOfInputRule};
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};

/// An aligner whose decisions about one event are tampered with.
#[derive(Clone)]
struct Broken {
    aligner: BarrierAligner,
    tamper: fn(&mut Vec<AlignmentAction>),
}

impl Broken {
    fn handle(
        &mut self,
        out: &mut Vec<AlignmentAction>,
        event: impl FnOnce(&mut BarrierAligner, &mut Vec<AlignmentAction>),
    ) {
        event(&mut self.aligner, out);
        (self.tamper)(out);
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
        self.handle(out, |aligner, out| aligner.on_barrier(channel, barrier, now, out));
    }

    fn on_cancel(
        &mut self,
        channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        self.handle(out, |aligner, out| {
            aligner.on_cancel(channel, checkpoint, now, out)
        });
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.handle(out, |aligner, out| aligner.on_end_of_input(channel, now, out));
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.handle(out, |aligner, out| aligner.on_abort(checkpoint, now, out));
    }

    fn open_channels(&self) -> usize {
        self.aligner.open_channels()
    }

    fn latest(&self) -> CheckpointId {
        self.aligner.latest()
    }

    fn pending(&self) -> Vec<CheckpointId> {
        self.aligner.pending()
    }

    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex> {
        self.aligner.waiting_for(checkpoint)
    }
}

/// Runs the interleavings until the first complaint.
fn complaint(tamper: fn(&mut Vec<AlignmentAction>)) -> Option<String> {
    let rule = EndOfInputRule::StandsIn;
    let broken = Broken {
        aligner: BarrierAligner::new(2, rule),
        tamper,
    };
    let hold = [Hold::WhenBlocked, Hold::AtBarrier];
    let explore = |inputs: &Vec<Vec<Element>>| {
        hold.iter()
            .find_map(|&hold| explore(&broken, hold, inputs, &[2], (Mode::ExactlyOnce, rule)).err())
    };
    deal(&inputs(1), 2)
        .iter()
        .chain(&deal(&inputs(2), 2))
        .find_map(explore)
}

fn is_unblock(action: &AlignmentAction) -> bool {
    matches!(action, Unblock(_))
}

fn is_snapshot(action: &AlignmentAction) -> bool {
    matches!(action, Snapshot { .. })
}

#[test]
fn an_aligner_that_is_left_alone_passes() {
    assert!(deal(&inputs(1), 2).len() > 10);
    let aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
    let broken = Broken {
        aligner,
        tamper: |_| {},
    };
    for inputs in deal(&inputs(1), 2) {
        let mode = (Mode::ExactlyOnce, EndOfInputRule::StandsIn);
        explore(&broken, Hold::AtBarrier, &inputs, &[], mode).unwrap();
    }
}

#[test]
fn every_broken_aligner_is_found() {
    let doubles: &[(&str, fn(&mut Vec<AlignmentAction>))] = &[
        ("skips alignment", |out| {
            out.retain(|action| !matches!(action, Block(_)))
        }),
        ("skips alignment on one channel", |out| {
            out.retain(|action| *action != Block(ChannelIndex(1)))
        }),
        ("forgets to unblock at obsolete barriers", |out| {
            if out.len() == 1 {
                out.retain(|action| !is_unblock(action));
            }
        }),
        ("forgets to unblock after a snapshot", |out| {
            if out.iter().any(is_snapshot) {
                out.retain(|action| !is_unblock(action));
            }
        }),
        ("forgets to unblock after a cancel marker", |out| {
            if out.iter().any(|action| matches!(action, ForwardCancel(_))) {
                out.retain(|action| !is_unblock(action));
            }
        }),
        ("forgets to unblock one channel", |out| {
            out.retain(|action| *action != Unblock(ChannelIndex(0)))
        }),
        ("unblocks before the snapshot", |out| {
            out.sort_by_key(|action| !is_unblock(action))
        }),
        ("takes a snapshot twice", |out| {
            if let Some(&snapshot) = out.iter().find(|action| is_snapshot(action)) {
                out.insert(0, snapshot);
            }
        }),
        ("takes no snapshot", |out| {
            out.retain(|action| !is_snapshot(action))
        }),
        ("forwards no cancel marker", |out| {
            out.retain(|action| !matches!(action, ForwardCancel(_)))
        }),
        ("declines nothing", |out| {
            out.retain(|action| !matches!(action, Decline { .. }))
        }),
        ("unblocks all the time", |out| {
            let first = out.iter().position(|action| matches!(action, Block(_)));
            out.extend(first.map(|_| Unblock(ChannelIndex(0))));
        }),
    ];
    for (what, tamper) in doubles {
        assert!(
            complaint(*tamper).is_some(),
            "nobody noticed an aligner that {what}"
        );
    }
}
