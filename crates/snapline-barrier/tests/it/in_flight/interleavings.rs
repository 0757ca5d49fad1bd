//! Every order in which small inputs can be announced, overtake and be delivered, against the oracle.

use super::gate::Gate;
use super::oracle::judge;
use super::plan::{Plan, TIMEOUT, with_timeout};
use crate::gate::{Element, Hold};
use crate::interleavings::deal;
use snapline_barrier::{BarrierAligner, BarrierHandler, EndOfInputRule};
use snapline_core::BarrierAlignment::{Aligned, Unaligned};
use std::collections::BTreeSet;

/// Runs every interleaving of a plan against the oracle and returns how many there are.
pub(super) fn explore<H: BarrierHandler + Clone>(
    handler: &H,
    hold: Hold,
    plan: &Plan,
) -> Result<u64, String> {
    explore_with(handler, hold, plan, |gate| judge(gate, plan))
}

/// As [`explore`], with another judge.
pub(super) fn explore_with<'a, H: BarrierHandler + Clone>(
    handler: &H,
    hold: Hold,
    plan: &'a Plan,
    judge: impl Fn(&Gate<'a, H>) -> Result<(), String>,
) -> Result<u64, String> {
    let mut open = vec![Gate::new(handler.clone(), hold, plan)];
    let mut runs = 0;
    while let Some(gate) = open.pop() {
        let moves = gate.moves();
        if moves.is_empty() || gate.flaw.is_some() {
            let verdict = judge(&gate);
            verdict.map_err(|error| format!("{error}\n{plan:?} {hold:?}\n{:#?}", gate.steps))?;
            runs += 1;
            continue;
        }
        for next in moves {
            let mut gate = gate.clone();
            gate.make(next);
            open.push(gate);
        }
    }
    Ok(runs)
}

pub(super) fn aligner(plan: &Plan) -> BarrierAligner {
    BarrierAligner::with_forced(plan.channels(), plan.rule, plan.forced_channels())
}

fn check(plans: impl IntoIterator<Item = Plan>, at_least: u64) {
    let mut runs = 0;
    for (plan, hold) in plans
        .into_iter()
        .zip([Hold::WhenBlocked, Hold::AtBarrier].into_iter().cycle())
    {
        runs += explore(&aligner(&plan), hold, &plan).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(runs >= at_least, "only {runs} runs");
}

/// One channel that carries barrier or cancel marker 1 or neither behind a record, and perhaps ends.
pub(super) fn one_checkpoint() -> Vec<Vec<Element>> {
    use Element::{Barrier, Cancel, Data, End};
    vec![
        vec![Data(1), Barrier(1), Data(2)],
        vec![Data(1), Data(2), Barrier(1)],
        vec![Barrier(1), Data(1), End],
        vec![Data(1), Cancel(1), Data(2)],
        vec![Data(1), End],
    ]
}

fn two_checkpoints() -> Vec<Vec<Element>> {
    use Element::{Barrier, Cancel, Data, End};
    vec![
        vec![Data(1), Barrier(1), Data(2), Barrier(2)],
        vec![Barrier(1), Data(1), Barrier(2), Data(2)],
        vec![Data(1), Barrier(1), Cancel(2)],
        vec![Data(1), Barrier(2), Data(2)],
        vec![Data(1), Barrier(1), Data(2), End],
    ]
}

#[test]
fn every_interleaving_of_an_unaligned_checkpoint_is_correct() {
    check(
        deal(&one_checkpoint(), 2).iter().flat_map(|inputs| {
            [EndOfInputRule::StandsIn, EndOfInputRule::Aborts].map(|rule| Plan {
                rule,
                aborts: vec![1],
                ..Plan::new(inputs, &[Unaligned])
            })
        }),
        20_000,
    );
}

#[test]
fn every_interleaving_with_a_timeout_is_correct() {
    check(
        deal(&one_checkpoint(), 2).iter().map(|inputs| Plan {
            clock: vec![TIMEOUT + 1],
            ..Plan::new(inputs, &[with_timeout()])
        }),
        20_000,
    );
}

#[test]
fn every_interleaving_with_an_upstream_task_that_has_turned_is_correct() {
    check(
        deal(&one_checkpoint(), 2)
            .iter()
            .flat_map(|inputs| [0, 1].map(|k| (inputs, k)))
            .map(|(inputs, k)| Plan {
                turned: BTreeSet::from([(k, 1)]),
                needless_times: 1,
                ..Plan::new(inputs, &[with_timeout()])
            }),
        20_000,
    );
}

#[test]
fn every_interleaving_with_a_forced_channel_is_correct() {
    check(
        deal(&one_checkpoint(), 2)
            .iter()
            .flat_map(|inputs| [Unaligned, with_timeout()].map(|mode| (inputs, mode)))
            .map(|(inputs, mode)| Plan {
                forced: BTreeSet::from([1]),
                clock: vec![2 * TIMEOUT],
                ..Plan::new(inputs, &[mode])
            }),
        20_000,
    );
}

#[test]
fn every_interleaving_of_two_checkpoints_is_correct() {
    let modes = [[Unaligned, Unaligned], [Aligned, Unaligned], [Unaligned, Aligned]];
    check(
        deal(&two_checkpoints(), 2)
            .iter()
            .flat_map(|inputs| modes.iter().map(move |mode| Plan::new(inputs, mode))),
        20_000,
    );
}

#[test]
fn every_interleaving_of_an_abort_between_two_checkpoints_is_correct() {
    use Element::{Barrier, Data};
    let inputs = [
        vec![Barrier(1), Barrier(2)],
        vec![Data(1), Barrier(1), Data(2), Barrier(2)],
    ];
    check(
        [1, 2].map(|aborted| Plan {
            aborts: vec![aborted],
            ..Plan::new(&inputs, &[Unaligned])
        }),
        20_000,
    );
}

#[test]
fn every_interleaving_of_three_channels_is_correct() {
    use Element::{Barrier, Data, End};
    let inputs = [
        vec![
            vec![Data(1), Barrier(1)],
            vec![Barrier(1), Data(1)],
            vec![Barrier(1)],
        ],
        vec![vec![Data(1), Barrier(1)], vec![Data(1), End], vec![Barrier(1)]],
    ];
    let modes = [Unaligned, with_timeout()];
    check(
        inputs
            .iter()
            .flat_map(|inputs| modes.map(|mode| (inputs, mode)))
            .map(|(inputs, mode)| Plan {
                clock: vec![2 * TIMEOUT],
                ..Plan::new(inputs, &[mode])
            }),
        20_000,
    );
}
