//! The oracle: judges what a gate did by looking at its whole history, without any state machine.
//!
//! It says from the definitions in which order of deliveries which checkpoint has to be taken or
//! given up, whether the records in each snapshot are a consistent cut, and who may still be blocked.

use crate::gate::{Element, Event, Gate};
use snapline_barrier::{AlignmentAction, BarrierHandler, DeclineReason, EndOfInputRule};
use snapline_core::CheckpointId;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    ExactlyOnce,
    AtLeastOnce,
}

/// A decision about a checkpoint that others get to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Decision {
    Snapshot,
    Decline(Why),
    ForwardCancel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Subsumed(u64),
    Cancelled,
    Ended,
}

/// One event and what was decided there, by checkpoint.
struct Step {
    event: Event,
    decided: Vec<(u64, Decision)>,
}

/// How a checkpoint that was started ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Completes(usize),
    /// At this step, visibly or not.
    IsGivenUp(usize, Option<Why>),
    Waits,
}

/// Judges a gate where nothing moves any more.
pub(crate) fn judge<H: BarrierHandler>(
    gate: &Gate<H>,
    inputs: &[Vec<Element>],
    mode: Mode,
    rule: EndOfInputRule,
) -> Result<(), String> {
    let history = History::new(&gate.log, inputs.len(), mode, rule);
    history.check_order(&gate.log)?;
    history.check_cuts(inputs)?;
    history.check_decisions()?;
    history.check_blocked(gate)
}

struct History {
    mode: Mode,
    rule: EndOfInputRule,
    channels: usize,
    steps: Vec<Step>,
}

impl History {
    fn new(log: &[Event], channels: usize, mode: Mode, rule: EndOfInputRule) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        for &event in log {
            match event {
                Event::Took(..) | Event::Aborted(_) => steps.push(Step {
                    event,
                    decided: vec![],
                }),
                Event::Did(action) => steps.last_mut().unwrap().decided.extend(decision(action)),
                Event::NoCut(_) => {}
            }
        }
        Self {
            mode,
            rule,
            channels,
            steps,
        }
    }

    /// Snapshots and cancel markers go out in growing order, each before channels are unblocked.
    fn check_order(&self, log: &[Event]) -> Result<(), String> {
        let (mut newest, mut unblocked) = (CheckpointId::NONE, false);
        for event in log {
            match *event {
                Event::Took(..) | Event::Aborted(_) => unblocked = false,
                Event::Did(AlignmentAction::Unblock(_)) => unblocked = true,
                Event::Did(AlignmentAction::Snapshot {
                    barrier: snapline_core::CheckpointBarrier { checkpoint, .. },
                    ..
                })
                | Event::Did(AlignmentAction::ForwardCancel(checkpoint)) => {
                    if unblocked {
                        return Err(format!("{checkpoint} goes out after a channel was unblocked"));
                    }
                    if checkpoint <= newest {
                        return Err(format!("{checkpoint} goes out after {newest}"));
                    }
                    newest = checkpoint;
                }
                Event::NoCut(violation) if self.mode == Mode::ExactlyOnce => {
                    return Err(format!("the channels found no cut: {violation}"));
                }
                Event::Did(_) | Event::NoCut(_) => {}
            }
        }
        Ok(())
    }

    /// The records taken before a snapshot are those before the barrier, channel by channel.
    fn check_cuts(&self, inputs: &[Vec<Element>]) -> Result<(), String> {
        let mut taken = vec![Vec::new(); inputs.len()];
        for step in &self.steps {
            if let Event::Took(channel, element) = step.event {
                taken[channel].push(element);
            }
            for &(id, decision) in &step.decided {
                if decision != Decision::Snapshot {
                    continue;
                }
                for (channel, (taken, input)) in taken.iter().zip(inputs).enumerate() {
                    if !taken.contains(&Element::Barrier(id)) && !taken.contains(&Element::End) {
                        return Err(format!("snapshot {id} did not wait for channel {channel}"));
                    }
                    let cut = input.iter().position(|&element| element == Element::Barrier(id));
                    let before = records(&input[..cut.unwrap_or(input.len())]);
                    let exact = self.mode == Mode::ExactlyOnce;
                    let taken = records(taken);
                    if !taken.starts_with(&before) || exact && taken != before {
                        return Err(format!(
                            "snapshot {id} holds {taken:?} of channel {channel}, not {before:?}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_decisions(&self) -> Result<(), String> {
        let mut expected = vec![Vec::new(); self.steps.len()];
        for id in self.ids() {
            self.expect(id, &mut expected);
        }
        for (index, (step, mut expected)) in self.steps.iter().zip(expected).enumerate() {
            // Older checkpoints go out first, and a decline before its marker.
            expected.sort();
            if step.decided != expected {
                let event = step.event;
                return Err(format!(
                    "{event:?} at {index} led to {:?}, not {expected:?}",
                    step.decided
                ));
            }
        }
        Ok(())
    }

    /// Exactly the channels whose barrier has arrived wait for a checkpoint that waits; all others
    /// are empty. So nothing is stuck without a reason.
    fn check_blocked<H>(&self, gate: &Gate<H>) -> Result<(), String> {
        let waiting = self
            .ids()
            .into_iter()
            .find(|&id| self.mode == Mode::ExactlyOnce && self.waits(id));
        for channel in 0..self.channels {
            let waits = waiting.is_some_and(|id| self.took(Element::Barrier(id), channel).is_some());
            if gate.blocked[channel] != waits {
                return Err(format!(
                    "channel {channel} is blocked: {}, should be: {waits}",
                    !waits
                ));
            }
            if !waits && !gate.queues[channel].is_empty() {
                return Err(format!("channel {channel} is not drained"));
            }
        }
        Ok(())
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.steps.iter().filter_map(|step| marker(step.event)).collect()
    }

    fn first(&self, event: impl Fn(Event) -> bool) -> Option<usize> {
        self.steps.iter().position(|step| event(step.event))
    }

    fn took(&self, element: Element, channel: usize) -> Option<usize> {
        self.first(|event| event == Event::Took(channel, element))
    }

    fn first_barrier(&self, id: u64) -> Option<usize> {
        self.first(|event| matches!(event, Event::Took(_, Element::Barrier(b)) if b == id))
    }

    /// Whether this id is newer than all that came before this step.
    fn is_newest(&self, id: u64, at: usize) -> bool {
        self.steps[..at]
            .iter()
            .filter_map(|step| marker(step.event))
            .all(|other| other < id)
    }

    /// A checkpoint starts with its first barrier unless something as new was seen before.
    fn is_started(&self, id: u64) -> bool {
        self.first_barrier(id)
            .is_some_and(|first| self.is_newest(id, first))
    }

    /// The step at which every channel has delivered the barrier or ended.
    fn completion(&self, id: u64) -> Option<usize> {
        let first = self.first_barrier(id)?;
        let arrivals = (0..self.channels).map(|channel| {
            let (barrier, end) = (Element::Barrier(id), Element::End);
            self.took(barrier, channel)
                .into_iter()
                .chain(self.took(end, channel))
                .min()
        });
        arrivals
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()
            .map(|last| last.max(first))
    }

    fn aborted(&self, id: u64) -> Option<usize> {
        self.first(|event| event == Event::Aborted(id))
    }

    /// What becomes of a started checkpoint.
    fn outcome(&self, id: u64) -> Outcome {
        let first = self.first_barrier(id).unwrap();
        let given_up = (first..self.steps.len()).find_map(|at| Some((at, self.disturbs(id, at)?)));
        match (self.completion(id), given_up) {
            (Some(at), None) => Outcome::Completes(at),
            (Some(at), Some((earlier, _))) if at < earlier => Outcome::Completes(at),
            (_, Some((at, why))) => Outcome::IsGivenUp(at, why),
            (None, None) => Outcome::Waits,
        }
    }

    /// Whether this step ends a checkpoint that is pending then, and what the coordinator is told.
    fn disturbs(&self, id: u64, at: usize) -> Option<Option<Why>> {
        let exactly_once = self.mode == Mode::ExactlyOnce;
        match self.steps[at].event {
            Event::Took(_, Element::Barrier(newer)) if newer > id && exactly_once => {
                Some(Some(Why::Subsumed(newer)))
            }
            Event::Took(_, Element::Cancel(same)) if same == id => Some(Some(Why::Cancelled)),
            Event::Took(_, Element::Cancel(newer)) if newer > id && exactly_once => Some(None),
            Event::Took(_, Element::Cancel(newer)) if newer > id => {
                let known =
                    self.first_barrier(newer).is_some_and(|first| first < at) && self.is_started(newer);
                (known || self.is_newest(newer, at)).then_some(Some(Why::Subsumed(newer)))
            }
            Event::Took(_, Element::End) if self.rule == EndOfInputRule::Aborts => Some(Some(Why::Ended)),
            Event::Aborted(same) if same == id && exactly_once => Some(None),
            _ if exactly_once => None,
            _ => {
                let mut newer = self
                    .ids()
                    .into_iter()
                    .filter(|&newer| newer > id && self.is_started(newer));
                newer
                    .any(|newer| self.completion(newer) == Some(at))
                    .then_some(None)
            }
        }
    }

    /// Whether channels are held up for this checkpoint at the end.
    fn waits(&self, id: u64) -> bool {
        let aborted_before = |first: usize| self.aborted(id).is_some_and(|aborted| aborted < first);
        self.is_started(id)
            && !self.first_barrier(id).is_some_and(aborted_before)
            && self.outcome(id) == Outcome::Waits
    }

    fn expect(&self, id: u64, expected: &mut [Vec<(u64, Decision)>]) {
        use Decision::{Decline, ForwardCancel, Snapshot};
        let fresh_cancel = self
            .steps
            .iter()
            .position(|step| matches!(step.event, Event::Took(_, Element::Cancel(c)) if c == id));
        if let Some(at) = fresh_cancel.filter(|&at| self.is_newest(id, at)) {
            expected[at].extend([(id, Decline(Why::Cancelled)), (id, ForwardCancel)]);
        }
        if !self.is_started(id) {
            return;
        }
        let first = self.first_barrier(id).unwrap();
        let aborted_by = |at: usize| self.aborted(id).is_some_and(|aborted| aborted < at);
        if self.mode == Mode::ExactlyOnce && aborted_by(first) {
            expected[first].push((id, ForwardCancel));
            return;
        }
        match self.outcome(id) {
            Outcome::Completes(at) if aborted_by(at) => expected[at].push((id, ForwardCancel)),
            Outcome::Completes(at) => expected[at].push((id, Snapshot)),
            Outcome::IsGivenUp(at, Some(_)) if aborted_by(at) => expected[at].push((id, ForwardCancel)),
            Outcome::IsGivenUp(at, Some(why)) => {
                expected[at].extend([(id, Decline(why)), (id, ForwardCancel)]);
            }
            Outcome::IsGivenUp(at, None) if self.steps[at].event == Event::Aborted(id) => {
                expected[at].push((id, ForwardCancel));
            }
            Outcome::IsGivenUp(_, None) | Outcome::Waits => {}
        }
    }
}

fn decision(action: AlignmentAction) -> Option<(u64, Decision)> {
    match action {
        AlignmentAction::Snapshot { barrier, .. } => Some((barrier.checkpoint.0, Decision::Snapshot)),
        AlignmentAction::ForwardCancel(checkpoint) => Some((checkpoint.0, Decision::ForwardCancel)),
        AlignmentAction::Decline { checkpoint, reason } => {
            let why = match reason {
                DeclineReason::Subsumed { by } => Why::Subsumed(by.0),
                DeclineReason::Cancelled => Why::Cancelled,
                _ => Why::Ended,
            };
            Some((checkpoint.0, Decision::Decline(why)))
        }
        _ => None,
    }
}

fn marker(event: Event) -> Option<u64> {
    match event {
        Event::Took(_, Element::Barrier(id) | Element::Cancel(id)) => Some(id),
        _ => None,
    }
}

fn records(elements: &[Element]) -> Vec<Element> {
    let data = elements
        .iter()
        .filter(|element| matches!(element, Element::Data(_)));
    data.copied().collect()
}
