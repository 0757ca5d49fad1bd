//! Deliberately broken aligners: the suite has to find each of them.

use super::gate::Gate;
use super::interleavings::{aligner, explore, explore_with, one_checkpoint};
use super::plan::{Plan, TIMEOUT, with_timeout};
use crate::gate::{Element, Hold};
use crate::interleavings::deal;
use snapline_barrier::AlignmentAction::{
    Block, Complete, Decline, DropRecording, ForwardCancel, Prioritize, Record, Snapshot, StopRecording,
    Unblock,
};
use snapline_barrier::{AlignmentAction, BarrierAligner, BarrierHandler, ChannelIndex};
use snapline_core::BarrierAlignment::{Aligned, Unaligned};
use snapline_core::{CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::BTreeSet;

/// A call of a handler.
#[derive(Debug, Clone, Copy)]
enum Call {
    Barrier(ChannelIndex, CheckpointBarrier),
    Announcement(ChannelIndex, CheckpointBarrier),
    Cancel(ChannelIndex, CheckpointId),
    End(ChannelIndex),
    Abort(CheckpointId),
    Time,
}

type Actions = Vec<AlignmentAction>;

impl Call {
    fn apply(self, aligner: &mut BarrierAligner, now: Timestamp, out: &mut Actions) {
        match self {
            Self::Barrier(channel, barrier) => aligner.on_barrier(channel, barrier, now, out),
            Self::Announcement(channel, barrier) => aligner.on_announcement(channel, barrier, now, out),
            Self::Cancel(channel, checkpoint) => aligner.on_cancel(channel, checkpoint, now, out),
            Self::End(channel) => aligner.on_end_of_input(channel, now, out),
            Self::Abort(checkpoint) => aligner.on_abort(checkpoint, now, out),
            Self::Time => aligner.on_time(now, out),
        }
    }
}

/// Handles a call in its own way.
type Fault = fn(&mut BarrierAligner, Call, Timestamp, &mut Actions);

#[derive(Clone)]
struct Broken {
    aligner: BarrierAligner,
    fault: Fault,
    deadline: fn(&BarrierAligner) -> Option<Timestamp>,
}

impl Broken {
    fn new(plan: &Plan, fault: Fault) -> Self {
        Self {
            aligner: aligner(plan),
            fault,
            deadline: BarrierAligner::deadline,
        }
    }

    fn call(&mut self, call: Call, now: Timestamp, out: &mut Actions) {
        (self.fault)(&mut self.aligner, call, now, out);
    }
}

impl BarrierHandler for Broken {
    fn on_barrier(
        &mut self,
        at: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Actions,
    ) {
        self.call(Call::Barrier(at, barrier), now, out);
    }

    fn on_announcement(
        &mut self,
        at: ChannelIndex,
        barrier: CheckpointBarrier,
        now: Timestamp,
        out: &mut Actions,
    ) {
        self.call(Call::Announcement(at, barrier), now, out);
    }

    fn on_cancel(&mut self, at: ChannelIndex, checkpoint: CheckpointId, now: Timestamp, out: &mut Actions) {
        self.call(Call::Cancel(at, checkpoint), now, out);
    }

    fn on_end_of_input(&mut self, at: ChannelIndex, now: Timestamp, out: &mut Actions) {
        self.call(Call::End(at), now, out);
    }

    fn on_abort(&mut self, checkpoint: CheckpointId, now: Timestamp, out: &mut Actions) {
        self.call(Call::Abort(checkpoint), now, out);
    }

    fn deadline(&self) -> Option<Timestamp> {
        (self.deadline)(&self.aligner)
    }

    fn on_time(&mut self, now: Timestamp, out: &mut Actions) {
        self.call(Call::Time, now, out);
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

/// One plan for each thing that can go on.
fn plans() -> Vec<Plan> {
    use Element::{Barrier, Cancel, Data, End};
    let late = vec![Data(1), Data(2), Barrier(1)];
    let early = vec![Data(1), Barrier(1), Data(2)];
    let cancelled = vec![Data(1), Cancel(1), Data(2)];
    let ended = vec![Data(1), End];
    let twice = vec![Barrier(1), Data(1), Barrier(2)];
    let pairs = [
        [&early, &late],
        [&early, &cancelled],
        [&early, &ended],
        [&late, &late],
    ];
    let timed = |pair: [&Vec<Element>; 2]| Plan {
        clock: vec![TIMEOUT + 1],
        ..Plan::new(&pair.map(Vec::clone), &[with_timeout()])
    };
    let mut plans = vec![Plan {
        aborts: vec![1],
        ..Plan::new(&[early.clone(), late.clone()], &[Unaligned])
    }];
    plans.extend(pairs.map(|pair| Plan::new(&pair.map(Vec::clone), &[Unaligned])));
    plans.extend(pairs.map(timed));
    plans.extend([Unaligned, with_timeout()].map(|mode| {
        Plan {
            forced: BTreeSet::from([0]),
            ..timed([&early, &late])
        }
        .with(mode)
    }));
    plans.extend(
        [[Aligned, Unaligned], [Unaligned, Unaligned]]
            .map(|modes| Plan::new(&[twice.clone(), vec![Data(1), Barrier(1), Barrier(2)]], &modes)),
    );
    plans.push(Plan::new(&[twice, vec![Data(1), Barrier(2)]], &[Unaligned]));
    plans
}

impl Plan {
    fn with(self, mode: snapline_core::BarrierAlignment) -> Self {
        Self {
            modes: vec![mode],
            ..self
        }
    }
}

/// Runs the plans until the first complaint.
fn complaint(fault: Fault) -> Option<String> {
    plans()
        .iter()
        .find_map(|plan| explore(&Broken::new(plan, fault), Hold::WhenBlocked, plan).err())
}

/// Lets the call be handled properly and then changes the decisions.
fn tamper(
    (aligner, call, now, out): (&mut BarrierAligner, Call, Timestamp, &mut Actions),
    change: impl FnOnce(&mut Actions),
) {
    call.apply(aligner, now, out);
    change(out);
}

fn has(out: &Actions, is_it: impl FnMut(&AlignmentAction) -> bool) -> bool {
    out.iter().any(is_it)
}

fn is_record(action: &AlignmentAction) -> bool {
    matches!(action, Record { .. })
}

#[test]
fn an_aligner_that_is_left_alone_passes() {
    assert!(deal(&one_checkpoint(), 2).len() > 10);
    assert_eq!(
        complaint(|aligner, call, now, out| call.apply(aligner, now, out)),
        None
    );
}

#[test]
fn every_broken_aligner_is_found() {
    let doubles: &[(&str, Fault)] = &[
        ("forgets to record", |a, call, now, out| {
            tamper((a, call, now, out), |out| out.retain(|action| !is_record(action)));
        }),
        ("forgets to record one channel", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                out.retain(|action| !matches!(action, Record { channel, .. } if channel.0 == 1));
            });
        }),
        ("records a channel whose barrier is in", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                if let Some(&Record { checkpoint, channel }) = out.iter().find(|action| is_record(action)) {
                    let channel = ChannelIndex(1 - channel.0);
                    out.insert(1, Record { checkpoint, channel });
                }
            });
        }),
        ("goes on recording behind the barrier", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                out.retain(|action| !matches!(action, StopRecording { .. }));
            });
        }),
        ("stops recording at once", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                if let Some(&Record { checkpoint, channel }) = out.iter().find(|action| is_record(action)) {
                    out.push(StopRecording { checkpoint, channel });
                }
            });
        }),
        (
            "takes the snapshot again when all barriers are in",
            |a, call, now, out| {
                let is_recording = !a.pending().is_empty() && a.deadline().is_none();
                tamper((a, call, now, out), |out| {
                    if let (true, Call::Barrier(_, barrier)) = (is_recording, call)
                        && let Some(at) = out.iter().position(|action| matches!(action, Complete { .. }))
                        && !has(out, |action| matches!(action, Snapshot { .. }))
                    {
                        let alignment = std::time::Duration::ZERO;
                        out.insert(at, Snapshot { barrier, alignment });
                    }
                });
            },
        ),
        (
            "takes the snapshot again when the time has come",
            |a, call, now, out| {
                let pending = a.pending();
                tamper((a, call, now, out), |out| {
                    if let (Call::Announcement(_, barrier), [_]) = (call, &pending[..])
                        && has(out, |action| matches!(action, Prioritize(_)))
                        && !has(out, |action| matches!(action, Snapshot { .. }))
                    {
                        let alignment = std::time::Duration::ZERO;
                        out.insert(0, Snapshot { barrier, alignment });
                    }
                });
            },
        ),
        ("turns unaligned at the last barrier", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                for action in out {
                    if let Snapshot { barrier, .. } = action {
                        barrier.options.alignment = Unaligned;
                    }
                }
            });
        }),
        (
            "does not say downstream that it is unaligned",
            |a, call, now, out| {
                tamper((a, call, now, out), |out| {
                    for action in out {
                        if let Snapshot { barrier, .. } = action {
                            barrier.options.alignment = Aligned;
                        }
                    }
                });
            },
        ),
        ("does not unblock when it turns unaligned", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                if has(out, is_record) {
                    out.retain(|action| !matches!(action, Unblock(_)));
                }
            });
        }),
        (
            "keeps blocking at recorded and obsolete barriers",
            |a, call, now, out| {
                tamper((a, call, now, out), |out| {
                    if let (Call::Barrier(channel, _), [.., last @ Unblock(_)]) = (call, &mut out[..])
                        && *last == Unblock(channel)
                    {
                        *last = Block(channel);
                    }
                });
            },
        ),
        ("ignores the passive timeout", |a, call, now, out| {
            let now = match (call, a.deadline()) {
                (Call::Barrier(..) | Call::Announcement(..) | Call::End(_), Some(deadline)) => {
                    now.min(Timestamp(deadline.0 - 1))
                }
                _ => now,
            };
            call.apply(a, now, out);
        }),
        ("ignores the active timeout", |a, call, now, out| {
            if !matches!(call, Call::Time) {
                call.apply(a, now, out);
            }
        }),
        ("turns unaligned before the deadline", |a, call, now, out| {
            call.apply(a, now, out);
            if let Some(deadline) = a.deadline() {
                a.on_time(deadline, out);
            }
        }),
        (
            "does not let the announced barrier overtake",
            |a, call, now, out| {
                tamper((a, call, now, out), |out| {
                    out.retain(|action| !matches!(action, Prioritize(_)));
                });
            },
        ),
        (
            "lets barriers overtake before the snapshot",
            |a, call, now, out| {
                tamper((a, call, now, out), |out| {
                    if let (Call::Announcement(channel, _), []) = (call, &out[..]) {
                        out.push(Prioritize(channel));
                    }
                });
            },
        ),
        ("is not told of announcements", |a, call, now, out| {
            if !matches!(call, Call::Announcement(..)) {
                call.apply(a, now, out);
            }
        }),
        (
            "counts an announcement as the barrier",
            |a, call, now, out| match call {
                Call::Announcement(channel, barrier) => a.on_barrier(channel, barrier, now, out),
                _ => call.apply(a, now, out),
            },
        ),
        (
            "lets an announcement end an aligned checkpoint",
            |a, call, now, out| {
                if let (Call::Announcement(_, barrier), [pending]) = (call, &a.pending()[..])
                    && barrier.checkpoint > *pending
                {
                    a.on_abort(*pending, now, out);
                }
                call.apply(a, now, out);
            },
        ),
        (
            "completes before the channel state is whole",
            |a, call, now, out| {
                tamper((a, call, now, out), |out| {
                    if let Some(&Record { checkpoint, .. }) = out.iter().find(|action| is_record(action)) {
                        out.push(Complete { checkpoint });
                    }
                });
            },
        ),
        ("never completes", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                out.retain(|action| !matches!(action, Complete { .. }));
            });
        }),
        ("does not drop what was recorded in vain", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                out.retain(|action| !matches!(action, DropRecording { .. }));
            });
        }),
        ("sends a cancel marker after the barrier", |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                let dropped = out
                    .iter()
                    .position(|action| matches!(action, DropRecording { .. }));
                if let Some(at) = dropped
                    && let DropRecording { checkpoint } = out[at]
                {
                    out.insert(at + 1, ForwardCancel(checkpoint));
                }
            });
        }),
        (
            "gives a recorded checkpoint up in silence",
            |a, call, now, out| {
                tamper((a, call, now, out), |out| {
                    if has(out, |action| matches!(action, DropRecording { .. })) {
                        out.retain(|action| !matches!(action, Decline { .. }));
                    }
                });
            },
        ),
        (
            "does not let an end stand in while it records",
            |a, call, now, out| {
                let is_end = matches!(call, Call::End(_));
                tamper((a, call, now, out), |out| {
                    if is_end {
                        out.retain(|action| !matches!(action, StopRecording { .. } | Complete { .. }));
                    }
                });
            },
        ),
    ];
    for (what, fault) in doubles {
        assert!(
            complaint(*fault).is_some(),
            "nobody noticed an aligner that {what}"
        );
    }
}

/// The records and the channel ends tell it even to someone who has no idea of what has to be decided.
#[test]
fn an_aligner_that_records_wrongly_is_found_by_its_records() {
    let doubles: [Fault; 4] = [
        |a, call, now, out| tamper((a, call, now, out), |out| out.retain(|action| !is_record(action))),
        |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                out.retain(|action| !matches!(action, StopRecording { .. }));
            });
        },
        |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                out.retain(|action| !matches!(action, Block(_)))
            });
        },
        |a, call, now, out| {
            tamper((a, call, now, out), |out| {
                if let Some(&Record { checkpoint, .. }) = out.iter().find(|action| is_record(action)) {
                    out.push(Complete { checkpoint });
                }
            });
        },
    ];
    for (index, fault) in doubles.into_iter().enumerate() {
        let found = plans().iter().find_map(|plan| {
            let flaw = |gate: &Gate<'_, Broken>| gate.flaw.clone().map_or(Ok(()), Err);
            explore_with(&Broken::new(plan, fault), Hold::WhenBlocked, plan, flaw).err()
        });
        let flaw = found.unwrap_or_else(|| panic!("double {index} was not found"));
        let evidence = [" holds ", "its cut is after"];
        assert!(evidence.iter().any(|part| flaw.contains(part)), "{flaw}");
    }
}

/// It takes the snapshot, and lets barriers overtake, without waiting for the forced channel.
#[test]
fn an_aligner_that_forgets_its_forced_channels_is_found() {
    let forgetful = |plan: &Plan| BarrierAligner::new(plan.channels(), plan.rule);
    let forced = plans().into_iter().filter(|plan| !plan.forced.is_empty());
    let found = forced.map(|plan| explore(&forgetful(&plan), Hold::AtBarrier, &plan).is_err());
    assert_eq!(found.collect::<Vec<_>>(), [true, true]);
}

/// Nobody would call [`BarrierHandler::on_time`].
#[test]
fn an_aligner_without_a_deadline_is_found() {
    let inputs = [vec![Element::Barrier(1)], vec![Element::Data(1)]];
    let plan = Plan {
        clock: vec![TIMEOUT + 1],
        ..Plan::new(&inputs, &[with_timeout()])
    };
    let timeless = Broken {
        deadline: |_| None,
        ..Broken::new(&plan, |aligner, call, now, out| call.apply(aligner, now, out))
    };
    let found = explore(&timeless, Hold::WhenBlocked, &plan);
    assert!(found.unwrap_err().starts_with("1 did not ask for the time"));
}
