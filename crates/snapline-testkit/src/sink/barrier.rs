//! What belongs to which checkpoint.

use super::job::records;
use super::{Outcome, Subject};
use futures::executor::block_on;

pub(super) fn a_write_leaves_the_batch_empty(subject: &Subject) -> Outcome {
    let mut job = subject.start(1, None, 1);
    for size in [1, 1000, 0] {
        job.write(0, &records(0..size));
    }
    Outcome::Held
}

/// The future of the first checkpoint runs when all is written.
pub(super) fn what_is_written_after_a_barrier_belongs_to_the_next_checkpoint(subject: &Subject) -> Outcome {
    subject.if_exactly_once(|| {
        let mut job = subject.start(1, None, 1);
        job.write(0, &records(0..3));
        let first = job.barrier(0, 1).unwrap();
        job.write(0, &records(3..5));
        let second = job.barrier(0, 2).unwrap();
        let (first, second) = (block_on(first).unwrap(), block_on(second).unwrap());
        job.commit(&first);
        subject.assert_visible(&records(0..3));
        job.commit(&second);
        subject.assert_visible(&records(0..5));
    })
}

pub(super) fn a_checkpoint_without_records_has_no_committables(subject: &Subject) -> Outcome {
    let mut job = subject.start(1, None, 2);
    assert_eq!(job.prepare(1).len(), 0);
    job.write(0, &records(0..1));
    let committables = job.prepare(2);
    assert_eq!(
        job.prepare(3).len(),
        0,
        "the records of one checkpoint are in two"
    );
    job.commit(&committables);
    job.commit(&[]);
    subject.assert_visible(&records(0..1));
    subject.assert_nothing_left_behind();
    Outcome::Held
}
