//! What a reader tells of its splits.

use super::reading::{Reading, encoded};
use super::subject::discover;
use super::{Outcome, Subject};
use snapline_connector::Source;
use std::collections::BTreeMap;
use std::fmt::Debug;

const DOES_NOT_TELL: &str = "the reader does not tell its splits apart";

pub(super) fn a_batch_has_records_of_the_split_that_is_named<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for limit in [1, 2, 1000] {
        let source = subject.source();
        let splits = discover(&source, 3);
        let mut left: Vec<_> = splits.iter().map(|split| records_of(&source, split)).collect();
        let mut reading = Reading::of(&source, splits);
        while let Some(records) = reading.next(limit) {
            let Some(split) = reading.reader.current_split() else {
                return Outcome::Skipped(DOES_NOT_TELL);
            };
            let of_split = &mut left[split];
            let is_next = records.len() <= of_split.len()
                && of_split.drain(..records.len()).eq(records.iter().map(encoded));
            assert!(is_next, "{records:?} are not the next records of split {split}");
        }
    }
    Outcome::Held
}

pub(super) fn each_split_is_named_once_when_it_is_read_to_its_end<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    let splits = discover(&source, 3);
    let sizes: Vec<_> = splits
        .iter()
        .map(|split| records_of(&source, split).len())
        .collect();
    let mut reading = Reading::of(&source, splits);
    let (mut read, mut finished) = (BTreeMap::<usize, usize>::new(), Vec::new());
    while let Some(records) = reading.next(2) {
        let Some(split) = reading.reader.current_split() else {
            return Outcome::Skipped(DOES_NOT_TELL);
        };
        *read.entry(split).or_default() += records.len();
        for split in reading.reader.take_finished() {
            let count = read.get(&split).copied().unwrap_or(0);
            assert_eq!(count, sizes[split], "split {split} was named before its end");
            finished.push(split);
        }
    }
    finished.extend(reading.reader.take_finished());
    finished.sort_unstable();
    let all: Vec<usize> = (0..sizes.len()).collect();
    assert_eq!(finished, all, "the splits that were named as read to their end");
    Outcome::Held
}

/// All records of a split, encoded.
fn records_of<S: Source>(source: &S, split: &S::Split) -> Vec<Vec<u8>> {
    let records = Reading::of(source, vec![split.clone()]).rest(10);
    records.iter().map(encoded).collect()
}
