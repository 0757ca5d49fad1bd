//! Scripts in the notation of the scenario list, run against a handler and a recorder.
//!
//! Events: `d0a` record `a` on channel 0 is processed (`d0` one without a name), `q0a` it is queued;
//! `b1@0` barrier 1 is delivered, `u1@0` one that is unaligned, `s1@0` that of a savepoint; `ann1@0` and
//! `uann1@0` such a barrier is queued and announced; `c1@0` cancel marker 1, `eop@0` the end; `abort1` the
//! coordinator aborts 1, `new1` it creates 1 now and not at 0; `+5` the clock advances by 5 ms, `time` the
//! handler is told the time.
//!
//! Behind each event stands all that it leads to: `T1` a snapshot of 1 that is complete (`T1~5` after
//! 5 ms of alignment), `U1` one that goes on as unaligned and is not complete, `C1` that it is; `P0` the
//! barrier on channel 0 is to overtake; `A1(why)` decline and cancel marker of 1, `F1` its cancel marker
//! alone; `D1(why)` decline and end of the recording, `X1` that end alone. Then, where the case wants it:
//! `B={0,1}` the blocked channels, `latest=1`, `open=2`, `pending=[1,2]`, `waits(1)=[0]`, `due=100` the
//! deadline, `F(1)=[0a]` the channel state of 1, and that is all of it.

use crate::gate::barrier;
use snapline_barrier::{AlignmentAction, BarrierHandler, ChannelIndex, ChannelStateRecorder, DeclineReason};
use snapline_core::{BarrierAlignment, BarrierOptions, CheckpointBarrier, CheckpointId};
use snapline_core::{CheckpointKind, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Runs a script with aligned barriers and tells at which word the handler did something else.
pub(crate) fn run(handler: &mut dyn BarrierHandler, script: &str) -> Result<(), String> {
    run_as(handler, BarrierAlignment::Aligned, script)
}

/// Runs a script in which `b1@0` and `ann1@0` are to be aligned like this.
pub(crate) fn run_as(
    handler: &mut dyn BarrierHandler,
    alignment: BarrierAlignment,
    script: &str,
) -> Result<(), String> {
    let mut runner = Runner {
        handler,
        alignment,
        now: Timestamp(0),
        created: BTreeMap::new(),
        blocked: BTreeSet::new(),
        channels: BTreeMap::new(),
        recorder: ChannelStateRecorder::new(),
        captured: BTreeMap::new(),
        led_to: VecDeque::new(),
    };
    for (index, word) in script.split_whitespace().enumerate() {
        let word = word.trim_end_matches(',');
        runner
            .word(word)
            .map_err(|error| format!("{error}, at word {index} {word:?} of: {script}"))?;
    }
    runner.nothing_left()
}

struct Runner<'a> {
    handler: &'a mut dyn BarrierHandler,
    alignment: BarrierAlignment,
    now: Timestamp,
    created: BTreeMap<u64, Timestamp>,
    blocked: BTreeSet<u32>,
    channels: BTreeMap<u32, Channel>,
    recorder: ChannelStateRecorder<String>,
    /// The channel state of complete checkpoints.
    captured: BTreeMap<u64, Vec<String>>,
    /// What the last event led to and no word has asked for yet.
    led_to: VecDeque<String>,
}

#[derive(Default)]
struct Channel {
    queue: VecDeque<Queued>,
    sent: u64,
    is_prioritized: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Queued {
    Record(u64, String),
    Barrier(u64),
}

impl Runner<'_> {
    fn word(&mut self, word: &str) -> Result<(), String> {
        if let Some((name, value)) = word.split_once('=') {
            self.nothing_left()?;
            let actual = self.state(name);
            return if actual == value {
                Ok(())
            } else {
                Err(format!("{name} is {actual}"))
            };
        }
        if word.starts_with(char::is_uppercase) {
            let actual = self.led_to.pop_front();
            return if actual.as_deref() == Some(word) {
                Ok(())
            } else {
                Err(format!("got {actual:?}"))
            };
        }
        self.nothing_left()?;
        self.event(word)
    }

    fn nothing_left(&self) -> Result<(), String> {
        if self.led_to.is_empty() {
            Ok(())
        } else {
            Err(format!("got also {:?}", self.led_to))
        }
    }

    fn state(&self, name: &str) -> String {
        let ids = |ids: Vec<u64>| format!("{ids:?}").replace(' ', "");
        match name {
            "B" => format!("{:?}", self.blocked).replace(' ', ""),
            "latest" => self.handler.latest().to_string(),
            "due" => self
                .handler
                .deadline()
                .map_or_else(|| "none".to_owned(), |due| due.0.to_string()),
            "open" => self.handler.open_channels().to_string(),
            "pending" => ids(self
                .handler
                .pending()
                .iter()
                .map(|checkpoint| checkpoint.0)
                .collect()),
            _ if name.starts_with('F') => {
                let id = name.strip_prefix("F(").unwrap().strip_suffix(')').unwrap();
                let captured = self.captured.get(&number::<u64>(id));
                captured.map_or_else(
                    || "nothing".to_owned(),
                    |records| format!("[{}]", records.join(",")),
                )
            }
            _ => {
                let id = name.strip_prefix("waits(").unwrap().strip_suffix(')').unwrap();
                let missing = self.handler.waiting_for(CheckpointId(number(id)));
                ids(missing.iter().map(|channel| u64::from(channel.0)).collect())
            }
        }
    }

    fn event(&mut self, word: &str) -> Result<(), String> {
        let (now, mut out) = (self.now, Vec::new());
        let mut overtaken = Vec::new();
        if let Some(millis) = word.strip_prefix('+') {
            self.now = now.plus_millis(number(millis));
        } else if word == "time" {
            self.handler.on_time(now, &mut out);
        } else if let Some(id) = word.strip_prefix("new") {
            self.created.insert(number(id), now);
        } else if let Some(id) = word.strip_prefix("abort") {
            self.handler.on_abort(CheckpointId(number(id)), now, &mut out);
        } else if let Some((what, channel)) = word.split_once('@') {
            let at: u32 = number(channel);
            let channel = ChannelIndex(at);
            let digits = what.find(|c: char| c.is_ascii_digit()).unwrap_or(what.len());
            match what.split_at(digits) {
                (kind @ ("b" | "u" | "s"), id) => {
                    overtaken = self.deliver(at, number(id))?;
                    let barrier = self.barrier(kind, number(id));
                    self.handler.on_barrier(channel, barrier, now, &mut out);
                }
                (kind @ ("ann" | "uann"), id) => {
                    let queue = &mut self.channels.entry(at).or_default().queue;
                    queue.push_back(Queued::Barrier(number(id)));
                    let barrier = self.barrier(kind, number(id));
                    self.handler.on_announcement(channel, barrier, now, &mut out);
                }
                ("c", id) => self
                    .handler
                    .on_cancel(channel, CheckpointId(number(id)), now, &mut out),
                ("eop", "") => {
                    self.blocked.remove(&at);
                    self.handler.on_end_of_input(channel, now, &mut out);
                }
                _ => return Err("unknown event".to_owned()),
            }
        } else {
            self.record(word)?;
        }
        self.note(&out, &overtaken)
    }

    fn barrier(&self, kind: &str, id: u64) -> CheckpointBarrier {
        let (kind, alignment) = match kind {
            "s" => (CheckpointKind::Savepoint, BarrierAlignment::Aligned),
            "u" | "uann" => (CheckpointKind::Checkpoint, BarrierAlignment::Unaligned),
            _ => (CheckpointKind::Checkpoint, self.alignment),
        };
        CheckpointBarrier {
            created: self.created.get(&id).copied().unwrap_or(Timestamp(0)),
            options: BarrierOptions {
                kind,
                alignment,
                base: None,
            },
            ..barrier(id)
        }
    }

    /// Queues or processes a record. What is queued is processed first.
    fn record(&mut self, word: &str) -> Result<(), String> {
        let (what, at) = word.split_at(1);
        let (at, name) = at.split_at(1);
        let at: u32 = number(at);
        let channel = self.channels.entry(at).or_default();
        let name = format!("{at}{name}");
        if what == "q" || channel.queue.is_empty() {
            channel
                .queue
                .push_back(Queued::Record(channel.sent, name.clone()));
            channel.sent += 1;
        }
        if what == "q" {
            return Ok(());
        }
        if self.blocked.contains(&at) || channel.is_prioritized {
            return Err("it is not the turn of the channel".to_owned());
        }
        match channel.queue.pop_front() {
            Some(Queued::Record(seq, first)) if first == name => {
                self.recorder.on_batch(ChannelIndex(at), seq, || name.clone());
                Ok(())
            }
            other => Err(format!("{other:?} comes first")),
        }
    }

    /// Takes a barrier off its queue and returns what it overtook.
    fn deliver(&mut self, at: u32, id: u64) -> Result<Vec<(u64, String)>, String> {
        let channel = self.channels.entry(at).or_default();
        let is_prioritized = std::mem::take(&mut channel.is_prioritized);
        let is_this = |queued: &Queued| *queued == Queued::Barrier(id);
        match channel.queue.iter().position(is_this) {
            Some(place) => {
                if place > 0 && !is_prioritized {
                    return Err("the barrier is not to overtake".to_owned());
                }
                channel.queue.remove(place);
                let overtaken = channel.queue.iter().take(place);
                Ok(overtaken
                    .filter_map(|queued| match queued {
                        Queued::Record(seq, name) => Some((*seq, name.clone())),
                        Queued::Barrier(_) => None,
                    })
                    .collect())
            }
            None if channel.queue.is_empty() => Ok(Vec::new()),
            None => Err("something else is queued".to_owned()),
        }
    }

    fn note(&mut self, actions: &[AlignmentAction], overtaken: &[(u64, String)]) -> Result<(), String> {
        let mut declined = None;
        for action in actions {
            let word = match *action {
                AlignmentAction::Block(channel) => {
                    self.blocked.insert(channel.0);
                    continue;
                }
                AlignmentAction::Unblock(channel) => {
                    self.blocked.remove(&channel.0);
                    continue;
                }
                AlignmentAction::Prioritize(channel) => {
                    self.channels.entry(channel.0).or_default().is_prioritized = true;
                    format!("P{channel}")
                }
                AlignmentAction::Record { checkpoint, channel } => {
                    let started = self.recorder.start(checkpoint, channel);
                    started.map_err(|late| late.to_string())?;
                    continue;
                }
                AlignmentAction::StopRecording { checkpoint, channel } => {
                    for (seq, name) in overtaken {
                        self.recorder
                            .on_overtaken(checkpoint, channel, *seq, name.clone());
                    }
                    self.recorder.stop(checkpoint, channel);
                    continue;
                }
                AlignmentAction::Complete { checkpoint } => match self.complete(checkpoint) {
                    Some(word) => word,
                    None => continue,
                },
                AlignmentAction::Snapshot { barrier, alignment } => self.snapshot(barrier, alignment),
                AlignmentAction::Decline { checkpoint, reason } => {
                    declined = Some((checkpoint, reason));
                    continue;
                }
                AlignmentAction::ForwardCancel(checkpoint) => {
                    given_up(checkpoint, declined.take(), ["A", "F"])
                }
                AlignmentAction::DropRecording { checkpoint } => {
                    self.recorder.drop(checkpoint);
                    given_up(checkpoint, declined.take(), ["D", "X"])
                }
            };
            self.led_to.push_back(word);
        }
        match declined {
            Some(declined) => Err(format!("a decline without a marker: {declined:?}")),
            None => Ok(()),
        }
    }

    /// Not complete until [`Self::complete`] says so.
    fn snapshot(&self, barrier: CheckpointBarrier, alignment: std::time::Duration) -> String {
        let CheckpointBarrier {
            checkpoint, options, ..
        } = barrier;
        let time = match alignment.as_millis() {
            0 => String::new(),
            millis => format!("~{millis}"),
        };
        let unexpected = match options.alignment {
            BarrierAlignment::Unaligned => "",
            _ if options.kind == CheckpointKind::Savepoint => "(as it came)",
            alignment if alignment == self.alignment => "(as it came)",
            _ => "(otherwise)",
        };
        format!("U{checkpoint}{time}{unexpected}")
    }

    fn complete(&mut self, checkpoint: CheckpointId) -> Option<String> {
        let recorded = self.recorder.take(checkpoint).into_iter();
        let records = recorded.flat_map(|recorded| recorded.batches.into_iter().map(|(_, name)| name));
        self.captured.insert(checkpoint.0, records.collect());
        let is_own = |word: &&mut String| {
            let rest = word.strip_prefix(&format!("U{checkpoint}"));
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let Some(snapshot) = self.led_to.iter_mut().find(is_own) else {
            return Some(format!("C{checkpoint}"));
        };
        let is_unaligned = self.alignment == BarrierAlignment::Unaligned;
        *snapshot = match snapshot.strip_suffix("(as it came)") {
            Some(expected) => expected.replacen('U', "T", 1),
            None if is_unaligned => snapshot.replacen('U', "T", 1),
            None => format!("{snapshot} is complete"),
        };
        None
    }
}

/// The word for a checkpoint that was declined, or else for one that was not.
fn given_up(
    checkpoint: CheckpointId,
    declined: Option<(CheckpointId, DeclineReason)>,
    [with_decline, alone]: [&str; 2],
) -> String {
    let Some((same, reason)) = declined else {
        return format!("{alone}{checkpoint}");
    };
    let why = match reason {
        DeclineReason::Subsumed { .. } => "subsumed",
        DeclineReason::Cancelled => "cancel",
        _ => "end",
    };
    if same == checkpoint {
        format!("{with_decline}{checkpoint}({why})")
    } else {
        format!("{checkpoint} is given up after the decline of {same}")
    }
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().ok().unwrap()
}
