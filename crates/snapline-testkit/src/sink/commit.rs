//! When records become visible, and how often.

use super::job::{Committables, records};
use super::{Outcome, Subject};

pub(super) fn nothing_is_visible_before_it_is_committed(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 2);
        for checkpoint in 1..4 {
            job.write(0, &records(0..1000));
            job.write(1, &records(1000..2000));
            subject.assert_visible(&[]);
            job.prepare(checkpoint);
            subject.assert_visible(&[]);
        }
    })
}

pub(super) fn what_was_committed_is_visible_once(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 2);
        for checkpoint in 1..4 {
            let keys = checkpoint * 10..checkpoint * 10 + 10;
            for key in keys {
                job.write((key % 2) as usize, &records([key]));
            }
            let committables = job.prepare(checkpoint);
            job.commit(&committables);
            subject.assert_visible(&records(10..checkpoint * 10 + 10));
        }
        subject.assert_nothing_left_behind();
    })
}

pub(super) fn many_records_come_whole(subject: &Subject) -> Outcome {
    const RECORDS: u64 = 40_000;
    let mut job = subject.start(1, None, 1);
    for from in (0..RECORDS).step_by(1000) {
        job.write(0, &records(from..from + 1000));
    }
    let committables = job.prepare(1);
    job.commit(&committables);
    let visible = subject.visible();
    assert_eq!(visible.len() as u64, RECORDS);
    assert!(visible == records(0..RECORDS));
    Outcome::Held
}

/// By the same committer, and by one of a new process.
pub(super) fn a_commit_that_is_repeated_changes_nothing(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 2);
        job.write(0, &records(0..5));
        job.write(1, &records(5..9));
        let committables = job.prepare(1);
        for _ in 0..3 {
            job.commit(&committables);
            subject.assert_visible(&records(0..9));
        }
        for attempt in 2..4 {
            let mut next = subject.attempt(attempt);
            next.commit(&committables);
            next.recover(Some(1)).unwrap();
            subject.assert_visible(&records(0..9));
        }
    })
}

/// Cut off before it began, between two of its steps, between two committables, and when nobody heard that it was done.
pub(super) fn a_commit_that_was_cut_off_can_be_repeated(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut expected = 0;
        let mut restored = None;
        for steps in 0..4 {
            let mut job = subject.start(2 * steps + 1, restored, 3);
            for subtask in 0..3 {
                job.write(subtask, &records(expected..expected + 2));
                expected += 2;
            }
            let committables = job.prepare(steps + 1);
            job.commit(&committables[..steps as usize % 3]);
            let _was_done = job.begin_commit(&committables, steps as usize);
            drop(job);
            let mut next = subject.attempt(2 * steps + 2);
            next.commit(&committables);
            next.recover(Some(steps + 1)).unwrap();
            restored = Some(steps + 1);
            subject.assert_visible(&records(0..expected));
            subject.assert_nothing_left_behind();
        }
    })
}

pub(super) fn checkpoints_that_were_prepared_one_after_the_other_are_committed_so(
    subject: &Subject,
) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 2);
        let mut prepared = Vec::new();
        for checkpoint in 1..5 {
            job.write(0, &records([2 * checkpoint]));
            job.write(1, &records([2 * checkpoint + 1]));
            prepared.push(job.prepare(checkpoint));
        }
        subject.assert_visible(&[]);
        for (number, committables) in (1..).zip(&prepared) {
            job.commit(committables);
            subject.assert_visible(&records(2..2 * number + 2));
        }
    })
}

pub(super) fn committables_of_a_checkpoint_that_was_given_up_go_with_the_next(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 1);
        let mut committables = Committables::new();
        for checkpoint in 1..4 {
            job.write(0, &records([checkpoint]));
            committables.extend(job.prepare(checkpoint));
        }
        job.commit(&committables);
        subject.assert_visible(&records(1..4));
        subject.assert_nothing_left_behind();
    })
}

/// The process that prepared them is gone.
pub(super) fn committables_are_all_that_a_commit_needs(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 2);
        job.write(0, &records(0..3));
        job.write(1, &records(3..6));
        let committables = job.prepare(1);
        job.write(0, &records(6..7));
        drop(job);
        let mut next = subject.attempt(2);
        next.commit(&committables);
        subject.assert_visible(&records(0..6));
        next.recover(Some(1)).unwrap();
        subject.assert_visible(&records(0..6));
        subject.assert_nothing_left_behind();
    })
}

pub(super) fn what_any_number_of_writers_has_prepared_is_committed_by_a_run_with_another(
    subject: &Subject,
) -> Outcome {
    subject.if_exactly_once(|| {
        let (mut unfinished, mut restored, mut written) = (Committables::new(), None, 0);
        for (attempt, writers) in (1..).zip([3, 1, 4, 2]) {
            let mut job = subject.attempt(attempt);
            job.commit(&unfinished);
            job.recover(restored).unwrap();
            subject.assert_visible(&records(0..written));
            job.open(writers);
            for subtask in 0..writers {
                job.write(subtask as usize, &records([written]));
                written += 1;
            }
            unfinished = job.prepare(attempt);
            restored = Some(attempt);
        }
        subject.attempt(9).commit(&unfinished);
        subject.assert_visible(&records(0..written));
    })
}
