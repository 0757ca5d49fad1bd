//! What a sink says about the restart of one subtask.

use super::job::records;
use super::{Outcome, Subject};
use snapline_connector::RecoveryScope;

/// The first writer goes on, with one checkpoint that waits and records behind it; the second starts again.
pub(super) fn a_subtask_that_restarts_alone_takes_nothing_from_the_others(subject: &Subject) -> Outcome {
    let mut job = subject.start(1, None, 2);
    if job.scope() != RecoveryScope::Subtask {
        return Outcome::Skipped("subtasks of the sink restart together");
    }
    subject.if_exactly_once(|| {
        job.write(0, &records([1]));
        job.write(1, &records([2]));
        let first = job.prepare(1);
        job.commit(&first);
        job.write(0, &records([3]));
        job.write(1, &records([4]));
        let mut second = block_on_first(&mut job);
        job.write(0, &records([5]));
        job.recover_as(2, Some(1)).unwrap();
        job.reopen(1, 2);
        job.write(1, &records([4]));
        second.extend(job.prepare(3));
        job.commit(&second);
        subject.assert_visible(&records(1..6));
    })
}

/// What the first writer has prepared for a checkpoint that the second one did not live to see.
fn block_on_first(job: &mut super::job::Attempt) -> super::job::Committables {
    futures::executor::block_on(job.barrier(0, 2).unwrap()).unwrap()
}
