//! Longer inputs than can be enumerated, in random orders, against the oracle.

use super::gate::Gate;
use super::interleavings::aligner;
use super::oracle::judge;
use super::plan::{Plan, TIMEOUT, with_timeout};
use crate::gate::{Element, Hold};
use crate::random::{inputs, picks, rule};
use proptest::prelude::*;
use proptest::sample::Index;
use snapline_barrier::BarrierHandler;
use snapline_core::BarrierAlignment::{self, Aligned, Unaligned};

fn mode() -> impl Strategy<Value = BarrierAlignment> {
    prop_oneof![2 => Just(Unaligned), 2 => Just(with_timeout()), 1 => Just(Aligned)]
}

prop_compose! {
    fn plan()(
        inputs in inputs(),
        modes in prop::collection::vec(mode(), 1..9),
        turned in prop::collection::btree_set((0..5_usize, 1..9_u64), 0..4),
        forced in prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(0..5_usize, 1..3)],
        clock in prop::collection::vec(0..TIMEOUT, 0..6),
        aborts in prop::collection::vec(1..9_u64, 0..3),
        needless_times in 0..3_usize,
        rule in rule(),
    ) -> Plan {
        let forced = forced.into_iter().filter(|&k| k < inputs.len()).collect();
        Plan { turned, forced, clock, aborts, needless_times, rule, ..Plan::new(&inputs, &modes) }
    }
}

/// Makes everything happen that can, in the order of `picks`, then from the front. Stops at a flaw.
fn drain<H: BarrierHandler>(gate: &mut Gate<'_, H>, picks: &[Index]) {
    for pick in picks {
        let moves = gate.moves();
        if !moves.is_empty() {
            gate.make(moves[pick.index(moves.len())]);
        }
    }
    while let (None, Some(&next)) = (&gate.flaw, gate.moves().first()) {
        gate.make(next);
    }
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![Just(Hold::WhenBlocked), Just(Hold::AtBarrier)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_aligner_agrees_with_the_oracle(plan in plan(), hold in hold(), picks in picks()) {
        let mut gate = Gate::new(aligner(&plan), hold, &plan);
        drain(&mut gate, &picks);
        prop_assert_eq!(judge(&gate, &plan), Ok(()), "{:#?}", gate.steps);
    }

    /// Whatever the modes, the order and the time: when every channel carries every barrier or ends
    /// and nothing gives a checkpoint up, the newest one is completed.
    #[test]
    fn with_all_barriers_the_last_checkpoint_completes(
        channels in prop::collection::vec(prop::collection::vec(0..4_u64, 6), 1..6),
        mut plan in plan(),
        hold in hold(),
        picks in picks(),
    ) {
        let input = |records: &Vec<u64>| (1..).zip(records).flat_map(|(id, &records)| {
            (0..records).map(Element::Data).chain([Element::Barrier(id)])
        }).collect::<Vec<_>>();
        plan.inputs = channels.iter().map(input).collect();
        plan.forced.retain(|&k| k < channels.len());
        plan.aborts.clear();
        let mut gate = Gate::new(aligner(&plan), hold, &plan);
        drain(&mut gate, &picks);
        prop_assert_eq!(judge(&gate, &plan), Ok(()), "{:#?}", gate.steps);
        prop_assert!(gate.completed.contains(&6));
        prop_assert!(gate.handler.pending().is_empty());
    }
}

/// How often the random runs reach the interesting states, so that the property above is not empty.
#[test]
fn random_runs_overtake_record_give_up_and_complete() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use snapline_barrier::AlignmentAction;
    let mut runner = TestRunner::deterministic();
    let mut seen = [0; 5];
    for _ in 0..500 {
        let plan = plan().new_tree(&mut runner).unwrap().current();
        let picks = picks().new_tree(&mut runner).unwrap().current();
        let mut gate = Gate::new(aligner(&plan), Hold::WhenBlocked, &plan);
        drain(&mut gate, &picks);
        for action in gate.steps.iter().flat_map(|step| &step.actions) {
            let kind = match action {
                AlignmentAction::Prioritize(_) => 0,
                AlignmentAction::Record { .. } => 1,
                AlignmentAction::DropRecording { .. } => 2,
                AlignmentAction::Complete { .. } => 3,
                AlignmentAction::Block(_) => 4,
                _ => continue,
            };
            seen[kind] += 1;
        }
    }
    assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
}
