//! Cases of finding the splits.

use super::reading::{Reading, encoded};
use super::subject::discover;
use super::{Outcome, Subject};
use snapline_connector::Source;
use std::fmt::Debug;

pub(super) fn the_splits_have_all_records_once<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for parallelism in 1..=4 {
        let source = subject.source();
        let mut records = Vec::new();
        for split in discover(&source, parallelism) {
            records.extend(Reading::of(&source, vec![split]).rest(3));
        }
        subject.assert_all(
            &records,
            format_args!("all splits, found for {parallelism} readers"),
        );
    }
    Outcome::Held
}

pub(super) fn a_split_is_read_alike_each_time<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    for split in discover(&source, 2) {
        let first = Reading::of(&source, vec![split.clone()]).rest(100);
        for limit in [1, 2, 3] {
            let again = Reading::of(&source, vec![split.clone()]).rest(limit);
            let same = again.iter().map(encoded).eq(first.iter().map(encoded));
            assert!(same, "a split was read as {first:?}, and then as {again:?}");
        }
    }
    Outcome::Held
}
