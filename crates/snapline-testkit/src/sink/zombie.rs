//! Processes that were taken over and do not know it.

use super::job::records;
use super::{Outcome, Subject};
use futures::executor::block_on;

/// It goes on as if nothing had happened, and is told at some time or never; no checkpoint of it can come to exist.
pub(super) fn a_writer_that_was_taken_over_gets_nothing_visible(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut zombie = subject.start(1, None, 1);
        zombie.write(0, &records(0..3));
        let preparing = zombie.barrier(0, 1).unwrap();
        let mut job = subject.start(2, None, 1);
        job.write(0, &records(0..3));
        let committables = job.prepare(1);
        let _ = block_on(preparing);
        let is_told = zombie.try_write(0, &records(3..5)).is_err();
        if !is_told && let Ok(preparing) = zombie.barrier(0, 2) {
            let _ = block_on(preparing);
        }
        job.commit(&committables);
        subject.assert_visible(&records(0..3));
        drop((zombie, job));
        subject.start(3, Some(1), 1);
        subject.assert_visible(&records(0..3));
        subject.assert_nothing_left_behind();
    })
}

/// Its checkpoint existed when it was taken over, and so its successor has committed it too.
pub(super) fn a_commit_that_comes_late_changes_nothing(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut zombie = subject.start(1, None, 1);
        zombie.write(0, &records(0..3));
        let first = zombie.prepare(1);
        let mut job = subject.attempt(2);
        job.commit(&first);
        job.recover(Some(1)).unwrap();
        job.open(1);
        job.write(0, &records(3..5));
        let second = job.prepare(2);
        zombie.commit(&first);
        subject.assert_visible(&records(0..3));
        job.commit(&second);
        zombie.commit(&first);
        subject.assert_visible(&records(0..5));
    })
}

/// It may be told that it is too late, or do nothing.
pub(super) fn a_recovery_that_comes_late_takes_nothing_from_a_newer_attempt(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut first = subject.start(1, None, 1);
        first.write(0, &records(0..3));
        let committables = first.prepare(1);
        first.commit(&committables);
        let mut late = subject.attempt(2);
        let mut job = subject.start(3, Some(1), 2);
        job.write(0, &records(3..5));
        let second = job.prepare(2);
        job.commit(&second);
        job.write(1, &records(5..8));
        let third = job.prepare(3);
        job.write(0, &records(8..9));
        let _ = late.recover(Some(1));
        subject.assert_visible(&records(0..5));
        job.commit(&third);
        let fourth = job.prepare(4);
        job.commit(&fourth);
        subject.assert_visible(&records(0..9));
    })
}
