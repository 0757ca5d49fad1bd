//! Cases of snapshots, each read on by readers that were not there before.

use super::reading::Reading;
use super::subject::{discover, verify};
use super::{Outcome, Subject};
use snapline_connector::Source;
use std::fmt::Debug;

pub(super) fn reading_resumes_at_the_very_next_record<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for cut in 0..=subject.len() {
        for limit in [1, 3, 1000] {
            let source = subject.source();
            let mut reading = Reading::of(&source, discover(&source, 3));
            let mut records = Vec::new();
            while records.len() < cut {
                records.extend(reading.take(limit.min(cut - records.len())));
            }
            let splits = reading.snapshot();
            drop(reading);
            records.extend(Reading::resumed(&source, splits).rest(limit));
            subject.assert_all(&records, format_args!("resumed after {cut}, {limit} at a time"));
        }
    }
    Outcome::Held
}

pub(super) fn a_resumed_reader_is_resumed_again<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for step in [1, 2, 3] {
        let source = subject.source();
        let mut splits = discover(&source, 2);
        let mut records = Vec::new();
        // One that repeats records never ends.
        while records.len() <= subject.len() {
            let mut reading = Reading::resumed(&source, splits);
            let Some(more) = reading.next(step) else { break };
            records.extend(more);
            splits = reading.snapshot();
            if splits.is_empty() {
                break;
            }
        }
        subject.assert_all(&records, format_args!("resumed after each {step}"));
    }
    Outcome::Held
}

pub(super) fn reading_goes_on_undisturbed_by_snapshots<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let mut reading = Reading::of(&source, discover(&source, 3));
    let mut records = Vec::new();
    reading.snapshot();
    while let Some(more) = reading.next(2) {
        records.extend(more);
        reading.snapshot();
        reading.snapshot();
    }
    subject.assert_all(&records, "with snapshots in between");
    Outcome::Held
}

pub(super) fn a_snapshot_at_the_end_has_no_splits<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let mut reading = Reading::of(&source, discover(&source, 3));
    reading.rest(2);
    let left = reading.snapshot().len();
    assert_eq!(
        left, 0,
        "there are splits in the snapshot, and all were read to their end"
    );
    Outcome::Held
}

pub(super) fn a_new_process_reads_exactly_the_rest<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    if subject.is_volatile() {
        return Outcome::Skipped("the records end with the process");
    }
    for cut in 0..=subject.len() {
        let old = subject.source();
        let mut reading = Reading::of(&old, discover(&old, 3));
        let mut records = reading.take(cut);
        let splits = reading.snapshot();
        drop((reading, old));
        let new = subject.source();
        verify(&new, &splits).unwrap();
        records.extend(Reading::of(&new, splits).rest(2));
        subject.assert_all(&records, format_args!("in another process after {cut}"));
    }
    Outcome::Held
}
