//! Scripts in the notation of the scenario list, run directly against a handler.
//!
//! Events: `d0` a record on channel 0, `b1@0` barrier 1, `c1@0` cancel marker 1, `eop@0` the end,
//! `abort1` the coordinator aborts 1, `+5` the clock advances by 5 ms.
//!
//! Behind each event stands all that it leads to: `T1` a snapshot of 1 (`T1~5` after 5 ms of
//! alignment), `A1(why)` decline and cancel marker of 1, `F1` its cancel marker alone. Then, where
//! the case wants it: `B={0,1}` the blocked channels, `latest=1`, `open=2`, `pending=[1,2]`,
//! `waits(1)=[0]`.

use crate::gate::barrier;
use snapline_barrier::{AlignmentAction, BarrierHandler, ChannelIndex, DeclineReason};
use snapline_core::{CheckpointId, Timestamp};
use std::collections::{BTreeSet, VecDeque};

/// Runs a script and tells at which word the handler did something else.
pub(crate) fn run(handler: &mut dyn BarrierHandler, script: &str) -> Result<(), String> {
    let mut runner = Runner {
        handler,
        now: Timestamp(0),
        blocked: BTreeSet::new(),
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
    now: Timestamp,
    blocked: BTreeSet<u32>,
    /// What the last event led to and no word has asked for yet.
    led_to: VecDeque<String>,
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
        if word.starts_with(['T', 'A', 'F']) {
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
            "open" => self.handler.open_channels().to_string(),
            "pending" => ids(self
                .handler
                .pending()
                .iter()
                .map(|checkpoint| checkpoint.0)
                .collect()),
            _ => {
                let id = name.strip_prefix("waits(").unwrap().strip_suffix(')').unwrap();
                let missing = self.handler.waiting_for(CheckpointId(number(id)));
                ids(missing.iter().map(|channel| u64::from(channel.0)).collect())
            }
        }
    }

    fn event(&mut self, word: &str) -> Result<(), String> {
        let (now, mut out) = (self.now, Vec::new());
        if let Some(millis) = word.strip_prefix('+') {
            self.now = now.plus_millis(number(millis));
        } else if let Some(id) = word.strip_prefix("abort") {
            self.handler.on_abort(CheckpointId(number(id)), now, &mut out);
        } else if let Some((what, channel)) = word.split_once('@') {
            let channel = ChannelIndex(number(channel));
            match what.split_at(1) {
                ("b", id) => self
                    .handler
                    .on_barrier(channel, barrier(number(id)), now, &mut out),
                ("c", id) => self
                    .handler
                    .on_cancel(channel, CheckpointId(number(id)), now, &mut out),
                _ if what == "eop" => {
                    self.blocked.remove(&channel.0);
                    self.handler.on_end_of_input(channel, now, &mut out);
                }
                _ => return Err("unknown event".to_owned()),
            }
        } else {
            let channel = number(word.strip_prefix('d').unwrap());
            if self.blocked.contains(&channel) {
                return Err("the channel is blocked".to_owned());
            }
        }
        self.note(&out);
        Ok(())
    }

    fn note(&mut self, actions: &[AlignmentAction]) {
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
                AlignmentAction::Complete { .. } => continue,
                AlignmentAction::Snapshot { barrier, alignment } if alignment.is_zero() => {
                    format!("T{}", barrier.checkpoint)
                }
                AlignmentAction::Snapshot { barrier, alignment } => {
                    format!("T{}~{}", barrier.checkpoint, alignment.as_millis())
                }
                AlignmentAction::Decline { checkpoint, reason } => {
                    declined = Some((checkpoint, reason));
                    continue;
                }
                AlignmentAction::ForwardCancel(checkpoint) => match declined.take() {
                    Some((same, DeclineReason::Subsumed { .. })) if same == checkpoint => {
                        format!("A{checkpoint}(subsumed)")
                    }
                    Some((same, DeclineReason::Cancelled)) if same == checkpoint => {
                        format!("A{checkpoint}(cancel)")
                    }
                    Some((same, DeclineReason::EndOfInput)) if same == checkpoint => {
                        format!("A{checkpoint}(end)")
                    }
                    None => format!("F{checkpoint}"),
                    Some(other) => format!("marker {checkpoint} after the decline of {other:?}"),
                },
                other => format!("{other:?}"),
            };
            self.led_to.push_back(word);
        }
        if let Some(declined) = declined {
            self.led_to
                .push_back(format!("a decline without a marker: {declined:?}"));
        }
    }
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().ok().unwrap()
}
