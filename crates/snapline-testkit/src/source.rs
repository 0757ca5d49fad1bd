//! The conformance suite of [`Source`].
//!
//! One case is one sentence of the contracts of a source, its enumerator and its readers. [`source_suite!`] makes a
//! `#[test]` of each; [`cases`] hands them out to run elsewhere. Each case is shown to fail on a source that breaks it.
//!
//! Every split goes through its encoding before it is read, as in a checkpoint.
//!
//! [`source_suite!`]: crate::source_suite
//! [`Source`]: snapline_connector::Source

#![expect(clippy::unwrap_used, reason = "a case is a test: what does not hold panics")]

mod acknowledge;
mod discover;
mod pause;
mod read;
mod reading;
mod rescale;
mod snapshot;
mod subject;
mod told;
mod verify;

pub use crate::outcome::Outcome;
use snapline_connector::Source;
use std::fmt;
pub use subject::Subject;

/// One sentence, and how to check it on a source.
pub struct Case<S: Source> {
    /// What the sentence is about: `discover`, `read`, `snapshot`, `rescale`, `told`, `pause`, `verify` or `acknowledge`.
    pub group: &'static str,
    /// The sentence, as the name of a test.
    pub name: &'static str,
    check: fn(&Subject<S>) -> Outcome,
}

impl<S: Source> Case<S> {
    /// Checks a source.
    ///
    /// # Panics
    /// The source does not do as the sentence says.
    pub fn check(&self, subject: &Subject<S>) -> Outcome {
        (self.check)(subject)
    }
}

impl<S: Source> fmt::Debug for Case<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("group", &self.group)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// All cases.
///
/// ```
/// use snapline_connector::SequenceSource;
/// use snapline_testkit::source::{Outcome, Subject, cases};
///
/// let subject = Subject::new(|| SequenceSource::new(0..3), 0..3);
/// let case = &cases()[0];
/// assert_eq!((case.group, case.check(&subject)), ("discover", Outcome::Held));
/// ```
pub fn cases<S>() -> Vec<Case<S>>
where
    S: Source,
    S::Item: fmt::Debug,
{
    crate::source_suite!(@cases table)
}

/// Runs the case of this name and says on standard error when it was skipped.
#[doc(hidden)]
pub fn run<S>(name: &str, subject: &Subject<S>)
where
    S: Source,
    S::Item: fmt::Debug,
{
    let Some(case) = cases().into_iter().find(|case| case.name == name) else {
        panic!("there is no case {name}");
    };
    case.check(subject).tell(name);
}

/// Makes a module of tests, one for each case, that check one implementation of `Source`.
///
/// The expression is a [`Subject`](crate::source::Subject): how to make the source, and its records.
///
/// ```
/// # use snapline_connector::SequenceSource;
/// use snapline_testkit::source::Subject;
///
/// snapline_testkit::source_suite!(
///     sequence,
///     Subject::new(|| SequenceSource::new(0..10), 0..10).refusing(|| SequenceSource::new(0..11))
/// );
/// ```
#[macro_export]
macro_rules! source_suite {
    ($suite:ident, $subject:expr $(,)?) => {
        $crate::source_suite!(@cases tests $suite, $subject);
    };
    (@cases $($then:tt)*) => {
        $crate::source_suite! { @$($then)* => [
            discover: the_splits_have_all_records_once,
            discover: a_split_is_read_alike_each_time,
            discover: what_was_seen_is_not_found_again,
            read: a_reader_hands_out_no_more_records_than_it_is_asked_for,
            read: records_are_appended_to_those_in_the_batch,
            read: the_end_comes_alone_and_again,
            read: a_reader_without_splits_is_at_its_end,
            read: splits_are_added_while_others_are_read,
            read: a_reader_at_its_end_goes_on_with_splits_that_are_added,
            snapshot: reading_resumes_at_the_very_next_record,
            snapshot: a_resumed_reader_is_resumed_again,
            snapshot: reading_goes_on_undisturbed_by_snapshots,
            snapshot: a_snapshot_at_the_end_has_no_splits,
            snapshot: a_new_process_reads_exactly_the_rest,
            rescale: what_some_readers_have_left_is_read_by_any_number_of_others,
            told: a_batch_has_records_of_the_split_that_is_named,
            told: each_split_is_named_once_when_it_is_read_to_its_end,
            pause: a_paused_split_is_left_aside_and_goes_on_with_its_next_record,
            pause: a_reader_whose_splits_are_all_paused_waits_and_keeps_them,
            verify: a_checkpoint_of_the_same_source_is_accepted,
            verify: a_changed_source_is_refused,
            acknowledge: what_no_complete_checkpoint_has_can_be_read_again,
            acknowledge: nothing_is_acknowledged_before_a_checkpoint_is_complete,
            acknowledge: a_complete_checkpoint_acknowledges_what_came_before_it_and_no_more,
            acknowledge: what_came_before_a_checkpoint_that_was_given_up_is_acknowledged_with_the_next,
        ] }
    };
    (@tests $suite:ident, $subject:expr => [$($group:ident: $name:ident,)*]) => {
        mod $suite {
            #[allow(unused_imports, reason = "the expression may need what surrounds it")]
            use super::*;

            $(
                #[test]
                fn $name() {
                    $crate::source::run(stringify!($name), &$subject);
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
