//! The oracle: says from the definitions what has to be decided at which step, by looking at the
//! whole history. It knows no phases; when a checkpoint is taken and how it ends it finds by search.

use super::gate::{Event, Gate, Step};
use super::plan::{Plan, channel};
use crate::gate::Element;
use snapline_barrier::{AlignmentAction, BarrierHandler, DeclineReason, EndOfInputRule};
use snapline_core::{BarrierAlignment, CheckpointId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Judges a gate where nothing moves any more.
pub(super) fn judge<H: BarrierHandler>(gate: &Gate<'_, H>, plan: &Plan) -> Result<(), String> {
    if let Some(flaw) = &gate.flaw {
        return Err(flaw.clone());
    }
    let mut first = HashMap::new();
    for (at, step) in gate.steps.iter().enumerate() {
        first.entry(step.event).or_insert(at);
    }
    let history = History {
        plan,
        steps: &gate.steps,
        first,
    };
    history.check_order()?;
    let lives = history.lives();
    history.check_decisions(&lives)?;
    history.check_blocked(&lives)?;
    history.check_end(gate, &lives)
}

/// What can be observed of a decision, in a form that can be sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Decision {
    Decline(u64, Why),
    ForwardCancel(u64),
    /// With the alignment time, and whether it is forwarded as unaligned.
    Snapshot(u64, Duration, bool),
    Record(u64, usize),
    Prioritize(usize),
    StopRecording(u64, usize),
    Complete(u64),
    DropRecording(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Subsumed(u64),
    Cancelled,
    Ended,
}

/// How a checkpoint is disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disturbance {
    Declined(Why),
    /// A newer cancel marker: the coordinator is told only if the snapshot is taken.
    Replaced(u64),
    ByCoordinator,
}

/// A checkpoint that was started, as indices of steps.
#[derive(Debug, Clone, Copy)]
struct Life {
    id: u64,
    start: usize,
    /// When it is taken without waiting for all.
    overtakes: Option<usize>,
    completes: Option<usize>,
    disturbed: Option<(usize, Disturbance)>,
}

impl Life {
    fn end(&self) -> usize {
        let disturbed = self.disturbed.map(|(at, _)| at);
        [self.completes, disturbed]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(usize::MAX)
    }

    /// Whether channels are held up after this step.
    fn blocks_after(&self, step: usize) -> bool {
        (self.start..self.end()).contains(&step) && self.overtakes.is_none_or(|at| step < at)
    }
}

struct History<'a> {
    plan: &'a Plan,
    steps: &'a [Step],
    /// When each event happened first.
    first: HashMap<Event, usize>,
}

impl History<'_> {
    fn channels(&self) -> std::ops::Range<usize> {
        0..self.plan.inputs.len()
    }

    fn happened(&self, event: Event, by: usize) -> bool {
        self.first.get(&event).is_some_and(|&at| at <= by)
    }

    fn delivered(&self, k: usize, id: u64, by: usize) -> bool {
        self.happened(Event::Took(k, Element::Barrier(id)), by)
    }

    fn missing(&self, id: u64, at: usize) -> BTreeSet<usize> {
        let is_in = |k| self.delivered(k, id, at) || self.happened(Event::Took(k, Element::End), at);
        self.channels().filter(|&k| !is_in(k)).collect()
    }

    /// Announced barriers that are still queued after this step.
    fn queued(&self, at: usize) -> BTreeSet<(u64, usize)> {
        let ids = self.steps[..=at].iter().filter_map(|step| match step.event {
            Event::Announced(k, id) => Some((id, k)),
            _ => None,
        });
        ids.filter(|&(id, k)| !self.delivered(k, id, at)).collect()
    }

    /// All checkpoints that were started, or given up the moment they would have been (`None`).
    fn lives(&self) -> Vec<(u64, usize, Option<Life>)> {
        let mut lives: Vec<(u64, usize, Option<Life>)> = Vec::new();
        let mut latest = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if let Event::Took(_, Element::Cancel(id)) = step.event {
                latest = latest.max(id);
            }
            if let Event::Took(_, Element::Barrier(id)) = step.event
                && id > latest
            {
                lives.push(self.start(id, at));
                latest = id;
            }
            let last = lives.last().and_then(|(.., life)| *life);
            let queued = self.queued(at).last().map(|&(id, _)| id);
            if let Some(id) = queued.filter(|&id| id > latest)
                && last.is_none_or(|life| life.end() <= at)
            {
                lives.push(self.start(id, at));
                latest = id;
            }
        }
        lives
    }

    fn start(&self, id: u64, at: usize) -> (u64, usize, Option<Life>) {
        let is_aborted = self.happened(Event::Aborted(id), at);
        (id, at, (!is_aborted).then(|| self.life(id, at)))
    }

    fn life(&self, id: u64, start: usize) -> Life {
        let after = start + 1..self.steps.len();
        let disturbed = after.clone().find_map(|at| Some((at, self.disturbs(id, at)?)));
        let completes = (start..self.steps.len())
            .find(|&at| self.missing(id, at).is_empty())
            .filter(|&at| disturbed.is_none_or(|(earlier, _)| at < earlier));
        let limit = [completes, disturbed.map(|(at, _)| at)];
        let limit = limit.into_iter().flatten().min().unwrap_or(self.steps.len());
        let overtakes = (start..limit).find(|&at| self.may_overtake(id, start, at));
        Life {
            id,
            start,
            overtakes,
            completes,
            disturbed: disturbed.filter(|&(at, _)| completes.is_none_or(|earlier| at < earlier)),
        }
    }

    /// Whether this step ends a checkpoint that is pending before it.
    fn disturbs(&self, id: u64, at: usize) -> Option<Disturbance> {
        match self.steps[at].event {
            Event::Took(_, Element::Barrier(newer)) if newer > id => {
                Some(Disturbance::Declined(Why::Subsumed(newer)))
            }
            Event::Took(_, Element::Cancel(same)) if same == id => {
                Some(Disturbance::Declined(Why::Cancelled))
            }
            Event::Took(_, Element::Cancel(newer)) if newer > id => Some(Disturbance::Replaced(newer)),
            Event::Took(_, Element::End) if self.plan.rule == EndOfInputRule::Aborts => {
                Some(Disturbance::Declined(Why::Ended))
            }
            Event::Aborted(same) if same == id => Some(Disturbance::ByCoordinator),
            _ => None,
        }
    }

    /// Whether a checkpoint that waits at this step need wait no longer.
    fn may_overtake(&self, id: u64, start: usize, at: usize) -> bool {
        let missing = self.missing(id, at);
        if !missing.is_disjoint(&self.plan.forced) {
            return false;
        }
        let is_known = |&k: &usize| self.delivered(k, id, at) || self.happened(Event::Announced(k, id), at);
        if self.channels().filter(is_known).any(|k| self.is_unaligned(k, id)) {
            return true;
        }
        let looks_at_the_time = match self.steps[at].event {
            Event::Took(_, Element::Barrier(other)) => other == id || start == at,
            Event::Announced(_, other) => other == id || start == at,
            Event::Took(_, Element::End) | Event::Time => true,
            _ => start == at,
        };
        looks_at_the_time && self.is_overdue(id, self.steps[at].now)
    }

    fn is_unaligned(&self, k: usize, id: u64) -> bool {
        self.plan.barrier(k, id).options.alignment == BarrierAlignment::Unaligned
    }

    fn is_overdue(&self, id: u64, now: Timestamp) -> bool {
        self.plan.deadline(id).is_some_and(|deadline| deadline <= now)
    }

    /// Snapshots and cancel markers go out in growing order, before channels are unblocked or anything
    /// else is done about the same checkpoint; a decline goes before its marker.
    fn check_order(&self) -> Result<(), String> {
        let mut newest = CheckpointId::NONE;
        for step in self.steps {
            let mut unblocked = false;
            let mut declined = None;
            for action in &step.actions {
                let (out, about) = match *action {
                    AlignmentAction::Unblock(_) => {
                        unblocked = true;
                        (None, None)
                    }
                    AlignmentAction::Decline { checkpoint, .. } => {
                        declined = Some(checkpoint);
                        continue;
                    }
                    AlignmentAction::Snapshot { barrier, .. } => (Some(barrier.checkpoint), None),
                    AlignmentAction::ForwardCancel(checkpoint) => (Some(checkpoint), None),
                    AlignmentAction::Record { checkpoint, .. }
                    | AlignmentAction::StopRecording { checkpoint, .. }
                    | AlignmentAction::Complete { checkpoint } => (None, Some(checkpoint)),
                    AlignmentAction::Prioritize(_) => (None, Some(newest)),
                    _ => (None, None),
                };
                if out.is_some() && unblocked {
                    return Err(format!("{action:?} after a channel was unblocked"));
                }
                if out.is_some_and(|checkpoint| checkpoint <= newest) {
                    return Err(format!("{action:?} after {newest}"));
                }
                if about.is_some_and(|checkpoint| checkpoint != newest) {
                    return Err(format!("{action:?} when {newest} was the newest snapshot"));
                }
                newest = out.unwrap_or(newest);
                if let Some(declined) = declined.take() {
                    let answers = matches!(*action,
                        AlignmentAction::ForwardCancel(same)
                        | AlignmentAction::DropRecording { checkpoint: same } if same == declined);
                    if !answers {
                        return Err(format!("{action:?} after {declined} was declined"));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_decisions(&self, lives: &[(u64, usize, Option<Life>)]) -> Result<(), String> {
        let mut expected: Vec<Vec<Decision>> = vec![Vec::new(); self.steps.len()];
        let mut newest = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if let Event::Took(_, Element::Cancel(id)) = step.event
                && id > newest
            {
                expected[at].extend([Decision::Decline(id, Why::Cancelled), Decision::ForwardCancel(id)]);
                newest = id;
            }
            let started = lives.iter().filter(|(_, start, _)| *start == at);
            newest = started.map(|(id, ..)| *id).fold(newest, u64::max);
        }
        for &(id, start, life) in lives {
            match life {
                Some(life) => self.expect(&life, &mut expected),
                None => expected[start].push(Decision::ForwardCancel(id)),
            }
        }
        for (at, (step, mut expected)) in self.steps.iter().zip(expected).enumerate() {
            let mut actual: Vec<Decision> = step.actions.iter().filter_map(decision).collect();
            actual.sort();
            expected.sort();
            if actual != expected {
                let event = step.event;
                return Err(format!("{event:?} at {at} led to {actual:?}, not {expected:?}"));
            }
        }
        Ok(())
    }

    fn expect(&self, life: &Life, expected: &mut [Vec<Decision>]) {
        let id = life.id;
        let alignment = |at: usize| {
            let since = self.steps[life.start].now;
            Duration::from_millis(self.steps[at].now.millis_since(since))
        };
        if let Some(at) = life.overtakes {
            expected[at].push(Decision::Snapshot(id, alignment(at), true));
            let missing = self.missing(id, at);
            expected[at].extend(missing.iter().map(|&k| Decision::Record(id, k)));
            let queued = self.queued(at).into_iter().filter(|&(of, _)| of == id);
            expected[at].extend(queued.map(|(_, k)| Decision::Prioritize(k)));
            let is_later = |&(later, _): &(usize, _)| later > at && later <= life.end();
            for (later, expected) in expected.iter_mut().enumerate().filter(is_later) {
                let is_disturbed = life.disturbed.is_some_and(|(at, _)| at == later);
                expected.extend(match self.steps[later].event {
                    _ if is_disturbed => None,
                    Event::Announced(k, of) if of == id => Some(Decision::Prioritize(k)),
                    Event::Took(k, Element::Barrier(of)) if of == id => Some(Decision::StopRecording(id, k)),
                    Event::Took(k, Element::End) if self.missing(id, later - 1).contains(&k) => {
                        Some(Decision::StopRecording(id, k))
                    }
                    _ => None,
                });
            }
        }
        if let Some(at) = life.completes {
            if life.overtakes.is_none() {
                let first = match self.steps[life.start].event {
                    Event::Took(k, Element::Barrier(of)) if of == id => k,
                    _ => self.queued(life.start).last().unwrap().1,
                };
                let as_received = self.is_unaligned(first, id);
                expected[at].push(Decision::Snapshot(id, alignment(at), as_received));
            }
            expected[at].push(Decision::Complete(id));
        }
        if let Some((at, disturbance)) = life.disturbed {
            let is_taken = life.overtakes.is_some();
            let retract = if is_taken {
                Decision::DropRecording(id)
            } else {
                Decision::ForwardCancel(id)
            };
            match disturbance {
                Disturbance::Declined(why) => expected[at].extend([Decision::Decline(id, why), retract]),
                Disturbance::Replaced(by) if is_taken => {
                    expected[at].extend([Decision::Decline(id, Why::Subsumed(by)), retract]);
                }
                Disturbance::Replaced(_) => {}
                Disturbance::ByCoordinator => expected[at].push(retract),
            }
        }
    }

    /// Exactly the channels whose barrier has arrived wait, while a checkpoint waits for others.
    fn check_blocked(&self, lives: &[(u64, usize, Option<Life>)]) -> Result<(), String> {
        for (at, step) in self.steps.iter().enumerate() {
            let waiting = lives
                .iter()
                .filter_map(|(.., life)| *life)
                .find(|life| life.blocks_after(at));
            for k in self.channels() {
                let waits = waiting.is_some_and(|life| self.delivered(k, life.id, at));
                if step.blocked[k] != waits {
                    let event = step.event;
                    return Err(format!(
                        "channel {k} should wait after {event:?} at {at}: {waits}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Nothing is stuck without a reason.
    fn check_end<H: BarrierHandler>(
        &self,
        gate: &Gate<'_, H>,
        lives: &[(u64, usize, Option<Life>)],
    ) -> Result<(), String> {
        let Some(last) = self.steps.len().checked_sub(1) else {
            return Ok(());
        };
        for k in self.channels() {
            if !self.steps[last].blocked[k] && !gate.is_drained(k) {
                return Err(format!("channel {k} is not drained"));
            }
        }
        let pending = lives.last().and_then(|(.., life)| *life);
        let Some(life) = pending.filter(|life| life.end() == usize::MAX) else {
            return match gate.handler.pending()[..] {
                [] => Ok(()),
                _ => Err("something is pending for ever".to_owned()),
            };
        };
        let missing = self.missing(life.id, last);
        let waits_for = gate.handler.waiting_for(CheckpointId(life.id));
        if waits_for != missing.iter().map(|&k| channel(k)).collect::<Vec<_>>() {
            return Err(format!("{} waits for {waits_for:?}, not {missing:?}", life.id));
        }
        let could_overtake = life.overtakes.is_none() && missing.is_disjoint(&self.plan.forced);
        if could_overtake && self.is_overdue(life.id, self.steps[last].now) {
            return Err(format!("{} did not ask for the time", life.id));
        }
        Ok(())
    }
}

fn decision(action: &AlignmentAction) -> Option<Decision> {
    match *action {
        AlignmentAction::Block(_) | AlignmentAction::Unblock(_) => None,
        AlignmentAction::Snapshot { barrier, alignment } => {
            let overtakes = barrier.options.alignment == BarrierAlignment::Unaligned;
            Some(Decision::Snapshot(barrier.checkpoint.0, alignment, overtakes))
        }
        AlignmentAction::Prioritize(channel) => Some(Decision::Prioritize(channel.as_usize())),
        AlignmentAction::Record { checkpoint, channel } => {
            Some(Decision::Record(checkpoint.0, channel.as_usize()))
        }
        AlignmentAction::StopRecording { checkpoint, channel } => {
            Some(Decision::StopRecording(checkpoint.0, channel.as_usize()))
        }
        AlignmentAction::Complete { checkpoint } => Some(Decision::Complete(checkpoint.0)),
        AlignmentAction::DropRecording { checkpoint } => Some(Decision::DropRecording(checkpoint.0)),
        AlignmentAction::ForwardCancel(checkpoint) => Some(Decision::ForwardCancel(checkpoint.0)),
        AlignmentAction::Decline { checkpoint, reason } => {
            let why = match reason {
                DeclineReason::Subsumed { by } => Why::Subsumed(by.0),
                DeclineReason::Cancelled => Why::Cancelled,
                _ => Why::Ended,
            };
            Some(Decision::Decline(checkpoint.0, why))
        }
    }
}
