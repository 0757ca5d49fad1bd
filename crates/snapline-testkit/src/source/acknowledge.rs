//! What a source forgets, and when.

use super::reading::Reading;
use super::subject::discover;
use super::{Outcome, Subject};
use snapline_connector::Source;
use std::fmt::Debug;

const DOES_NOT_SAY: &str = "it is not said how many records the source has acknowledged";

pub(super) fn what_no_complete_checkpoint_has_can_be_read_again<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let len = subject.len();
    for first in 0..=len {
        for second in [first, len.min(first + 2), len] {
            let source = subject.source();
            let mut reading = Reading::of(&source, discover(&source, 2));
            let mut records = reading.take(first);
            let splits = reading.snapshot();
            reading.take(second - first);
            reading.snapshot();
            reading.complete(1);
            reading.rest(3);
            drop(reading);
            records.extend(Reading::resumed(&source, splits).rest(1000));
            subject.assert_all(
                &records,
                format_args!("from the complete checkpoint after {first}, with another after {second}"),
            );
        }
    }
    Outcome::Held
}

pub(super) fn nothing_is_acknowledged_before_a_checkpoint_is_complete<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let mut reading = Reading::of(&source, discover(&source, 2));
    while reading.next(2).is_some() {
        reading.snapshot();
        match subject.acknowledged(&source) {
            Some(count) => assert_eq!(
                count, 0,
                "records were acknowledged and no checkpoint was complete"
            ),
            None => return Outcome::Skipped(DOES_NOT_SAY),
        }
    }
    Outcome::Held
}

pub(super) fn a_complete_checkpoint_acknowledges_what_came_before_it_and_no_more<S>(
    subject: &Subject<S>,
) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let len = subject.len();
    for first in 0..=len {
        let source = subject.source();
        let mut reading = Reading::of(&source, discover(&source, 2));
        reading.take(first);
        reading.snapshot();
        reading.rest(2);
        reading.snapshot();
        for (checkpoint, expected) in [(1, first), (2, len)] {
            reading.complete(checkpoint);
            match subject.acknowledged(&source) {
                Some(count) => assert_eq!(
                    count, expected as u64,
                    "acknowledged with a checkpoint after {expected} records"
                ),
                None => return Outcome::Skipped(DOES_NOT_SAY),
            }
        }
    }
    Outcome::Held
}

pub(super) fn what_came_before_a_checkpoint_that_was_given_up_is_acknowledged_with_the_next<S>(
    subject: &Subject<S>,
) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let mut reading = Reading::of(&source, discover(&source, 2));
    let mut before = 0;
    for _ in 0..3 {
        before += reading.next(1).map_or(0, |records| records.len());
        reading.snapshot();
    }
    reading.rest(2);
    reading.complete(3);
    match subject.acknowledged(&source) {
        Some(count) => assert_eq!(
            count, before as u64,
            "acknowledged with the third checkpoint, where two before were given up"
        ),
        None => return Outcome::Skipped(DOES_NOT_SAY),
    }
    Outcome::Held
}
