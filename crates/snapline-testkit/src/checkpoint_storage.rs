//! The conformance suite of [`CheckpointStorage`].
//!
//! One case is one sentence of the trait's contract. [`checkpoint_storage_suite!`] makes a `#[test]`
//! of each; [`cases`] hands them out to run elsewhere. Each case is shown to fail on a storage that
//! breaks its sentence.
//!
//! [`checkpoint_storage_suite!`]: crate::checkpoint_storage_suite
//! [`CheckpointStorage`]: snapline_state::CheckpointStorage

mod content;
mod create;
mod delete;
mod get;
mod list;
mod put;
mod reopen;
mod subject;

pub use crate::outcome::Outcome;
pub use subject::Subject;

/// One sentence of the contract, and how to check it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The part of the contract that the sentence is about: a method, or `reopen`.
    pub group: &'static str,
    /// The sentence, as the name of a test.
    pub name: &'static str,
    check: fn(Subject) -> Outcome,
}

impl Case {
    /// Checks a storage that has no objects yet.
    ///
    /// # Panics
    /// The storage does not do as the sentence says.
    pub fn check(&self, subject: Subject) -> Outcome {
        (self.check)(subject)
    }
}

/// All cases, in the order of the trait's methods.
///
/// ```
/// use snapline_state_memory::MemoryCheckpointStorage;
/// use snapline_testkit::checkpoint_storage::{Outcome, cases};
///
/// let case = cases()[0];
/// let outcome = case.check(MemoryCheckpointStorage::new().into());
/// assert_eq!((case.group, outcome), ("create", Outcome::Held));
/// ```
pub fn cases() -> Vec<Case> {
    crate::checkpoint_storage_suite!(@cases table)
}

/// Runs the case of this name and says on standard error when it was skipped.
#[doc(hidden)]
pub fn run(name: &str, subject: Subject) {
    let location = subject.location();
    let Some(case) = cases().into_iter().find(|case| case.name == name) else {
        panic!("there is no case {name}");
    };
    case.check(subject).tell(&format!("{name} on {location}"));
}

/// Makes a module of tests, one for each case, that check one implementation of `CheckpointStorage`.
///
/// The expression makes a storage without objects: the storage itself, or a
/// [`Subject`](crate::checkpoint_storage::Subject) that can also be opened again.
///
/// ```
/// # use snapline_state_memory::MemoryCheckpointStorage;
/// snapline_testkit::checkpoint_storage_suite!(memory, MemoryCheckpointStorage::new());
/// ```
#[macro_export]
macro_rules! checkpoint_storage_suite {
    ($suite:ident, $storage:expr $(,)?) => {
        $crate::checkpoint_storage_suite!(@cases tests $suite, $storage);
    };
    (@cases $($then:tt)*) => {
        $crate::checkpoint_storage_suite! { @$($then)* => [
            create: a_created_object_can_be_read,
            create: create_of_a_taken_key_answers_with_the_bytes_that_are_there,
            create: create_again_with_the_same_bytes_is_a_success,
            create: exactly_one_of_sixteen_racing_creates_wins,
            create: a_reader_sees_nothing_or_all_of_a_created_object,
            put: an_object_that_was_put_can_be_read,
            put: put_tells_the_length_and_the_crc32c_of_the_content,
            put: put_stores_several_megabytes_that_come_in_pieces,
            put: an_empty_object_is_an_object,
            put: put_replaces_an_object_as_a_whole,
            put: a_reader_sees_the_old_or_the_new_object_and_no_mixture,
            put: put_gives_back_the_first_error_of_its_content,
            put: a_put_whose_content_fails_leaves_no_object,
            put: a_put_whose_content_fails_keeps_the_object_that_was_there,
            put: a_dropped_put_leaves_no_object,
            get: a_missing_object_is_none,
            get: a_range_reads_any_part,
            get: a_range_is_cut_at_the_end,
            get: keys_that_look_alike_are_different_objects,
            list: an_object_is_listed_once_it_is_stored,
            list: list_is_ordered_by_the_bytes_of_the_key,
            list: list_gives_the_keys_that_start_with_a_text,
            list: list_begins_after_a_key,
            list: list_gives_all_of_many_keys,
            list: a_text_that_no_key_starts_with_lists_nothing,
            delete: a_deleted_object_is_gone,
            delete: delete_passes_over_missing_objects,
            delete: a_deleted_key_can_be_created_anew,
            reopen: two_handles_see_each_others_objects,
            reopen: a_race_between_handles_has_one_winner,
            reopen: what_was_stored_is_there_when_opened_again,
        ] }
    };
    (@tests $suite:ident, $storage:expr => [$($group:ident: $name:ident,)*]) => {
        mod $suite {
            #[allow(unused_imports, reason = "the expression may need what surrounds it")]
            use super::*;

            $(
                #[test]
                fn $name() {
                    let subject = $crate::checkpoint_storage::Subject::from($storage);
                    $crate::checkpoint_storage::run(stringify!($name), subject);
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
pub(crate) mod double;
#[cfg(test)]
mod tests;
