//! The suite holds for a model of each kind of sink, and each case fails on a model with one flaw.

use super::double::{Flaw, subject};
use super::{Guarantee, Outcome, Subject, cases};
use snapline_connector::{CollectSink, RecoveryScope};
use std::panic::{AssertUnwindSafe, catch_unwind};

crate::sink_suite!(
    exactly_once,
    subject(Flaw::None, Guarantee::ExactlyOnce, RecoveryScope::Sink)
);
crate::sink_suite!(
    exactly_once_by_subtask,
    subject(Flaw::None, Guarantee::ExactlyOnce, RecoveryScope::Subtask)
);
crate::sink_suite!(
    at_least_once,
    subject(Flaw::None, Guarantee::AtLeastOnce, RecoveryScope::Subtask)
);
crate::sink_suite!(
    upsert,
    subject(Flaw::None, Guarantee::Upsert, RecoveryScope::Subtask)
);
crate::sink_suite!(collect, {
    let (sink, collected) = CollectSink::new();
    Subject::exactly_once(move || sink.clone(), move || collected.snapshot())
});

/// Each flaw of a sink that is exactly once, and the case that must notice it.
const BITES: [(Flaw, &str); 20] = [
    (Flaw::KeepsTheBatch, "a_write_leaves_the_batch_empty"),
    (
        Flaw::BarrierComesLate,
        "what_is_written_after_a_barrier_belongs_to_the_next_checkpoint",
    ),
    (
        Flaw::EmptyIsPrepared,
        "a_checkpoint_without_records_has_no_committables",
    ),
    (Flaw::WritesAtOnce, "nothing_is_visible_before_it_is_committed"),
    (Flaw::CommitsNothing, "what_was_committed_is_visible_once"),
    (Flaw::LosesBeyondAThousand, "many_records_come_whole"),
    (Flaw::CommitsAgain, "a_commit_that_is_repeated_changes_nothing"),
    (
        Flaw::UnknownIsRefused,
        "a_commit_that_is_repeated_changes_nothing",
    ),
    (
        Flaw::UnknownIsRefused,
        "a_commit_that_was_cut_off_can_be_repeated",
    ),
    (
        Flaw::PreparesOneAtATime,
        "checkpoints_that_were_prepared_one_after_the_other_are_committed_so",
    ),
    (
        Flaw::PreparesOneAtATime,
        "committables_of_a_checkpoint_that_was_given_up_go_with_the_next",
    ),
    (
        Flaw::CommitNeedsItsProcess,
        "committables_are_all_that_a_commit_needs",
    ),
    (
        Flaw::TwoWritersAtMost,
        "what_any_number_of_writers_has_prepared_is_committed_by_a_run_with_another",
    ),
    (
        Flaw::LeavesTransactions,
        "a_job_that_begins_anew_finds_nothing_of_before",
    ),
    (
        Flaw::LeavesTransactions,
        "a_job_that_resumes_finds_what_its_checkpoint_has",
    ),
    (
        Flaw::KeepsLaterResults,
        "results_of_a_job_that_begins_anew_are_not_mixed_with_others",
    ),
    (
        Flaw::KeepsLaterResults,
        "results_after_the_restored_checkpoint_are_withdrawn_or_the_job_is_refused",
    ),
    (
        Flaw::NamesHaveNoAttempt,
        "a_writer_that_was_taken_over_gets_nothing_visible",
    ),
    (
        Flaw::LateCommitCleansUp,
        "a_commit_that_comes_late_changes_nothing",
    ),
    (
        Flaw::IgnoresTheAttempt,
        "a_recovery_that_comes_late_takes_nothing_from_a_newer_attempt",
    ),
];

const CRASHES: &str = "every_record_is_visible_once_wherever_the_job_crashes_twice";
const ALONE: &str = "a_subtask_that_restarts_alone_takes_nothing_from_the_others";

/// The same of sinks that write at once.
const AT_ONCE: [(Flaw, &str); 3] = [
    (
        Flaw::WritesWhenCommitted,
        "what_was_prepared_is_visible_without_a_commit",
    ),
    (
        Flaw::LosesTheLastBatch,
        "no_record_is_lost_wherever_the_job_crashes_twice",
    ),
    (
        Flaw::InsertsOnly,
        "a_key_that_comes_again_is_one_row_with_its_last_value",
    ),
];

#[test]
fn each_flaw_is_noticed_by_its_case() {
    for (flaw, name) in BITES {
        let flawed = subject(flaw, Guarantee::ExactlyOnce, RecoveryScope::Sink);
        assert!(fails(name, &flawed), "{name} does not notice {flaw:?}");
    }
    for (flaw, name) in AT_ONCE {
        let flawed = subject(flaw, Guarantee::Upsert, RecoveryScope::Subtask);
        assert!(fails(name, &flawed), "{name} does not notice {flaw:?}");
    }
    let greedy = subject(
        Flaw::TakesOtherSubtasks,
        Guarantee::ExactlyOnce,
        RecoveryScope::Subtask,
    );
    assert!(fails(ALONE, &greedy));
}

#[test]
fn crashes_everywhere_notice_each_flaw_that_a_crash_can_show() {
    let flaws = [
        Flaw::WritesAtOnce,
        Flaw::CommitsNothing,
        Flaw::CommitsAgain,
        Flaw::UnknownIsRefused,
        Flaw::CommitNeedsItsProcess,
        Flaw::PreparesOneAtATime,
        Flaw::LeavesTransactions,
    ];
    for flaw in flaws {
        let flawed = subject(flaw, Guarantee::ExactlyOnce, RecoveryScope::Sink);
        assert!(fails(CRASHES, &flawed), "{flaw:?} is not noticed");
    }
}

#[test]
fn every_case_is_shown_to_bite() {
    for case in cases() {
        let mut shown = BITES.iter().chain(&AT_ONCE);
        let is_shown = shown.any(|(_, name)| *name == case.name) || [CRASHES, ALONE].contains(&case.name);
        assert!(is_shown, "nothing shows that {} bites", case.name);
    }
}

#[test]
fn a_sink_is_held_to_what_it_promises() {
    let skipped = |guarantee, scope| {
        let outcomes = cases()
            .into_iter()
            .map(|case| case.check(&subject(Flaw::None, guarantee, scope)));
        outcomes.filter(|outcome| *outcome != Outcome::Held).count()
    };
    let all = cases().len();
    assert_eq!(
        [
            (Guarantee::ExactlyOnce, RecoveryScope::Subtask),
            (Guarantee::ExactlyOnce, RecoveryScope::Sink),
            (Guarantee::Upsert, RecoveryScope::Subtask),
            (Guarantee::AtLeastOnce, RecoveryScope::Subtask),
        ]
        .map(|(guarantee, scope)| all - skipped(guarantee, scope)),
        [21, 20, 6, 5]
    );
}

fn fails(name: &str, subject: &Subject) -> bool {
    let case = cases().into_iter().find(|case| case.name == name).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| case.check(subject)));
    assert!(
        matches!(outcome, Ok(Outcome::Held) | Err(_)),
        "{name} was skipped"
    );
    outcome.is_err()
}
