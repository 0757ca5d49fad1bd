//! The suite holds for a model of the contract, and each case fails on a model with one flaw.

use super::double::{Double, Flaw};
use super::{Case, Outcome, Subject, cases};
use crate::fault::{Amnesiac, Schedule};
use futures::executor::block_on;
use snapline_state::StorageCapability;
use std::panic::{AssertUnwindSafe, catch_unwind};

crate::checkpoint_storage_suite!(model, {
    let storage = Double::sound();
    Subject::new(storage.clone()).reopened_by(move || storage.clone())
});

/// Each flaw, and the case that must notice it.
const BITES: [(Flaw, &str); 31] = [
    (Flaw::CreateStoresNothing, "a_created_object_can_be_read"),
    (
        Flaw::LastCreateWins,
        "create_of_a_taken_key_answers_with_the_bytes_that_are_there",
    ),
    (
        Flaw::CreateTakesPutsAway,
        "create_of_a_taken_key_answers_with_the_bytes_that_are_there",
    ),
    (Flaw::RetryLoses, "create_again_with_the_same_bytes_is_a_success"),
    (
        Flaw::CreateSeesOwnThreadOnly,
        "exactly_one_of_sixteen_racing_creates_wins",
    ),
    (
        Flaw::CreateInTwoSteps,
        "a_reader_sees_nothing_or_all_of_a_created_object",
    ),
    (Flaw::PutStoresNothing, "an_object_that_was_put_can_be_read"),
    (
        Flaw::ChecksumOfFirstPiece,
        "put_tells_the_length_and_the_crc32c_of_the_content",
    ),
    (
        Flaw::StopsAtEmptyPiece,
        "put_stores_several_megabytes_that_come_in_pieces",
    ),
    (Flaw::EmptyIsMissing, "an_empty_object_is_an_object"),
    (Flaw::PutOverwritesInPlace, "put_replaces_an_object_as_a_whole"),
    (
        Flaw::PutInTwoSteps,
        "a_reader_sees_the_old_or_the_new_object_and_no_mixture",
    ),
    (
        Flaw::OwnErrorForContents,
        "put_gives_back_the_first_error_of_its_content",
    ),
    (
        Flaw::FailedPutIsVisible,
        "a_put_whose_content_fails_leaves_no_object",
    ),
    (
        Flaw::PutRemovesFirst,
        "a_put_whose_content_fails_keeps_the_object_that_was_there",
    ),
    (Flaw::PutGrowsVisibly, "a_dropped_put_leaves_no_object"),
    (Flaw::MissingIsEmpty, "a_missing_object_is_none"),
    (Flaw::RangeLosesLastByte, "a_range_reads_any_part"),
    (Flaw::RangePastEndFails, "a_range_is_cut_at_the_end"),
    (
        Flaw::FoldersAreDashes,
        "keys_that_look_alike_are_different_objects",
    ),
    (Flaw::ListIsBehind, "an_object_is_listed_once_it_is_stored"),
    (Flaw::ListWalksFolders, "list_is_ordered_by_the_bytes_of_the_key"),
    (Flaw::PrefixIsFolder, "list_gives_the_keys_that_start_with_a_text"),
    (Flaw::AfterIsIncluded, "list_begins_after_a_key"),
    (Flaw::ListHasOnePage, "list_gives_all_of_many_keys"),
    (
        Flaw::PrefixIsCleaned,
        "a_text_that_no_key_starts_with_lists_nothing",
    ),
    (Flaw::ReadsAreStale, "a_deleted_object_is_gone"),
    (Flaw::DeleteOfMissingFails, "delete_passes_over_missing_objects"),
    (Flaw::DeletedStaysTaken, "a_deleted_key_can_be_created_anew"),
    (Flaw::HandlesAreApart, "two_handles_see_each_others_objects"),
    (Flaw::HandlesAreApart, "a_race_between_handles_has_one_winner"),
];

const AFTER_A_CRASH: &str = "what_was_stored_is_there_when_opened_again";

#[test]
fn each_flaw_is_noticed_by_its_case() {
    for (flaw, name) in BITES {
        let storage = Double::with(flaw);
        let subject = Subject::new(storage.clone()).reopened_by(move || storage.another());
        assert!(fails(name, subject), "{name} passes in spite of {flaw:?}");
    }
}

#[test]
fn a_storage_that_acknowledges_before_it_syncs_is_noticed() {
    for forgotten in 0..6 {
        let storage = Amnesiac::new(Double::sound(), Schedule::calls([forgotten]));
        let subject = Subject::new(storage.clone()).reopened_by(move || {
            block_on(storage.crash()).unwrap();
            storage.clone()
        });
        // The third write is replaced by the fourth, what the fifth stored is removed by the sixth.
        let matters = ![2, 4].contains(&forgotten);
        assert_eq!(fails(AFTER_A_CRASH, subject), matters, "write {forgotten}");
    }
}

#[test]
fn every_case_is_shown_to_bite() {
    for case in cases() {
        let shown = BITES.iter().any(|(_, name)| *name == case.name);
        assert!(
            shown || case.name == AFTER_A_CRASH,
            "nothing shows that {} bites",
            case.name
        );
    }
}

#[test]
fn a_case_beyond_what_a_storage_claims_is_skipped() {
    let large = ["put_stores_several_megabytes_that_come_in_pieces"];
    let handles = [
        "two_handles_see_each_others_objects",
        "a_race_between_handles_has_one_winner",
    ];
    let full = StorageCapability::FULL;
    assert_eq!(skipped(full.limited_to(1_000_000), true), large);
    assert_eq!(skipped(full.volatile(), true), [AFTER_A_CRASH]);
    assert_eq!(skipped(full.single_process(), true), handles);
    assert_eq!(skipped(full, true), [""; 0]);
    assert_eq!(skipped(full, false), [handles[0], handles[1], AFTER_A_CRASH]);
}

fn skipped(capability: StorageCapability, can_reopen: bool) -> Vec<&'static str> {
    let is_skipped = |case: &Case| {
        let storage = Double::sound().claiming(capability);
        let subject = Subject::new(storage.clone());
        let subject = match can_reopen {
            true => subject.reopened_by(move || storage.clone()),
            false => subject,
        };
        case.check(subject) != Outcome::Held
    };
    let skipped = cases().into_iter().filter(is_skipped);
    skipped.map(|case| case.name).collect()
}

fn fails(name: &str, subject: Subject) -> bool {
    let case = cases().into_iter().find(|case| case.name == name);
    let case = case.expect("there is no such case");
    let outcome = catch_unwind(AssertUnwindSafe(|| case.check(subject)));
    assert!(
        matches!(outcome, Ok(Outcome::Held) | Err(_)),
        "{name} was skipped"
    );
    outcome.is_err()
}
