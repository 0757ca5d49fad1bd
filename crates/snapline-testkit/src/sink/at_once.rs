//! Sinks that cannot take anything back.

use super::crash::crash_everywhere;
use super::job::records;
use super::{Guarantee, Outcome, Record, Subject};

pub(super) fn what_was_prepared_is_visible_without_a_commit(subject: &Subject) -> Outcome {
    subject.if_at_once(|| {
        let mut job = subject.start(1, None, 2);
        for checkpoint in 1..4 {
            job.write((checkpoint % 2) as usize, &records([checkpoint]));
            assert_eq!(job.prepare(checkpoint).len(), 0, "there are committables");
            subject.assert_visible(&records(1..=checkpoint));
        }
    })
}

pub(super) fn no_record_is_lost_wherever_the_job_crashes_twice(subject: &Subject) -> Outcome {
    subject.if_at_once(|| crash_everywhere(subject))
}

/// In one batch, in one checkpoint, and in another attempt.
pub(super) fn a_key_that_comes_again_is_one_row_with_its_last_value(subject: &Subject) -> Outcome {
    if subject.guarantee() != Guarantee::Upsert {
        return Outcome::Skipped("the sink does not replace rows");
    }
    let row = |key, value| Record { key, value };
    let mut job = subject.start(1, None, 1);
    job.write(0, &[row(1, 10), row(2, 20), row(1, 11)]);
    job.write(0, &[row(2, 21), row(3, 30), row(3, 31), row(3, 32)]);
    job.prepare(1);
    subject.assert_visible(&[row(1, 11), row(2, 21), row(3, 32)]);
    drop(job);
    let mut job = subject.start(2, Some(1), 1);
    job.write(0, &[row(3, 33), row(4, 40)]);
    job.prepare(2);
    subject.assert_visible(&[row(1, 11), row(2, 21), row(3, 33), row(4, 40)]);
    Outcome::Held
}
