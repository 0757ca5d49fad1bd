//! The conformance suite of [`Sink`].
//!
//! One case is one sentence that a job relies on. [`sink_suite!`] makes a `#[test]` of each;
//! [`cases`] hands them out to run elsewhere. What a case speaks of depends on what the sink [promises](Guarantee);
//! the others are skipped. Each case is shown to fail on a sink that breaks its sentence.
//!
//! Committables go through their encoding on the way from a writer to a committer, as they do in a checkpoint.
//!
//! [`sink_suite!`]: crate::sink_suite
//! [`Sink`]: snapline_connector::Sink

#![expect(clippy::unwrap_used, reason = "a case is a test: what does not hold panics")]

mod at_once;
mod barrier;
mod by_hand;
mod commit;
mod crash;
mod job;
mod recover;
mod scope;
mod subject;
mod zombie;

pub use crate::outcome::Outcome;
pub use by_hand::Job;
pub use subject::{Guarantee, Record, Subject};

/// One sentence, and how to check it.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What the sentence is about: `barrier`, `commit`, `recover`, `crash`, `zombie`, `scope` or `at_once`.
    pub group: &'static str,
    /// The sentence, as the name of a test.
    pub name: &'static str,
    check: fn(&Subject) -> Outcome,
}

impl Case {
    /// Checks a sink to which nothing was written yet.
    ///
    /// # Panics
    /// The sink does not do as the sentence says.
    pub fn check(&self, subject: &Subject) -> Outcome {
        (self.check)(subject)
    }
}

/// All cases.
///
/// ```
/// use snapline_connector::CollectSink;
/// use snapline_testkit::sink::{Outcome, Subject, cases};
///
/// let (sink, collected) = CollectSink::new();
/// let subject = Subject::exactly_once(move || sink.clone(), move || collected.snapshot());
/// let case = cases()[0];
/// assert_eq!((case.group, case.check(&subject)), ("barrier", Outcome::Held));
/// ```
pub fn cases() -> Vec<Case> {
    crate::sink_suite!(@cases table)
}

/// Runs the case of this name and says on standard error when it was skipped.
#[doc(hidden)]
pub fn run(name: &str, subject: &Subject) {
    let Some(case) = cases().into_iter().find(|case| case.name == name) else {
        panic!("there is no case {name}");
    };
    case.check(subject).tell(name);
}

/// Makes a module of tests, one for each case, that check one implementation of `Sink`.
///
/// The expression makes a [`Subject`](crate::sink::Subject) to which nothing was written yet; it is evaluated in each
/// test, and may `return` from it when there is none.
///
/// ```
/// use snapline_connector::CollectSink;
/// use snapline_testkit::sink::Subject;
///
/// snapline_testkit::sink_suite!(collect, {
///     let (sink, collected) = CollectSink::new();
///     Subject::exactly_once(move || sink.clone(), move || collected.snapshot())
/// });
/// ```
#[macro_export]
macro_rules! sink_suite {
    ($suite:ident, $subject:expr $(,)?) => {
        $crate::sink_suite!(@cases tests $suite, $subject);
    };
    (@cases $($then:tt)*) => {
        $crate::sink_suite! { @$($then)* => [
            barrier: a_write_leaves_the_batch_empty,
            barrier: what_is_written_after_a_barrier_belongs_to_the_next_checkpoint,
            barrier: a_checkpoint_without_records_has_no_committables,
            commit: nothing_is_visible_before_it_is_committed,
            commit: what_was_committed_is_visible_once,
            commit: many_records_come_whole,
            commit: a_commit_that_is_repeated_changes_nothing,
            commit: a_commit_that_was_cut_off_can_be_repeated,
            commit: checkpoints_that_were_prepared_one_after_the_other_are_committed_so,
            commit: committables_of_a_checkpoint_that_was_given_up_go_with_the_next,
            commit: committables_are_all_that_a_commit_needs,
            commit: what_any_number_of_writers_has_prepared_is_committed_by_a_run_with_another,
            recover: a_job_that_begins_anew_finds_nothing_of_before,
            recover: a_job_that_resumes_finds_what_its_checkpoint_has,
            recover: results_of_a_job_that_begins_anew_are_not_mixed_with_others,
            recover: results_after_the_restored_checkpoint_are_withdrawn_or_the_job_is_refused,
            crash: every_record_is_visible_once_wherever_the_job_crashes_twice,
            zombie: a_writer_that_was_taken_over_gets_nothing_visible,
            zombie: a_commit_that_comes_late_changes_nothing,
            zombie: a_recovery_that_comes_late_takes_nothing_from_a_newer_attempt,
            scope: a_subtask_that_restarts_alone_takes_nothing_from_the_others,
            at_once: what_was_prepared_is_visible_without_a_commit,
            at_once: no_record_is_lost_wherever_the_job_crashes_twice,
            at_once: a_key_that_comes_again_is_one_row_with_its_last_value,
        ] }
    };
    (@tests $suite:ident, $subject:expr => [$($group:ident: $name:ident,)*]) => {
        mod $suite {
            #[allow(unused_imports, reason = "the expression may need what surrounds it")]
            use super::*;

            $(
                #[test]
                fn $name() {
                    let subject: $crate::sink::Subject = $subject;
                    $crate::sink::run(stringify!($name), &subject);
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
