//! Whole jobs under random schedules: without a defect every checkpoint is proven to be a consistent cut,
//! and each defect is caught by the check that is named for it.

use crate::network::{Caught, LocalChecks, Mutation, Network, Outcome, Settings, id};
use snapline_barrier::{Breach, ChannelFlaw, CutViolation};
use snapline_core::{BarrierAlignment, ConsistencyProof};

const ALIGNED: &[BarrierAlignment] = &[BarrierAlignment::Aligned];
const UNALIGNED: &[BarrierAlignment] = &[BarrierAlignment::Unaligned];
const ALL: &[BarrierAlignment] = &[
    BarrierAlignment::Aligned,
    BarrierAlignment::AlignedWithTimeout { timeout_ms: 3 },
    BarrierAlignment::Unaligned,
];

fn run(
    seed: u64,
    alignment: BarrierAlignment,
    proof: ConsistencyProof,
    checks: LocalChecks,
    mutation: Option<Mutation>,
) -> Outcome {
    let stages = [vec![2, 2, 2], vec![1, 3, 1], vec![3, 2], vec![2, 1, 1, 2]];
    let settings = Settings {
        seed,
        stages: stages[(seed % 4) as usize].clone(),
        alignment,
        proof,
        checks,
        mutation,
    };
    Network::new(settings).run()
}

#[test]
fn without_a_defect_every_checkpoint_is_a_consistent_cut() {
    let proofs = [
        ConsistencyProof::Full,
        ConsistencyProof::Auto,
        ConsistencyProof::Sampled { every: 5 },
        ConsistencyProof::Off,
    ];
    for &alignment in ALL {
        let mut recorded = 0;
        for seed in 0..1000 {
            let proof = proofs[(seed / 4 % 4) as usize];
            let checks = [LocalChecks::On, LocalChecks::Off][(seed / 16 % 2) as usize];
            let outcome = run(seed, alignment, proof, checks, None);
            assert_eq!(outcome.caught, None, "seed {seed}, {alignment:?}, {proof:?}");
            let has_clocks = |clocks: usize| (clocks > 0) == (proof != ConsistencyProof::Off);
            assert!(outcome.proofs.iter().all(|proof| has_clocks(proof.clocks)));
            recorded += outcome.proofs.iter().map(|proof| proof.recorded).sum::<u64>();
        }
        assert_eq!(recorded > 0, alignment.may_record(), "{alignment:?}: {recorded}");
    }
}

/// Runs the mutation until it has found its place 200 times with each alignment, and says by whom it has
/// to be caught.
fn check(
    mutation: Mutation,
    checks: LocalChecks,
    alignments: &[BarrierAlignment],
    is_expected: impl Fn(&Caught) -> bool,
) {
    let proofs = [ConsistencyProof::Full, ConsistencyProof::Sampled { every: 3 }];
    for &alignment in alignments {
        let mut mutated = 0;
        for seed in 0..600 {
            let proof = match mutation {
                Mutation::ForgeCountAndHideClock => ConsistencyProof::Full,
                _ => proofs[(seed / 4 % 2) as usize],
            };
            let outcome = run(seed, alignment, proof, checks, Some(mutation));
            let label = format!("{mutation:?}, seed {seed}, {alignment:?}, {proof:?}");
            match &outcome.caught {
                Some(caught) => assert!(is_expected(caught), "{label}: {caught:?}"),
                None => assert!(!outcome.is_mutated, "{label}: not caught"),
            }
            mutated += u32::from(outcome.is_mutated);
        }
        assert!(mutated >= 200, "{mutation:?}, {alignment:?}: {mutated}");
    }
}

fn breach(caught: &Caught) -> Option<Breach> {
    match caught {
        Caught::ByTask(violation) => Some(violation.breach),
        Caught::ByCoordinator(_) => None,
    }
}

fn flaw(caught: &Caught) -> Option<ChannelFlaw> {
    match caught {
        Caught::ByCoordinator(CutViolation::Channel { flaw, .. }) => Some(*flaw),
        _ => match breach(caught) {
            Some(Breach::Flawed(flaw)) => Some(flaw),
            _ => None,
        },
    }
}

#[test]
fn a_task_that_skips_alignment_is_caught_by_itself_or_by_the_counts() {
    check(Mutation::SkipAlignment, LocalChecks::On, ALIGNED, |caught| {
        matches!(breach(caught), Some(Breach::CutOverrun { .. }))
    });
    check(Mutation::SkipAlignment, LocalChecks::Off, ALIGNED, |caught| {
        matches!(flaw(caught), Some(ChannelFlaw::Repeated { .. }))
    });
}

#[test]
fn a_snapshot_that_does_not_wait_for_all_barriers_is_caught_by_the_task_or_by_the_counts() {
    check(Mutation::SnapshotEarly, LocalChecks::On, ALIGNED, |caught| {
        matches!(breach(caught), Some(Breach::BarrierMissing { .. }))
    });
    check(Mutation::SnapshotEarly, LocalChecks::Off, ALIGNED, |caught| {
        matches!(flaw(caught), Some(ChannelFlaw::Lost { .. }))
    });
}

#[test]
fn a_snapshot_that_comes_one_batch_late_is_caught_by_the_task_or_by_the_counts() {
    check(Mutation::SnapshotLate, LocalChecks::On, ALIGNED, |caught| {
        matches!(breach(caught), Some(Breach::CutOverrun { .. }))
    });
    check(Mutation::SnapshotLate, LocalChecks::Off, ALIGNED, |caught| {
        matches!(flaw(caught), Some(ChannelFlaw::Repeated { .. }))
    });
}

#[test]
fn an_acknowledgement_before_the_log_is_complete_is_caught_by_the_task_or_by_the_counts() {
    check(Mutation::AcknowledgeEarly, LocalChecks::On, UNALIGNED, |caught| {
        matches!(breach(caught), Some(Breach::BarrierMissing { .. }))
    });
    check(
        Mutation::AcknowledgeEarly,
        LocalChecks::Off,
        UNALIGNED,
        |caught| {
            use ChannelFlaw::{LogIncomplete, Lost};
            matches!(flaw(caught), Some(LogIncomplete { .. } | Lost { .. }))
        },
    );
}

#[test]
fn a_dropped_batch_is_missing_at_the_next_batch_or_barrier() {
    use Breach::{CountMismatch, Gap, OvertakenMissing};
    check(Mutation::Drop, LocalChecks::On, ALL, |caught| {
        let is_missing = matches!(
            breach(caught),
            Some(Gap { .. } | CountMismatch { .. } | OvertakenMissing { .. })
        );
        is_missing
            || matches!(
                flaw(caught),
                Some(ChannelFlaw::LogIncomplete { .. } | ChannelFlaw::Gap { .. })
            )
    });
}

#[test]
fn a_repeated_batch_is_a_repetition_or_recorded_twice() {
    check(Mutation::Repeat, LocalChecks::On, ALL, |caught| {
        let is_repeated = matches!(breach(caught), Some(Breach::Repeat { .. }));
        is_repeated
            || matches!(
                flaw(caught),
                Some(ChannelFlaw::RecordedTwice { .. } | ChannelFlaw::Overlap { .. })
            )
    });
}

#[test]
fn reordered_batches_leave_a_gap_or_are_recorded_out_of_order() {
    check(Mutation::Reorder, LocalChecks::On, ALL, |caught| {
        let is_gap = matches!(
            breach(caught),
            Some(Breach::Gap { .. } | Breach::OvertakenMissing { .. })
        );
        is_gap || matches!(flaw(caught), Some(ChannelFlaw::OutOfOrder { .. }))
    });
}

#[test]
fn a_batch_of_an_old_attempt_is_refused() {
    check(Mutation::OldAttempt, LocalChecks::On, ALL, |caught| {
        matches!(breach(caught), Some(Breach::OldAttempt { .. }))
    });
}

/// All counts are right: only the clocks can tell.
#[test]
fn a_forged_count_is_caught_by_the_clocks() {
    check(
        Mutation::ForgeCount,
        LocalChecks::Off,
        ALIGNED,
        |caught| matches!(caught, Caught::ByCoordinator(CutViolation::Future { seen, cut, .. }) if seen > cut),
    );
}

/// Neither the counts nor the clocks of neighbours can tell, only those of a source and a task that it does
/// not send to.
#[test]
fn a_contradiction_between_tasks_that_are_not_neighbours_is_caught() {
    let sources = [id(0), id(1), id(2)];
    check(
        Mutation::ForgeCountAndHideClock,
        LocalChecks::Off,
        ALIGNED,
        |caught| {
            matches!(
                caught,
                Caught::ByCoordinator(CutViolation::Future { known, by, seen, cut })
                    if seen > cut && sources.contains(known) && !sources.contains(by)
            )
        },
    );
}
