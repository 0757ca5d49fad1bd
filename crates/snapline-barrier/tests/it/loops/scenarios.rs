//! The scenarios of a loop head, as data.
//!
//! Events: `x@e` a record on channel `e`, `b1@r` barrier 1, `u1@r` the same unaligned, `c1@r` cancel marker 1, `eop@r` the end,
//! `announce1@e` barrier 1 is queued, `abort1` the coordinator aborts 1, `trigger1` it triggers 1 here.
//!
//! The trace: `T1(xy)` a snapshot of 1 after x and y, `C1[e:xy]` its log is whole, `F1` a cancel
//! marker goes out, `D1` the checkpoint is declined, `X1` its log is dropped, `P(e)` the barrier
//! of e may overtake, `hold(e)` and `go(e)`.

use crate::gate::barrier;
use snapline_barrier::{
    AlignmentAction, BarrierAligner, BarrierHandler, BarrierTracker, ChannelIndex, EndOfInputRule, LoopHead,
};
use snapline_core::{BarrierAlignment, CheckpointBarrier, CheckpointId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Label, regular inputs, back edges, events, trace.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const EXACTLY_ONCE: &[Case] = &[
    ("L-01", "r", "e", "b1@r x@e y@e b1@e z@e", "T1() C1[e:xy]"),
    ("L-03", "r", "e", "x@e b1@r b1@e", "T1(x) C1[e:]"),
    (
        "L-04",
        "rs",
        "e",
        "b1@r x@e b1@s y@e b1@e",
        "hold(r) T1(x) go(r) C1[e:y]",
    ),
    ("no back edge is open", "r", "e", "eop@e x@r b1@r", "T1(x) C1[]"),
    ("no back edge at all", "r", "", "b1@r", "T1() C1[]"),
    (
        "two back edges",
        "r",
        "ef",
        "b1@r x@e y@f b1@f z@f w@e b1@e v@e",
        "T1() C1[e:xw f:y]",
    ),
    (
        "L-09, the next one is cancelled",
        "r",
        "e",
        "b1@r x@e c2@r y@e b1@e c2@e",
        "T1() D1 X1 D2 F2",
    ),
    (
        "L-09, by its own number",
        "r",
        "e",
        "b1@r x@e c1@r y@e b1@e",
        "T1() D1 X1",
    ),
    (
        "cancelled inside the loop",
        "r",
        "e",
        "b1@r x@e c1@e y@e",
        "T1() D1 X1",
    ),
    (
        "cancelled on one back edge",
        "r",
        "ef",
        "b1@r b1@e c1@f",
        "T1() D1 X1",
    ),
    (
        "cancelled before the cut",
        "r",
        "e",
        "x@e c1@r y@e c1@e b2@r z@e b2@e",
        "D1 F1 T2(xy) C2[e:z]",
    ),
    (
        "aborted while logging",
        "r",
        "e",
        "b1@r x@e abort1 y@e b1@e b2@r b2@e",
        "T1() X1 T2(xy) C2[e:]",
    ),
    ("aborted before the cut", "r", "e", "abort1 b1@r x@e c1@e", "F1"),
    ("aborted when whole", "r", "e", "b1@r b1@e abort1", "T1() C1[e:]"),
    (
        "two logs at a time",
        "r",
        "e",
        "b1@r x@e b2@r y@e b1@e z@e b2@e",
        "T1() T2(x) C1[e:xy] C2[e:yz]",
    ),
    (
        "the older log is aborted",
        "r",
        "e",
        "b1@r x@e b2@r abort1 y@e b1@e b2@e",
        "T1() T2(x) X1 C2[e:y]",
    ),
    (
        "the body skipped 1",
        "r",
        "e",
        "b1@r x@e b2@r y@e b2@e",
        "T1() T2(x) D1 X1 C2[e:y]",
    ),
    (
        "the body gave 2 up and skipped 1",
        "r",
        "e",
        "b1@r x@e b2@r y@e c2@e",
        "T1() T2(x) D1 X1 D2 X2",
    ),
    (
        "ends while logging",
        "rs",
        "e",
        "b1@r x@e eop@s y@e eop@r b1@e",
        "hold(r) T1(x) go(r) C1[e:y]",
    ),
    (
        "the back edge ends while logging",
        "r",
        "ef",
        "b1@r x@e eop@e y@f b1@f",
        "T1() C1[e:x f:y]",
    ),
    (
        "all end while logging",
        "r",
        "e",
        "b1@r x@e eop@r eop@e",
        "T1() C1[e:x]",
    ),
    ("L-10", "r", "e", "b1@r eop@r b1@e", "T1() C1[e:]"),
    (
        "triggered when nothing is open",
        "r",
        "e",
        "eop@r x@e trigger1 y@e b1@e",
        "T1(x) C1[e:y]",
    ),
    (
        "not triggered before",
        "r",
        "e",
        "trigger1 x@e b1@r b1@e",
        "T1(x) C1[e:]",
    ),
    ("L-15", "r", "e", "x@e b1@e b1@r y@e", "hold(e) T1(x) C1[] go(e)"),
    (
        "L-15, one of two early",
        "r",
        "ef",
        "b1@e x@f b1@r y@f b1@f",
        "hold(e) T1(x) go(e) C1[f:y]",
    ),
    (
        "L-15, cancelled",
        "r",
        "e",
        "b1@e c1@r x@e",
        "hold(e) D1 F1 go(e)",
    ),
    (
        "L-15, no cut will come",
        "r",
        "e",
        "b1@e eop@r x@e",
        "hold(e) go(e)",
    ),
    (
        "L-15, subsumed",
        "rs",
        "e",
        "b1@r b1@e b2@s x@e b2@r y@e b2@e",
        "hold(r) hold(e) D1 F1 go(r) hold(s) go(e) T2(x) go(s) C2[e:y]",
    ),
    (
        "the barrier is behind batches",
        "r",
        "e",
        "announce1@e b1@r announce1@e b1@e announce1@e",
        "T1() P(e) C1[e:]",
    ),
    (
        "late markers",
        "r",
        "e",
        "b2@r b2@e b1@e c1@e x@e b2@e c2@e",
        "T2() C2[e:]",
    ),
];

/// Barriers that overtake on the regular inputs.
const UNALIGNED: &[Case] = &[
    (
        "two inputs",
        "rs",
        "e",
        "u1@r x@s y@e u1@e z@e u1@s w@s",
        "T1() C1[s:x e:y]",
    ),
    (
        "the loop is slower",
        "rs",
        "e",
        "u1@r x@s y@e u1@s z@e u1@e",
        "T1() C1[s:x e:yz]",
    ),
    (
        "given up outside",
        "rs",
        "e",
        "u1@r x@s y@e c1@s u1@e",
        "T1() D1 X1",
    ),
    ("given up inside", "rs", "e", "u1@r x@s c1@e u1@s", "T1() D1 X1"),
    ("aborted", "rs", "e", "u1@r x@s y@e abort1 u1@e u1@s", "T1() X1"),
    (
        "subsumed",
        "rs",
        "e",
        "u1@r x@s y@e u2@s u2@r z@e u2@e",
        "T1() D1 X1 T2(xy) C2[r: e:z]",
    ),
];

/// The at-least-once rule for the regular inputs, which blocks nothing. The log is as exact.
const AT_LEAST_ONCE: &[Case] = &[
    ("L-01", "r", "e", "b1@r x@e y@e b1@e", "T1() C1[e:xy]"),
    ("L-04", "rs", "e", "b1@r x@e d@r b1@s y@e b1@e", "T1(xd) C1[e:y]"),
    (
        "cancelled",
        "rs",
        "e",
        "b1@r b1@s x@e b2@r c2@s c2@e",
        "T1() D1 X1 D2 F2",
    ),
    ("aborted", "r", "e", "b1@r x@e abort1 b1@e", "T1() X1"),
];

struct Script<H> {
    head: LoopHead<H>,
    names: Vec<char>,
    state: String,
    held: BTreeSet<ChannelIndex>,
    logs: BTreeMap<(CheckpointId, ChannelIndex), String>,
    /// The logs into which records still go.
    open: BTreeSet<(CheckpointId, ChannelIndex)>,
    trace: Vec<String>,
}

impl<H: BarrierHandler> Script<H> {
    fn event(&mut self, event: &str) {
        let (what, channel) = event.split_once('@').unwrap_or((event, "?"));
        let channel = self.names.iter().position(|name| channel.starts_with(*name));
        let channel = ChannelIndex(u32::try_from(channel.unwrap_or(0)).unwrap());
        let (word, id) = what.split_at(what.find(char::is_numeric).unwrap_or(what.len()));
        let (id, now) = (id.parse().unwrap_or(0), Timestamp(0));
        let (head, mut out) = (&mut self.head, Vec::new());
        match word {
            "trigger" => head.on_trigger(barrier(id), now, &mut out),
            "announce" => head.on_announcement(channel, barrier(id), now, &mut out),
            "abort" => head.on_abort(CheckpointId(id), now, &mut out),
            "eop" => head.on_end_of_input(channel, now, &mut out),
            "u" if id > 0 => head.on_barrier(channel, unaligned(id), now, &mut out),
            "b" if id > 0 => head.on_barrier(channel, barrier(id), now, &mut out),
            "c" if id > 0 => head.on_cancel(channel, CheckpointId(id), now, &mut out),
            record => self.data(record, channel),
        }
        out.into_iter().for_each(|action| self.carry_out(action));
        let waits = |(id, k): &(CheckpointId, ChannelIndex)| self.head.waiting_for(*id).contains(k);
        assert!(self.open.iter().all(waits), "nobody waits for a log: {event}");
    }

    fn data(&mut self, record: &str, channel: ChannelIndex) {
        assert!(!self.held.contains(&channel), "{record} is behind a held barrier");
        self.state.push_str(record);
        for log in self.open.iter().filter(|(_, of)| *of == channel) {
            self.logs.get_mut(log).unwrap().push_str(record);
        }
    }

    fn carry_out(&mut self, action: AlignmentAction) {
        let name = |channel: ChannelIndex| self.names[channel.as_usize()];
        let word = match action {
            AlignmentAction::Block(channel) => self
                .held
                .insert(channel)
                .then(|| format!("hold({})", name(channel))),
            AlignmentAction::Unblock(channel) => self
                .held
                .remove(&channel)
                .then(|| format!("go({})", name(channel))),
            AlignmentAction::Snapshot { barrier, .. } => {
                Some(format!("T{}({})", barrier.checkpoint, self.state))
            }
            AlignmentAction::Prioritize(channel) => Some(format!("P({})", name(channel))),
            AlignmentAction::Record { checkpoint, channel } => {
                self.open.insert((checkpoint, channel));
                self.logs.insert((checkpoint, channel), String::new());
                None
            }
            AlignmentAction::StopRecording { checkpoint, channel } => {
                assert!(self.open.remove(&(checkpoint, channel)), "stopped twice");
                None
            }
            AlignmentAction::Complete { checkpoint } => {
                assert!(
                    self.open.iter().all(|(of, _)| *of != checkpoint),
                    "a log is still open"
                );
                let log = self.logs.iter().filter(|((of, _), _)| *of == checkpoint);
                let log: Vec<String> = log.map(|((_, k), log)| format!("{}:{log}", name(*k))).collect();
                self.logs.retain(|(of, _), _| *of != checkpoint);
                Some(format!("C{checkpoint}[{}]", log.join(" ")))
            }
            AlignmentAction::DropRecording { checkpoint } => {
                self.open.retain(|(of, _)| *of != checkpoint);
                self.logs.retain(|(of, _), _| *of != checkpoint);
                Some(format!("X{checkpoint}"))
            }
            AlignmentAction::Decline { checkpoint, .. } => Some(format!("D{checkpoint}")),
            AlignmentAction::ForwardCancel(checkpoint) => Some(format!("F{checkpoint}")),
        };
        self.trace.extend(word);
    }
}

fn unaligned(checkpoint: u64) -> CheckpointBarrier {
    let mut barrier = barrier(checkpoint);
    barrier.options.alignment = BarrierAlignment::Unaligned;
    barrier
}

fn check<H: BarrierHandler>(cases: &[Case], handler: fn(u32) -> H) {
    for (label, regular, back, events, expected) in cases {
        let names: Vec<char> = regular.chars().chain(back.chars()).collect();
        let channels = u32::try_from(names.len()).unwrap();
        let back_edges = u32::try_from(regular.len()).unwrap()..channels;
        let head = LoopHead::new(handler(channels), back_edges.map(ChannelIndex));
        assert_eq!(
            (head.open_channels(), head.open_inputs()),
            (names.len(), regular.len())
        );
        let mut script = Script {
            head,
            names,
            state: String::new(),
            held: BTreeSet::new(),
            logs: BTreeMap::new(),
            open: BTreeSet::new(),
            trace: Vec::new(),
        };
        events.split_whitespace().for_each(|event| script.event(event));
        assert_eq!(script.trace.join(" "), *expected, "{label}: {events}");
        assert_eq!(script.head.pending(), [], "{label}: {events}");
    }
}

#[test]
fn a_loop_head_aligns_its_regular_inputs_and_logs_its_back_edges() {
    check(EXACTLY_ONCE, |channels| {
        BarrierAligner::new(channels, EndOfInputRule::StandsIn)
    });
}

#[test]
fn a_loop_head_records_what_its_regular_barriers_overtake_and_its_back_edges() {
    check(UNALIGNED, |channels| {
        BarrierAligner::new(channels, EndOfInputRule::StandsIn)
    });
}

#[test]
fn a_loop_head_that_blocks_nothing_logs_its_back_edges() {
    check(AT_LEAST_ONCE, |channels| {
        BarrierTracker::new(channels, EndOfInputRule::StandsIn)
    });
}
