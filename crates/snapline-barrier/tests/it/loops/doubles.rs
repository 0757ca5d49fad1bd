//! Deliberately broken loop heads: the crashes have to find each of them.

use super::crashes::explore;
use super::dataflow::Dataflow;
use super::job::MakeHead;
use snapline_barrier::AlignmentAction::{
    self, Complete, DropRecording, ForwardCancel, Record, Snapshot, StopRecording,
};
use snapline_barrier::{BarrierAligner, BarrierHandler, ChannelIndex, EndOfInputRule, LoopHead};
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::time::Duration;

/// A loop head whose decisions about one event are tampered with.
struct Broken {
    head: LoopHead<BarrierAligner>,
    fault: Fault,
    /// Decided upon and kept for the next event.
    late: Vec<AlignmentAction>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    LogsNothing,
    StartsTheLogLate,
    EndsTheLogEarly,
    GoesOnWithTheLog,
    KeepsTheLogOfAnAbortedCheckpoint,
    AcknowledgesEarly,
    PassesBarriersRoundAgain,
    PassesCancelMarkersRoundAgain,
}

impl Broken {
    /// `back` is what a back edge delivered.
    fn tamper(
        &mut self,
        back: Option<CheckpointBarrier>,
        cancel: Option<CheckpointId>,
        out: &mut Vec<AlignmentAction>,
    ) {
        let (is_record, is_stop) = (
            |action: &AlignmentAction| matches!(action, Record { .. }),
            |action: &AlignmentAction| matches!(action, StopRecording { .. }),
        );
        match self.fault {
            Fault::None => {}
            Fault::LogsNothing => out.retain(|action| !is_record(action)),
            Fault::StartsTheLogLate => {
                let late = out.extract_if(.., |action| is_record(action)).collect();
                let mut before = std::mem::replace(&mut self.late, late);
                before.append(out);
                *out = before;
            }
            Fault::EndsTheLogEarly => {
                let stop = |action: &AlignmentAction| match *action {
                    Record { checkpoint, channel } => Some(StopRecording { checkpoint, channel }),
                    _ => None,
                };
                let stops: Vec<AlignmentAction> = out.iter().filter_map(stop).collect();
                out.retain(|action| !is_stop(action));
                out.extend(stops);
            }
            Fault::GoesOnWithTheLog => out.retain(|action| !is_stop(action)),
            Fault::KeepsTheLogOfAnAbortedCheckpoint => {
                out.retain(|action| !matches!(action, DropRecording { .. }))
            }
            Fault::AcknowledgesEarly => {
                out.retain(|action| !matches!(action, Complete { .. }) && !is_stop(action));
                let taken = out.iter().find_map(|action| match action {
                    Snapshot { barrier, .. } => Some(barrier.checkpoint),
                    _ => None,
                });
                out.extend(taken.map(|checkpoint| Complete { checkpoint }));
            }
            Fault::PassesBarriersRoundAgain => out.extend(back.map(|barrier| Snapshot {
                barrier,
                alignment: Duration::ZERO,
            })),
            Fault::PassesCancelMarkersRoundAgain => out.extend(cancel.map(ForwardCancel)),
        }
    }

    fn is_back(&self, channel: ChannelIndex) -> bool {
        // In the dataflow below the first channel of a head is its regular input.
        channel.0 > 0
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
        self.head.on_barrier(channel, barrier, now, out);
        self.tamper(self.is_back(channel).then_some(barrier), None, out);
    }

    fn on_cancel(
        &mut self,
        channel: ChannelIndex,
        checkpoint: CheckpointId,
        now: Timestamp,
        out: &mut Vec<AlignmentAction>,
    ) {
        self.head.on_cancel(channel, checkpoint, now, out);
        self.tamper(None, self.is_back(channel).then_some(checkpoint), out);
    }

    fn on_end_of_input(&mut self, channel: ChannelIndex, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.head.on_end_of_input(channel, now, out);
        self.tamper(None, None, out);
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Vec<AlignmentAction>) {
        self.head.on_abort(checkpoint, now, out);
        self.tamper(None, None, out);
    }

    fn open_channels(&self) -> usize {
        self.head.open_channels()
    }

    fn latest(&self) -> CheckpointId {
        self.head.latest()
    }

    fn pending(&self) -> Vec<CheckpointId> {
        self.head.pending()
    }

    fn waiting_for(&self, checkpoint: CheckpointId) -> Vec<ChannelIndex> {
        self.head.waiting_for(checkpoint)
    }
}

fn broken(head: LoopHead<BarrierAligner>, fault: Fault) -> Box<dyn BarrierHandler> {
    let late = Vec::new();
    Box::new(Broken { head, fault, late })
}

#[test]
fn every_broken_loop_head_is_found() {
    // A head with a long loop and a short one.
    let dataflow = Dataflow::new(&[(0, 1), (1, 2), (2, 3), (2, 1), (3, 1)], 8);
    let complaint = |make: MakeHead| explore(&dataflow, make, 0..4, 9).err();
    let doubles: &[(&str, MakeHead)] = &[
        ("logs nothing", |head| broken(head, Fault::LogsNothing)),
        ("starts the log late", |head| {
            broken(head, Fault::StartsTheLogLate)
        }),
        ("ends the log early", |head| broken(head, Fault::EndsTheLogEarly)),
        ("goes on with the log", |head| {
            broken(head, Fault::GoesOnWithTheLog)
        }),
        ("keeps the log of an aborted checkpoint", |head| {
            broken(head, Fault::KeepsTheLogOfAnAbortedCheckpoint)
        }),
        ("acknowledges early", |head| {
            broken(head, Fault::AcknowledgesEarly)
        }),
        ("passes barriers round again", |head| {
            broken(head, Fault::PassesBarriersRoundAgain)
        }),
        ("passes cancel markers round again", |head| {
            broken(head, Fault::PassesCancelMarkersRoundAgain)
        }),
        ("waits for its own barrier", |head| {
            let channels = u32::try_from(head.open_channels()).unwrap();
            Box::new(BarrierAligner::new(channels, EndOfInputRule::StandsIn))
        }),
    ];
    assert_eq!(complaint(|head| broken(head, Fault::None)), None);
    for (what, make) in doubles {
        let complaint = complaint(*make);
        assert!(complaint.is_some(), "nobody noticed a loop head that {what}");
    }
}
