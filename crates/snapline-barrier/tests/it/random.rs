//! Longer inputs than can be enumerated, in random orders, against the oracle.

use crate::gate::{Element, Gate, Hold};
use crate::history::{Mode, judge};
use proptest::prelude::*;
use proptest::sample::Index;
use snapline_barrier::{BarrierAligner, BarrierHandler, BarrierTracker, EndOfInputRule};

/// What one channel makes of one checkpoint. Most of them carry the barrier.
fn segment() -> impl Strategy<Value = (u8, u8)> {
    (prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2)], 0..4_u8)
}

fn input() -> impl Strategy<Value = Vec<Element>> {
    (prop::collection::vec(segment(), 0..8), 0..3_u64, any::<bool>()).prop_map(|(segments, first, ends)| {
        let mut input = Vec::new();
        for (id, (marker, records)) in (first.max(1)..).zip(segments) {
            input.extend((0..records).map(|record| Element::Data(10 * id + u64::from(record))));
            input.extend(match marker {
                0 => Some(Element::Barrier(id)),
                1 => Some(Element::Cancel(id)),
                _ => None,
            });
        }
        input.extend(ends.then_some(Element::End));
        input
    })
}

pub(crate) fn inputs() -> impl Strategy<Value = Vec<Vec<Element>>> {
    prop::collection::vec(input(), 1..6)
}

pub(crate) fn rule() -> impl Strategy<Value = EndOfInputRule> {
    prop_oneof![3 => Just(EndOfInputRule::StandsIn), 1 => Just(EndOfInputRule::Aborts)]
}

/// Delivers everything that can be delivered, in the order of `picks`, then from the front.
fn drain<H: BarrierHandler>(gate: &mut Gate<H>, picks: &[Index]) {
    for pick in picks {
        let next: Vec<usize> = gate.movable().collect();
        if !next.is_empty() {
            gate.step(next[pick.index(next.len())]);
        }
    }
    while let Some(from) = { gate.movable().next() } {
        gate.step(from);
    }
}

pub(crate) fn picks() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..150)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_aligner_agrees_with_the_oracle(
        inputs in inputs(),
        aborts in prop::collection::vec(1..9_u64, 0..3),
        rule in rule(),
        hold in prop_oneof![Just(Hold::WhenBlocked), Just(Hold::AtBarrier)],
        picks in picks(),
    ) {
        let aligner = BarrierAligner::new(u32::try_from(inputs.len()).unwrap(), rule);
        let mut gate = Gate::new(aligner, hold, &inputs, &aborts);
        drain(&mut gate, &picks);
        prop_assert_eq!(judge(&gate, &inputs, Mode::ExactlyOnce, rule), Ok(()));
    }

    #[test]
    fn the_tracker_agrees_with_the_oracle(
        inputs in inputs(),
        aborts in prop::collection::vec(1..9_u64, 0..3),
        rule in rule(),
        picks in picks(),
    ) {
        let tracker = BarrierTracker::new(u32::try_from(inputs.len()).unwrap(), rule);
        let mut gate = Gate::new(tracker, Hold::WhenBlocked, &inputs, &aborts);
        drain(&mut gate, &picks);
        prop_assert_eq!(judge(&gate, &inputs, Mode::AtLeastOnce, rule), Ok(()));
    }

    /// Whatever the order: when every channel carries every barrier, every checkpoint is taken.
    #[test]
    fn with_all_barriers_every_checkpoint_is_taken(
        channels in prop::collection::vec(prop::collection::vec(0..4_u64, 6), 1..6),
        picks in picks(),
    ) {
        let input = |records: &Vec<u64>| (1..).zip(records).flat_map(|(id, &records)| {
            (0..records).map(Element::Data).chain([Element::Barrier(id)])
        }).collect::<Vec<_>>();
        let inputs: Vec<_> = channels.iter().map(input).collect();
        let aligner = BarrierAligner::new(u32::try_from(inputs.len()).unwrap(), EndOfInputRule::StandsIn);
        let mut gate = Gate::new(aligner, Hold::AtBarrier, &inputs, &[]);
        drain(&mut gate, &picks);
        prop_assert_eq!(judge(&gate, &inputs, Mode::ExactlyOnce, EndOfInputRule::StandsIn), Ok(()));
        prop_assert_eq!(gate.handler.latest().0, 6);
        prop_assert!(gate.handler.pending().is_empty());
    }
}

/// B-21: two channels, one with barriers at a fixed distance, one at random, for a long time.
#[test]
fn two_channels_with_barriers_at_random_distances_never_get_stuck() {
    let mut seed = 42_u64;
    let mut random = |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let channel = |distances: Vec<u64>| -> Vec<Element> {
        let segment = |(id, records)| (0..records).map(Element::Data).chain([Element::Barrier(id)]);
        (1..).zip(distances).flat_map(segment).collect()
    };
    let inputs = [
        channel(vec![1000; 100]),
        channel((0..100).map(|_| random(2000)).collect()),
    ];
    let aligner = BarrierAligner::new(2, EndOfInputRule::StandsIn);
    let mut gate = Gate::new(aligner, Hold::AtBarrier, &inputs, &[]);
    while gate.movable().count() > 0 {
        let next: Vec<usize> = gate.movable().collect();
        gate.step(next[usize::try_from(random(next.len() as u64)).unwrap()]);
        gate.log.clear();
    }
    assert!(gate.queues.iter().all(|queue| queue.is_empty()));
    assert_eq!(gate.handler.latest().0, 100);
    assert!(gate.handler.pending().is_empty());
}
