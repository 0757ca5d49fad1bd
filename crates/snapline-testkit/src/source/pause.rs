//! Splits that wait for others.

use super::reading::Reading;
use super::subject::discover;
use super::{Outcome, Subject};
use futures::task::noop_waker_ref;
use snapline_connector::Source;
use std::fmt::Debug;
use std::task::{Context, Poll};

const CANNOT: &str = "the reader cannot pause splits";
const TOO_FEW: &str = "the source has fewer than two splits";

pub(super) fn a_paused_split_is_left_aside_and_goes_on_with_its_next_record<S>(
    subject: &Subject<S>,
) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let splits = discover(&source, 3);
    let count = splits.len();
    let mut reading = Reading::of(&source, splits);
    if let Some(reason) = cannot_pause(&reading, count) {
        return Outcome::Skipped(reason);
    }
    let mut records = Vec::new();
    // In turns each split is left aside, for one record that another one still has.
    for paused in (0..count).cycle().take(2 * count) {
        reading.reader.pause_splits(&[paused]);
        let mut cx = Context::from_waker(noop_waker_ref());
        if let Poll::Ready(Ok(Some(more))) = reading.poll_with(&mut cx, 1)
            && !more.is_empty()
        {
            records.extend(more);
            assert_ne!(
                reading.reader.current_split(),
                Some(paused),
                "a record came of a paused split"
            );
        }
    }
    reading.reader.pause_splits(&[]);
    records.extend(reading.rest(2));
    subject.assert_all(&records, "after splits were paused in turns");
    Outcome::Held
}

pub(super) fn a_reader_whose_splits_are_all_paused_waits_and_keeps_them<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let splits = discover(&source, 3);
    let all: Vec<usize> = (0..splits.len()).collect();
    let mut reading = Reading::of(&source, splits);
    if let Some(reason) = cannot_pause(&reading, all.len()) {
        return Outcome::Skipped(reason);
    }
    let mut records = reading.take(1);
    reading.reader.pause_splits(&all);
    let mut cx = Context::from_waker(noop_waker_ref());
    assert!(
        reading.poll_with(&mut cx, 5).is_pending(),
        "a reader whose splits are all paused does not wait"
    );
    let left = reading.snapshot();
    records.extend(Reading::resumed(&source, left).rest(2));
    subject.assert_all(&records, "resumed while all splits were paused");
    Outcome::Held
}

fn cannot_pause<S: Source>(reading: &Reading<S>, splits: usize) -> Option<&'static str> {
    match reading.reader.can_pause_splits() {
        false => Some(CANNOT),
        true => (splits < 2).then_some(TOO_FEW),
    }
}
