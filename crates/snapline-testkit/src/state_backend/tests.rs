//! The suite holds for a backend of bytes and one of live values, and its cases fail on flawed ones.

use super::double::{Double, Flaw};
use super::{Subject, cases};
use snapline_state_memory::MemoryStateBackend;
use std::panic::{AssertUnwindSafe, catch_unwind};

crate::state_backend_suite!(bytes, || Double(Flaw::None));
crate::state_backend_suite!(live, MemoryStateBackend::new);

/// Each flaw, and the case that must notice it.
const BITES: [(Flaw, &str); 71] = [
    (
        Flaw::ManyAnswersLeaveOutMissing,
        "keys_that_are_read_together_have_the_values_of_each",
    ),
    (
        Flaw::ManyAnswersLeaveOutMissing,
        "a_batch_equals_its_single_updates_with_repeated_keys",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_value_lives_its_time_after_each_write_and_leaves_nothing",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_restored_value_has_the_time_left_that_it_had",
    ),
    (
        Flaw::TypesAreNotChecked,
        "namespaces_of_an_older_version_are_migrated_with_their_values",
    ),
    (Flaw::KeysAreTrimmed, "maps_of_keys_that_look_alike_are_apart"),
    (Flaw::MissingIsZero, "a_key_has_no_value_until_it_gets_one"),
    (Flaw::MissingIsZero, "an_update_may_leave_a_key_without_a_value"),
    (
        Flaw::ValuesAreNotReplaced,
        "a_restored_state_can_be_changed_and_restored_again",
    ),
    (
        Flaw::ClearDoesNothing,
        "a_value_is_set_replaced_cleared_and_set_again",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_value_is_set_replaced_cleared_and_set_again",
    ),
    (
        Flaw::KeysAreTrimmed,
        "keys_that_look_alike_have_values_of_their_own",
    ),
    (
        Flaw::ClearDoesNothing,
        "what_is_taken_is_in_the_snapshot_before_and_in_none_after",
    ),
    (
        Flaw::OneMapForAllStates,
        "states_of_different_names_are_independent",
    ),
    (Flaw::ScanStopsAtThousand, "a_scan_visits_every_entry_once"),
    (Flaw::ValuesAreNotReplaced, "values_are_combined_in_order"),
    (
        Flaw::ValuesAreNotReplaced,
        "a_batch_equals_its_single_updates_with_repeated_keys",
    ),
    (
        Flaw::ClearDoesNothing,
        "a_list_keeps_its_order_and_an_empty_one_is_none",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_list_keeps_its_order_and_an_empty_one_is_none",
    ),
    (
        Flaw::ClearDoesNothing,
        "a_map_keeps_its_entries_and_goes_with_its_last",
    ),
    (Flaw::ValuesAreNotReplaced, "an_accumulator_goes_on_where_it_was"),
    (
        Flaw::RestoresOnce,
        "values_of_a_key_are_apart_by_namespace_at_any_parallelism",
    ),
    (
        Flaw::ClearDoesNothing,
        "values_of_a_key_are_apart_by_namespace_at_any_parallelism",
    ),
    (Flaw::RestoresOnce, "lists_and_maps_are_whole_at_any_parallelism"),
    (
        Flaw::OneMapForAllStates,
        "lists_and_maps_are_whole_at_any_parallelism",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_timer_comes_once_when_its_time_has_come_unless_it_was_deleted",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "timers_are_an_ordered_set_through_all_snapshots",
    ),
    (
        Flaw::RestoresOnce,
        "each_timer_is_in_one_subtask_at_any_parallelism",
    ),
    (
        Flaw::IgnoresKeyGroups,
        "each_timer_is_in_one_subtask_at_any_parallelism",
    ),
    (Flaw::SnapshotReadsLate, "a_snapshot_has_the_timers_of_its_moment"),
    (
        Flaw::SnapshotReadsLate,
        "a_snapshot_holds_the_moment_of_its_freeze_while_writes_go_on",
    ),
    (
        Flaw::SnapshotReadsLate,
        "snapshots_taken_before_any_is_persisted_hold_their_own_moments",
    ),
    (
        Flaw::OneFrozenStateAtATime,
        "snapshots_taken_before_any_is_persisted_hold_their_own_moments",
    ),
    (
        Flaw::EmptySnapshotCannotBeRead,
        "a_snapshot_of_nothing_restores_nothing",
    ),
    (Flaw::DeletesAreForgotten, "deleted_entries_stay_deleted"),
    (Flaw::LongValuesAreCut, "large_values_and_keys_come_back"),
    (Flaw::OnlySixtyFourStates, "a_hundred_states_come_back"),
    (
        Flaw::DroppedSnapshotTakesTheState,
        "a_snapshot_that_is_given_up_does_not_disturb_the_next",
    ),
    (
        Flaw::FailedPersistTakesTheState,
        "a_snapshot_that_cannot_be_stored_leaves_the_state_unharmed",
    ),
    (
        Flaw::RefersToAllBefore,
        "a_snapshot_that_builds_on_another_holds_its_own_moment",
    ),
    (
        Flaw::RefersToAllBefore,
        "a_snapshot_refers_to_its_own_files_and_those_of_its_base_alone",
    ),
    (
        Flaw::RestoresOnce,
        "snapshots_that_build_on_others_are_dealt_out_to_any_number_of_subtasks",
    ),
    (
        Flaw::RestoresOnce,
        "every_entry_is_in_its_own_subtask_once_at_any_parallelism",
    ),
    (
        Flaw::IgnoresKeyGroups,
        "every_entry_is_in_its_own_subtask_once_at_any_parallelism",
    ),
    (
        Flaw::SnapshotsWhatWasAccessed,
        "a_state_that_nobody_accessed_is_in_the_next_snapshot",
    ),
    (
        Flaw::LosesUnclaimedStates,
        "a_state_that_the_program_does_not_want_is_in_the_next_snapshot",
    ),
    (
        Flaw::MatchesByPosition,
        "states_are_found_by_name_and_a_new_one_is_empty",
    ),
    (
        Flaw::TypesAreNotChecked,
        "a_state_of_another_type_is_refused_by_name",
    ),
    (
        Flaw::TypesAreNotChecked,
        "values_of_an_older_version_are_migrated_once",
    ),
    (
        Flaw::TypesAreNotChecked,
        "a_version_that_cannot_be_read_is_refused_by_name",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "what_has_expired_is_neither_returned_nor_restored",
    ),
    (
        Flaw::TypesAreNotChecked,
        "a_time_to_live_is_given_changed_and_taken",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "an_older_value_does_not_come_back_when_the_newer_expires",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "merged_namespaces_have_what_all_had_and_the_others_are_gone",
    ),
    (Flaw::ValuesAreNotReplaced, "what_has_expired_is_not_merged"),
    (
        Flaw::ClearDoesNothing,
        "a_function_is_given_all_keys_once_and_may_change_the_state",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "the_keys_of_a_namespace_are_those_that_have_a_value_in_it",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "the_entries_of_a_map_can_be_gone_through_changed_and_left_out",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "the_items_of_a_list_and_a_map_expire_one_by_one",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_read_lets_items_live_on_when_it_is_to",
    ),
    (
        Flaw::TypesAreNotChecked,
        "items_come_to_expire_and_to_live_for_ever",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_time_to_live_beyond_the_end_of_time_is_for_ever",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "values_expire_in_event_time_by_the_watermark",
    ),
    (
        Flaw::ClearDoesNothing,
        "what_has_expired_is_returned_once_where_that_is_wanted",
    ),
    (
        Flaw::ClearDoesNothing,
        "what_nobody_touches_goes_when_it_has_expired",
    ),
    (
        Flaw::ValuesAreNotReplaced,
        "a_clean_up_does_not_disturb_a_snapshot",
    ),
    (
        Flaw::RestoresOnce,
        "keys_of_an_older_version_become_others_and_are_dealt_out_anew",
    ),
    (
        Flaw::TypesAreNotChecked,
        "keys_that_cannot_be_migrated_are_refused",
    ),
    (Flaw::SkipsChecksum, "a_flipped_byte_is_found"),
    (Flaw::ShortFileIsCut, "a_file_that_was_cut_short_is_found"),
    (Flaw::MissingFileIsEmpty, "a_missing_file_is_found"),
];

#[test]
fn every_flaw_is_noticed_by_its_case() {
    for (flaw, name) in BITES {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let check = AssertUnwindSafe(|| case.check(&Subject::from(Double(flaw))));
        assert!(catch_unwind(check).is_err(), "{name} does not notice {flaw:?}");
    }
}

#[test]
fn every_case_notices_a_flaw() {
    for case in cases() {
        assert!(BITES.iter().any(|(_, name)| *name == case.name), "{}", case.name);
    }
}
