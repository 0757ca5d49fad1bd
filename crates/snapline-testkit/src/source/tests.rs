//! The suite holds for a model of the contract, and each case fails on a model with one flaw.

use super::double::{Double, Flaw};
use super::{Outcome, Subject, cases};
use snapline_connector::SequenceSource;
use std::panic::{AssertUnwindSafe, catch_unwind};

const PARTS: u64 = 3;
const SIZE: u64 = 4;

crate::source_suite!(model, subject(None));

crate::source_suite!(empty, Subject::new(|| Double::new(None, 0, SIZE), []));

fn subject(flaw: Option<Flaw>) -> Subject<Double> {
    Subject::new(move || Double::new(flaw, PARTS, SIZE), 0..PARTS * SIZE)
        .refusing(move || Double::new(flaw, PARTS - 1, SIZE))
        .acknowledged_by(Double::acknowledged)
}

/// Each flaw, and the case that must notice it.
const BITES: [(Flaw, &str); 28] = [
    (Flaw::LosesLastSplit, "the_splits_have_all_records_once"),
    (Flaw::FindsOverlappingSplits, "the_splits_have_all_records_once"),
    (Flaw::RereadsInAnotherOrder, "a_split_is_read_alike_each_time"),
    (Flaw::FindsAgain, "what_was_seen_is_not_found_again"),
    (
        Flaw::IgnoresLimit,
        "a_reader_hands_out_no_more_records_than_it_is_asked_for",
    ),
    (Flaw::ClearsBatch, "records_are_appended_to_those_in_the_batch"),
    (Flaw::EndsOnce, "the_end_comes_alone_and_again"),
    (Flaw::EndsWithRecords, "the_end_comes_alone_and_again"),
    (Flaw::HangsWithoutSplits, "a_reader_without_splits_is_at_its_end"),
    (Flaw::ForgetsOtherSplits, "splits_are_added_while_others_are_read"),
    (
        Flaw::EndIsFinal,
        "a_reader_at_its_end_goes_on_with_splits_that_are_added",
    ),
    (
        Flaw::SnapshotReadsAhead,
        "reading_resumes_at_the_very_next_record",
    ),
    (Flaw::ResumesRelatively, "a_resumed_reader_is_resumed_again"),
    (
        Flaw::SnapshotTakesSplits,
        "reading_goes_on_undisturbed_by_snapshots",
    ),
    (
        Flaw::SnapshotHasFinishedSplits,
        "a_snapshot_at_the_end_has_no_splits",
    ),
    (
        Flaw::PositionsAreOfTheProcess,
        "a_new_process_reads_exactly_the_rest",
    ),
    (
        Flaw::SnapshotIsOfFirstReader,
        "what_some_readers_have_left_is_read_by_any_number_of_others",
    ),
    (
        Flaw::NamesFirstSplit,
        "a_batch_has_records_of_the_split_that_is_named",
    ),
    (
        Flaw::FinishesTwice,
        "each_split_is_named_once_when_it_is_read_to_its_end",
    ),
    (
        Flaw::FinishesEarly,
        "each_split_is_named_once_when_it_is_read_to_its_end",
    ),
    (
        Flaw::ReadsPausedSplits,
        "a_paused_split_is_left_aside_and_goes_on_with_its_next_record",
    ),
    (
        Flaw::PausedAreNotInSnapshot,
        "a_reader_whose_splits_are_all_paused_waits_and_keeps_them",
    ),
    (
        Flaw::RefusesProgress,
        "a_checkpoint_of_the_same_source_is_accepted",
    ),
    (Flaw::AcceptsAll, "a_changed_source_is_refused"),
    (
        Flaw::AcknowledgesAllThatWasRead,
        "what_no_complete_checkpoint_has_can_be_read_again",
    ),
    (
        Flaw::AcknowledgesAtSnapshot,
        "nothing_is_acknowledged_before_a_checkpoint_is_complete",
    ),
    (
        Flaw::NeverAcknowledges,
        "a_complete_checkpoint_acknowledges_what_came_before_it_and_no_more",
    ),
    (
        Flaw::AcknowledgesOldestSnapshotOnly,
        "what_came_before_a_checkpoint_that_was_given_up_is_acknowledged_with_the_next",
    ),
];

#[test]
fn each_flaw_is_noticed_by_its_case() {
    for (flaw, name) in BITES {
        assert!(fails(name, flaw), "{name} passes in spite of {flaw:?}");
    }
}

#[test]
fn every_case_is_shown_to_bite() {
    for case in cases::<Double>() {
        let shown = BITES.iter().any(|(_, name)| *name == case.name);
        assert!(shown, "nothing shows that {} bites", case.name);
    }
}

#[test]
fn a_case_beyond_what_is_known_of_a_source_is_skipped() {
    let subject = Subject::new(|| SequenceSource::new(0..5), 0..5).volatile();
    let skipped = cases()
        .into_iter()
        .filter(|case| case.check(&subject) != Outcome::Held);
    let names: Vec<&str> = skipped.map(|case| case.name).collect();
    let expected = [
        "what_was_seen_is_not_found_again",
        "a_new_process_reads_exactly_the_rest",
        "a_changed_source_is_refused",
        "nothing_is_acknowledged_before_a_checkpoint_is_complete",
        "a_complete_checkpoint_acknowledges_what_came_before_it_and_no_more",
        "what_came_before_a_checkpoint_that_was_given_up_is_acknowledged_with_the_next",
    ];
    assert_eq!(names, expected);
}

fn fails(name: &str, flaw: Flaw) -> bool {
    let case = cases().into_iter().find(|case| case.name == name);
    let case = case.expect("there is no such case");
    let outcome = catch_unwind(AssertUnwindSafe(|| case.check(&subject(Some(flaw)))));
    assert!(
        matches!(outcome, Ok(Outcome::Held) | Err(_)),
        "{name} was skipped"
    );
    outcome.is_err()
}
