//! The conformance suite of [`StateBackend`].
//!
//! One case is one sentence about what operators rely on. They work through the typed states, so a
//! backend may keep live values or bytes. [`state_backend_suite!`] makes a `#[test]` of each;
//! [`cases`] hands them out to run elsewhere. Each case is shown to fail on a backend that breaks it.
//!
//! Snapshots go to a storage of the suite's own, in memory.
//!
//! [`state_backend_suite!`]: crate::state_backend_suite
//! [`StateBackend`]: snapline_state::StateBackend

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a case is a test: what does not hold panics"
)]

mod chain;
mod clean_up;
mod damage;
mod evolution;
mod expiry;
mod key_evolution;
mod lifetime;
mod namespaces;
mod restore;
mod shelf;
mod snapshot;
mod subject;
mod timers;
mod typed;
mod value;

pub use subject::Subject;

/// One sentence, and how to check it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What the sentence is about: `value`, `typed`, `namespaces`, `timers`, `snapshot`, `chain`,
    /// `restore`, `evolution`, `key_evolution`, `expiry` or `damage`.
    pub group: &'static str,
    /// The sentence, as the name of a test.
    pub name: &'static str,
    check: fn(&Subject),
}

impl Case {
    /// Checks a backend.
    ///
    /// # Panics
    /// The backend does not do as the sentence says.
    pub fn check(&self, subject: &Subject) {
        (self.check)(subject);
    }
}

/// All cases.
///
/// ```
/// use snapline_state_memory::MemoryStateBackend;
/// use snapline_testkit::state_backend::cases;
///
/// let case = cases()[0];
/// case.check(&MemoryStateBackend::new().into());
/// assert_eq!(case.group, "value");
/// ```
pub fn cases() -> Vec<Case> {
    crate::state_backend_suite!(@cases table)
}

/// Runs the case of this name.
#[doc(hidden)]
pub fn run(name: &str, subject: &Subject) {
    match cases().into_iter().find(|case| case.name == name) {
        Some(case) => case.check(subject),
        None => panic!("there is no case {name}"),
    }
}

/// Makes a module of tests, one for each case, that check one implementation of `StateBackend`.
///
/// The closure makes the backend; it is called once for each test.
///
/// ```
/// # use snapline_state_memory::MemoryStateBackend;
/// snapline_testkit::state_backend_suite!(memory, || MemoryStateBackend::new());
/// ```
#[macro_export]
macro_rules! state_backend_suite {
    ($suite:ident, $make:expr $(,)?) => {
        $crate::state_backend_suite!(@cases tests $suite, $make);
    };
    (@cases $($then:tt)*) => {
        $crate::state_backend_suite! { @$($then)* => [
            value: a_key_has_no_value_until_it_gets_one,
            value: a_value_is_set_replaced_cleared_and_set_again,
            value: keys_that_look_alike_have_values_of_their_own,
            value: what_is_taken_is_in_the_snapshot_before_and_in_none_after,
            value: states_of_different_names_are_independent,
            value: a_scan_visits_every_entry_once,
            value: an_update_may_leave_a_key_without_a_value,
            value: values_are_combined_in_order,
            value: a_batch_equals_its_single_updates_with_repeated_keys,
            value: keys_that_are_read_together_have_the_values_of_each,
            typed: a_list_keeps_its_order_and_an_empty_one_is_none,
            typed: a_map_keeps_its_entries_and_goes_with_its_last,
            typed: maps_of_keys_that_look_alike_are_apart,
            typed: an_accumulator_goes_on_where_it_was,
            typed: values_of_a_key_are_apart_by_namespace_at_any_parallelism,
            typed: lists_and_maps_are_whole_at_any_parallelism,
            namespaces: merged_namespaces_have_what_all_had_and_the_others_are_gone,
            namespaces: what_has_expired_is_not_merged,
            namespaces: a_function_is_given_all_keys_once_and_may_change_the_state,
            namespaces: the_keys_of_a_namespace_are_those_that_have_a_value_in_it,
            namespaces: the_entries_of_a_map_can_be_gone_through_changed_and_left_out,
            timers: a_timer_comes_once_when_its_time_has_come_unless_it_was_deleted,
            timers: timers_are_an_ordered_set_through_all_snapshots,
            timers: each_timer_is_in_one_subtask_at_any_parallelism,
            timers: a_snapshot_has_the_timers_of_its_moment,
            snapshot: a_snapshot_holds_the_moment_of_its_freeze_while_writes_go_on,
            snapshot: snapshots_taken_before_any_is_persisted_hold_their_own_moments,
            snapshot: a_snapshot_of_nothing_restores_nothing,
            snapshot: deleted_entries_stay_deleted,
            snapshot: large_values_and_keys_come_back,
            snapshot: a_hundred_states_come_back,
            snapshot: a_snapshot_that_is_given_up_does_not_disturb_the_next,
            snapshot: a_snapshot_that_cannot_be_stored_leaves_the_state_unharmed,
            chain: a_snapshot_that_builds_on_another_holds_its_own_moment,
            chain: a_snapshot_refers_to_its_own_files_and_those_of_its_base_alone,
            chain: snapshots_that_build_on_others_are_dealt_out_to_any_number_of_subtasks,
            restore: a_restored_state_can_be_changed_and_restored_again,
            restore: every_entry_is_in_its_own_subtask_once_at_any_parallelism,
            restore: a_state_that_nobody_accessed_is_in_the_next_snapshot,
            restore: a_state_that_the_program_does_not_want_is_in_the_next_snapshot,
            restore: states_are_found_by_name_and_a_new_one_is_empty,
            restore: a_state_of_another_type_is_refused_by_name,
            evolution: values_of_an_older_version_are_migrated_once,
            evolution: namespaces_of_an_older_version_are_migrated_with_their_values,
            evolution: a_version_that_cannot_be_read_is_refused_by_name,
            evolution: what_has_expired_is_neither_returned_nor_restored,
            evolution: an_older_value_does_not_come_back_when_the_newer_expires,
            evolution: a_time_to_live_is_given_changed_and_taken,
            key_evolution: keys_of_an_older_version_become_others_and_are_dealt_out_anew,
            key_evolution: keys_that_cannot_be_migrated_are_refused,
            lifetime: a_value_lives_its_time_after_each_write_and_leaves_nothing,
            lifetime: a_restored_value_has_the_time_left_that_it_had,
            expiry: the_items_of_a_list_and_a_map_expire_one_by_one,
            expiry: a_read_lets_items_live_on_when_it_is_to,
            expiry: items_come_to_expire_and_to_live_for_ever,
            expiry: a_time_to_live_beyond_the_end_of_time_is_for_ever,
            expiry: values_expire_in_event_time_by_the_watermark,
            expiry: what_has_expired_is_returned_once_where_that_is_wanted,
            clean_up: what_nobody_touches_goes_when_it_has_expired,
            clean_up: a_clean_up_does_not_disturb_a_snapshot,
            damage: a_flipped_byte_is_found,
            damage: a_file_that_was_cut_short_is_found,
            damage: a_missing_file_is_found,
        ] }
    };
    (@tests $suite:ident, $make:expr => [$($group:ident: $name:ident,)*]) => {
        mod $suite {
            #[allow(unused_imports, reason = "the closure may need what surrounds it")]
            use super::*;

            $(
                #[test]
                fn $name() {
                    let make = $make;
                    let subject = $crate::state_backend::Subject::from(make());
                    $crate::state_backend::run(stringify!($name), &subject);
                }
            )*
        }
    };
    (@table => [$($group:ident: $name:ident,)*]) => {
        vec![$(Case {
            group: stringify!($group),
            name: stringify!($name),
            check: $group::$name,
        },)*]
    };
}

#[cfg(test)]
mod double;
#[cfg(test)]
mod tests;
