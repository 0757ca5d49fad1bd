//! What a job finds when it starts.

use super::job::records;
use super::{Outcome, Subject};
use snapline_core::ErrorKind;

/// One writer has prepared, the other was in the middle of writing.
pub(super) fn a_job_that_begins_anew_finds_nothing_of_before(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        for attempt in 1..4 {
            let mut job = subject.start(attempt, None, 2);
            subject.assert_nothing_left_behind();
            job.write(0, &records(0..5));
            job.prepare(1);
            job.write(1, &records(5..50));
        }
        let mut job = subject.start(4, None, 2);
        subject.assert_visible(&[]);
        subject.assert_nothing_left_behind();
        job.write(0, &records(0..5));
        let committables = job.prepare(1);
        job.commit(&committables);
        subject.assert_visible(&records(0..5));
    })
}

pub(super) fn a_job_that_resumes_finds_what_its_checkpoint_has(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 2);
        job.write(0, &records(0..5));
        let committables = job.prepare(1);
        job.commit(&committables);
        job.write(1, &records(5..9));
        job.prepare(2);
        job.write(0, &records(9..12));
        drop(job);
        for attempt in 2..4 {
            subject.start(attempt, Some(1), 1);
            subject.assert_visible(&records(0..5));
            subject.assert_nothing_left_behind();
        }
    })
}

pub(super) fn results_of_a_job_that_begins_anew_are_not_mixed_with_others(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| withdrawn_or_refused(subject, None))
}

pub(super) fn results_after_the_restored_checkpoint_are_withdrawn_or_the_job_is_refused(
    subject: &Subject,
) -> Outcome {
    subject.if_exactly_once(|| withdrawn_or_refused(subject, Some(1)))
}

/// Goes back to a checkpoint after three were committed, each with one record.
fn withdrawn_or_refused(subject: &Subject, restored: Option<u64>) {
    let mut job = subject.start(1, None, 1);
    for checkpoint in 1..4 {
        job.write(0, &records([checkpoint]));
        let committables = job.prepare(checkpoint);
        job.commit(&committables);
    }
    match subject.attempt(2).recover(restored) {
        Ok(()) => subject.assert_visible(&records(1..=restored.unwrap_or(0))),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            subject.assert_visible(&records(1..4));
        }
    }
}
