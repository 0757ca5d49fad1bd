//! Every order in which small inputs can be delivered, against the oracle.

use crate::gate::{Element, Gate, Hold};
use crate::history::{Mode, judge};
use snapline_barrier::{BarrierAligner, BarrierHandler, BarrierTracker, EndOfInputRule};

/// Runs every interleaving of `inputs` and returns how many there are.
pub(crate) fn explore<H: BarrierHandler + Clone>(
    handler: &H,
    hold: Hold,
    inputs: &[Vec<Element>],
    aborts: &[u64],
    (mode, rule): (Mode, EndOfInputRule),
) -> Result<u64, String> {
    let mut open = vec![Gate::new(handler.clone(), hold, inputs, aborts)];
    let mut runs = 0;
    while let Some(gate) = open.pop() {
        let next: Vec<usize> = gate.movable().collect();
        if next.is_empty() {
            let verdict = judge(&gate, inputs, mode, rule);
            verdict.map_err(|error| format!("{error}\n{rule:?} {hold:?} {inputs:?}\n{:?}", gate.log))?;
            runs += 1;
        }
        for from in next {
            let mut gate = gate.clone();
            gate.step(from);
            open.push(gate);
        }
    }
    Ok(runs)
}

/// All inputs of one channel that carry, for each checkpoint up to `ids`, its barrier, its cancel
/// marker or neither, with one record before and behind each of these, and that end or stay open.
pub(crate) fn inputs(ids: u64) -> Vec<Vec<Element>> {
    let mut all = vec![vec![Element::Data(0)]];
    for id in 1..=ids {
        let markers = [None, Some(Element::Barrier(id)), Some(Element::Cancel(id))];
        let with = |marker: Option<Element>| {
            let more: Vec<Element> = marker.into_iter().chain([Element::Data(id)]).collect();
            all.iter()
                .map(move |input| [input.clone(), more.clone()].concat())
        };
        all = markers.into_iter().flat_map(with).collect();
    }
    let ended = all.iter().map(|input| [&input[..], &[Element::End]].concat());
    ended.chain(all.iter().cloned()).collect()
}

/// All ways to give each channel one of these inputs, up to the order of the channels.
pub(crate) fn deal(inputs: &[Vec<Element>], channels: usize) -> Vec<Vec<Vec<Element>>> {
    let mut all = vec![(0, vec![])];
    for _ in 0..channels {
        let with = |(least, dealt): (usize, Vec<_>)| {
            let more = inputs.iter().enumerate().skip(least);
            more.map(move |(index, input)| (index, [dealt.clone(), vec![input.clone()]].concat()))
        };
        all = all.into_iter().flat_map(with).collect();
    }
    all.into_iter().map(|(_, dealt)| dealt).collect()
}

const RULES: [EndOfInputRule; 2] = [EndOfInputRule::StandsIn, EndOfInputRule::Aborts];

fn check(inputs: &[Vec<Element>], channels: u32, aborts: &[u64]) {
    let mut runs = 0;
    let mut count =
        |explored: Result<u64, String>| runs += explored.unwrap_or_else(|error| panic!("{error}"));
    for inputs in deal(inputs, channels as usize) {
        for rule in RULES {
            let exactly_once = (Mode::ExactlyOnce, rule);
            let aligner = BarrierAligner::new(channels, rule);
            count(explore(
                &aligner,
                Hold::WhenBlocked,
                &inputs,
                aborts,
                exactly_once,
            ));
            count(explore(&aligner, Hold::AtBarrier, &inputs, aborts, exactly_once));
            let tracker = BarrierTracker::new(channels, rule);
            let at_least_once = (Mode::AtLeastOnce, rule);
            count(explore(
                &tracker,
                Hold::WhenBlocked,
                &inputs,
                aborts,
                at_least_once,
            ));
        }
    }
    assert!(runs > 1000, "only {runs} runs");
}

#[test]
fn every_interleaving_of_one_channel_and_aborts_is_correct() {
    check(&inputs(3), 1, &[2, 3]);
}

#[test]
fn every_interleaving_of_two_channels_is_correct() {
    check(&inputs(2), 2, &[]);
}

#[test]
fn every_interleaving_of_two_channels_and_an_abort_is_correct() {
    check(&inputs(1), 2, &[1]);
    // Only open channels, for the sake of time.
    let mut inputs = inputs(2);
    inputs.retain(|input| !input.contains(&Element::End));
    check(&inputs, 2, &[2]);
}

#[test]
fn every_interleaving_of_three_channels_is_correct() {
    let inputs: Vec<_> = inputs(1).iter().map(|input| input[1..].to_vec()).collect();
    check(&inputs, 3, &[]);
}
