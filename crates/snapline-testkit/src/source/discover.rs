//! Cases of finding the splits.

use super::reading::{Reading, encoded, stored};
use super::subject::discover;
use super::{Outcome, Subject};
use futures::executor::block_on;
use snapline_connector::{DiscoveryContext, SeenSplits, Source};
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

pub(super) fn what_was_seen_is_not_found_again<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    let source = subject.source();
    if source.discovery_interval().is_none() {
        return Outcome::Skipped("the source does not grow");
    }
    let mut seen = SeenSplits::default();
    let look = |parallelism: u32, seen: &mut SeenSplits| {
        let context = DiscoveryContext { parallelism };
        let mut enumerator = source.enumerator().unwrap();
        block_on(enumerator.discover_new(&context, seen)).unwrap().splits
    };
    let splits = stored(&look(2, &mut seen));
    subject.assert_all(
        &Reading::of(&source, splits).rest(3),
        "all splits that are new at first",
    );
    for parallelism in 1..=3 {
        let mut restored = stored(&seen);
        let found = look(parallelism, &mut restored).len();
        assert_eq!(found, 0, "splits were found that had been seen before");
        assert_eq!(restored, seen, "what was seen is forgotten");
    }
    Outcome::Held
}
