//! Cases of reading.

use super::reading::{Reading, encoded};
use super::subject::discover;
use super::{Outcome, Subject};
use futures::task::noop_waker_ref;
use snapline_connector::{ReaderStatus, Source};
use snapline_core::Batch;
use std::fmt::Debug;
use std::task::{Context, Poll};

pub(super) fn a_reader_hands_out_no_more_records_than_it_is_asked_for<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for limit in [1, 2, 3, 5, 1000] {
        let source = subject.source();
        let records = Reading::of(&source, discover(&source, 1)).rest(limit);
        subject.assert_all(&records, format_args!("at most {limit} at a time"));
    }
    Outcome::Held
}

pub(super) fn records_are_appended_to_those_in_the_batch<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let Some(before) = subject.last() else {
        return Outcome::Skipped("the source has no records");
    };
    let source = subject.source();
    let mut reading = Reading::of(&source, discover(&source, 1));
    let mut batch = Batch::from(vec![before.clone()]);
    let mut cx = Context::from_waker(noop_waker_ref());
    // A reader that waits at first appends nothing, which is checked here as well.
    let polled = reading.reader.poll_batch(&mut cx, &mut batch, 2);
    let expected = match polled {
        Poll::Ready(Ok(ReaderStatus::More)) => 1..=3,
        _ => 1..=1,
    };
    let is_kept = batch.records.first().map(encoded) == Some(encoded(&before));
    assert!(
        is_kept && expected.contains(&batch.len()),
        "one record and up to two that were read became {:?}",
        batch.records
    );
    Outcome::Held
}

pub(super) fn the_end_comes_alone_and_again<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for limit in [1, 1000] {
        let source = subject.source();
        let mut reading = Reading::of(&source, discover(&source, 1));
        let records = reading.rest(limit);
        subject.assert_all(&records, "up to the end");
        (0..3).for_each(|_| assert!(is_at_end(&mut reading), "the end did not come again"));
    }
    Outcome::Held
}

pub(super) fn a_reader_without_splits_is_at_its_end<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let _ = discover(&source, 2);
    let mut reading = Reading::one_of(&source, Vec::new(), 1, 2);
    assert!(
        is_at_end(&mut reading),
        "there is nothing to read, and it is not the end"
    );
    Outcome::Held
}

pub(super) fn splits_are_added_while_others_are_read<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for limit in [1, 2, 1000] {
        let source = subject.source();
        let mut reading = Reading::of(&source, Vec::new());
        let mut records = Vec::new();
        for split in discover(&source, 4) {
            reading.reader.add_splits(vec![split]);
            records.extend(reading.next(limit).unwrap_or_default());
        }
        records.extend(reading.rest(limit));
        subject.assert_all(&records, "splits that were added one after the other");
    }
    Outcome::Held
}

pub(super) fn a_reader_at_its_end_goes_on_with_splits_that_are_added<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let mut reading = Reading::of(&source, Vec::new());
    let mut records = Vec::new();
    for split in discover(&source, 4) {
        assert!(
            is_at_end(&mut reading),
            "all splits were read, and it is not the end"
        );
        reading.reader.add_splits(vec![split]);
        records.extend(reading.rest(2));
    }
    subject.assert_all(&records, "splits that were added at the end of the others");
    Outcome::Held
}

fn is_at_end<S: Source>(reading: &mut Reading<S>) -> bool {
    let polled = reading.poll_with(&mut Context::from_waker(noop_waker_ref()), 5);
    matches!(polled, Poll::Ready(Ok(None)))
}
