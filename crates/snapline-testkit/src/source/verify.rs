//! Whether a source is still what it was.

use super::reading::Reading;
use super::subject::{discover, verify};
use super::{Outcome, Subject};
use snapline_connector::Source;
use snapline_core::ErrorKind;
use std::fmt::Debug;

pub(super) fn a_checkpoint_of_the_same_source_is_accepted<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for cut in 0..=subject.len() {
        let source = subject.source();
        let mut reading = Reading::of(&source, discover(&source, 2));
        reading.take(cut);
        let splits = reading.snapshot();
        if let Err(error) = verify(&source, &splits) {
            panic!("the checkpoint after {cut} records was refused: {error}");
        }
    }
    Outcome::Held
}

pub(super) fn a_changed_source_is_refused<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let mut changed = subject.changed().peekable();
    if changed.peek().is_none() {
        return Outcome::Skipped("it is not said how to change the source");
    }
    for (number, changed) in changed.enumerate() {
        let source = subject.source();
        let splits = discover(&source, 2);
        let kind = verify(&changed, &splits).map_err(|error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Invalid), "changed source {number}");
    }
    Outcome::Held
}
