//! Splits that are dealt out to other readers.

use super::reading::Reading;
use super::subject::{discover, verify};
use super::{Outcome, Subject};
use snapline_connector::{Source, deal_splits};
use std::fmt::Debug;

pub(super) fn what_some_readers_have_left_is_read_by_any_number_of_others<S>(subject: &Subject<S>) -> Outcome
where
    S: Source,
    S::Item: Debug,
{
    for old in 1..=4 {
        for new in 1..=4 {
            for step in 0..=3 {
                let source = subject.source();
                let mut records = Vec::new();
                let splits = read_some(&source, discover(&source, old), old, step, &mut records);
                verify(&source, &splits).unwrap();
                let left = read_some(&source, splits, new, usize::MAX, &mut records);
                assert_eq!(left.len(), 0, "splits are left that were read to their end");
                subject.assert_all(&records, format_args!("{old} readers became {new}, step {step}"));
            }
        }
    }
    Outcome::Held
}

/// Lets each of so many readers read some records, the second one more than the first, and gives what they leave.
fn read_some<S: Source>(
    source: &S,
    splits: Vec<S::Split>,
    readers: u32,
    step: usize,
    records: &mut Vec<S::Item>,
) -> Vec<S::Split> {
    let mut left = Vec::new();
    for (subtask, splits) in (0..readers).zip(deal_splits(splits, readers as usize)) {
        let mut reading = Reading::one_of(source, splits, subtask, readers);
        let limit = step.saturating_mul(subtask as usize + 1);
        let mut count = 0;
        while count < limit {
            let Some(more) = reading.next((limit - count).min(2)) else {
                break;
            };
            count += more.len();
            records.extend(more);
        }
        left.extend(reading.snapshot());
    }
    left
}
