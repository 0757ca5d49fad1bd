//! Numbers are dealt out and read once, wherever a reader stops.

use super::*;
use crate::source::Source;
use crate::testing::{drain, read, reader_context};
use crate::{CollectionSource, GeneratorSource, SequenceSource};
use futures::executor::block_on;
use snapline_core::{decode, encode_into};
use std::fmt::Debug;
use std::task::Waker;

/// The records of all splits, one after the other, at this parallelism.
fn all<S: Source>(source: &S, parallelism: u32) -> (usize, Vec<S::Item>) {
    let splits = discover(source, parallelism);
    let count = splits.len();
    (count, drain(source, splits))
}

fn discover<S: Source>(source: &S, parallelism: u32) -> Vec<S::Split> {
    block_on(
        source
            .enumerator()
            .unwrap()
            .discover(&DiscoveryContext { parallelism }),
    )
    .unwrap()
}

/// Cuts after each number of records, takes a snapshot through its encoding, and reads the rest.
fn check_resume_everywhere<S>(source: &S, expected: &[S::Item])
where
    S: Source,
    S::Item: PartialEq + Debug,
{
    for parallelism in 1..=3 {
        for cut in 0..=expected.len() {
            let mut reader = source.reader(reader_context()).unwrap();
            reader.add_splits(discover(source, parallelism));
            let mut records = read(reader.as_mut(), cut);
            let mut encoded = Vec::new();
            encode_into(&reader.snapshot(CheckpointId(1)).unwrap(), &mut encoded).unwrap();
            let splits: Vec<S::Split> = decode(&encoded).unwrap();
            block_on(source.enumerator().unwrap().verify(&splits)).unwrap();
            records.extend(drain(source, splits));
            assert_eq!(records, expected, "cut after {cut} at parallelism {parallelism}");
        }
    }
}

#[test]
fn reading_resumes_at_the_very_next_record() {
    let words: Vec<String> = "to be or not to be".split(' ').map(str::to_owned).collect();
    check_resume_everywhere(&CollectionSource::new(words.clone()), &words);
    check_resume_everywhere(&SequenceSource::new(5..12), &[5, 6, 7, 8, 9, 10, 11]);
    check_resume_everywhere(&GeneratorSource::new(4, |n| n * n), &[0, 1, 4, 9]);
    check_resume_everywhere(&GeneratorSource::new(0, |n| n), &[]);
}

#[test]
fn there_is_one_contiguous_split_for_each_reader_that_has_something_to_read() {
    let cases = [(0, 2, 0), (1, 3, 1), (10, 4, 4), (7, 1, 1)];
    for (count, parallelism, splits) in cases {
        let expected: Vec<u64> = (0..count).collect();
        assert_eq!(
            all(&SequenceSource::new(0..count), parallelism),
            (splits, expected)
        );
    }
    let weights: Vec<u64> = discover(&SequenceSource::new(0..10), 3)
        .iter()
        .map(SourceSplit::weight)
        .collect();
    assert_eq!(weights, [3, 3, 4]);
    let most = discover(&SequenceSource::new(0..u64::MAX), 2);
    assert_eq!(most.iter().map(SourceSplit::weight).sum::<u64>(), u64::MAX);
}

#[test]
fn without_an_end_readers_take_turns() {
    let source = GeneratorSource::unbounded(|n| n);
    let read_first = |split| {
        let mut reader = source.reader(reader_context()).unwrap();
        reader.add_splits(vec![split]);
        let records = [read(reader.as_mut(), 2), read(reader.as_mut(), 1)].concat();
        (records, reader.progress().total)
    };
    let first: Vec<_> = discover(&source, 2).into_iter().map(read_first).collect();
    assert_eq!(first, [(vec![0, 2, 4], None), (vec![1, 3, 5], None)]);
}

#[test]
fn splits_are_read_from_the_lowest_to_the_highest() {
    let source = SequenceSource::new(0..9);
    let mut splits = discover(&source, 3);
    splits.reverse();
    assert_eq!(drain(&source, splits), (0..9).collect::<Vec<_>>());
}

#[test]
fn progress_tells_what_is_done_and_what_there_is() {
    let source = SequenceSource::new(0..9);
    let mut reader = source.reader(reader_context()).unwrap();
    reader.add_splits(discover(&source, 2));
    read(reader.as_mut(), 5);
    let expected = ReaderProgress {
        done: 5,
        total: Some(9),
    };
    assert_eq!(reader.progress(), expected);
}

#[test]
fn a_changed_source_is_refused() {
    let old = discover(&CollectionSource::new(["a", "b"].map(str::to_owned)), 1);
    let cases: [(&[&str], &str); 2] = [
        (&["a", "c"], "the source has other records than"),
        (&["a"], "the source has another number of records than"),
    ];
    for (records, message) in cases {
        let new = CollectionSource::new(records.iter().map(|&record| record.to_owned()));
        let error = block_on(new.enumerator().unwrap().verify(&old)).unwrap_err();
        assert!(error.message().starts_with(message), "{error}");
    }
    let longer = SequenceSource::new(0..3);
    assert!(
        block_on(
            longer
                .enumerator()
                .unwrap()
                .verify(&discover(&SequenceSource::new(0..2), 1))
        )
        .is_err()
    );
    assert!(block_on(longer.enumerator().unwrap().verify(&[])).is_ok());
}

#[test]
fn a_reader_tells_the_split_of_each_batch_and_which_are_read_to_their_end() {
    let source = SequenceSource::new(0..10);
    let mut reader = source.reader(reader_context()).unwrap();
    let mut splits = discover(&source, 2);
    splits.reverse();
    reader.add_splits(splits);
    let mut told = Vec::new();
    for count in [3, 2, 5] {
        let records = read(reader.as_mut(), count);
        told.push((records[0], reader.current_split(), reader.take_finished()));
    }
    let expected = [(0, Some(1), vec![]), (3, Some(1), vec![1]), (5, Some(0), vec![0])];
    assert_eq!(told, expected);
}

#[test]
fn a_reader_leaves_paused_splits_aside_and_goes_on_where_it_stopped() {
    let source = SequenceSource::new(0..9);
    let mut reader = source.reader(reader_context()).unwrap();
    reader.add_splits(discover(&source, 3));
    assert!(reader.can_pause_splits());
    let mut told = Vec::new();
    for (paused, count) in [(&[][..], 1), (&[0], 2), (&[0, 1], 1), (&[1, 2], 2), (&[], 3)] {
        reader.pause_splits(paused);
        told.push(read(reader.as_mut(), count));
    }
    assert_eq!(told, [vec![0], vec![3, 4], vec![6], vec![1, 2], vec![5, 7, 8]]);
}

#[test]
fn a_reader_whose_splits_are_all_paused_waits_and_has_them_in_its_snapshot() {
    let source = SequenceSource::new(0..6);
    let mut reader = source.reader(reader_context()).unwrap();
    reader.add_splits(discover(&source, 2));
    read(reader.as_mut(), 2);
    reader.pause_splits(&[0, 1]);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(reader.poll_batch(&mut cx, &mut Batch::new(), 10).is_pending());
    let splits = reader.snapshot(CheckpointId(1)).unwrap();
    let mut again = source.reader(reader_context()).unwrap();
    again.add_splits(splits);
    assert_eq!(read(again.as_mut(), 4), [2, 3, 4, 5]);
}
